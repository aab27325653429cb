"""Bring the services back, one after the other, and the load balancer in front of them."""

from typing import Any

from backups.actions.environment import forget_digest, restore_certificates, restore_service
from backups.tasks.environment_work import Work, ended, newest, work_of
from clusters import engine as engines
from clusters.actions.ingress import deploy_load_balancer
from clusters.models import LoadBalancer, Service
from clusters.tasks.applying import converged
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Waiting

Json = dict[str, Any]


def restore_services(operation: Operation) -> Waiting | None:
    """Create the services in their order; each runs before the next is made."""
    work = work_of(operation)
    names = [spec["Name"] for spec in work.wanted.services]
    for number, spec in enumerate(work.wanted.services):
        try:
            waiting = restore_one(operation, work, spec)
        except engines.Unreachable:
            raise
        except Failure as error:
            done, left = names[:number], names[number + 1 :]
            raise Failure(
                f"The service {error}"
                f" Done: {', '.join(done) or 'none'}. Not begun: {', '.join(left) or 'none'}."
            ) from None
        if waiting:
            share = (number + min(waiting.fraction, 1)) / len(names)
            return Waiting(waiting.detail, share, waiting.again_in)
    return None


def restore_one(operation: Operation, work: Work, spec: Json) -> Waiting | None:
    """Carry one service on until its tasks run."""
    name = spec["Name"]
    row = Service.objects.present().filter(cluster=work.cluster, name=name).first()
    last = newest("service", row.pk, work) if row else None
    if row and last is None:
        # Somebody made it outside the console, just like this: it only has to run.
        waiting = converged(row)
        return Waiting(f"{name}: {waiting.detail}", waiting.fraction) if waiting else None
    if last and last.is_active:
        return ended(last, name)
    is_ours = last is not None and last.requested_at >= operation.requested_at
    if row is None and not is_ours and (gone := ours_gone(operation, work, name)):
        raise Failure(f"{name}: {gone}")
    if row is None or (last and last.state == Operation.State.FAILED and not is_ours):
        restore_service(work.cluster, spec, by=work.by)
        return Waiting(f"{name} is being created.")
    if last and is_ours:
        ended(last, name)
        forget_digest(row)
    return None


def ours_gone(operation: Operation, work: Work, name: str) -> str:
    """Return why a service that this restore has made gave way again, if it did."""
    made = Operation.objects.filter(
        cluster=work.cluster,
        target_kind="service",
        target_name=name,
        requested_at__gte=operation.requested_at,
        state=Operation.State.FAILED,
    )
    found = made.order_by("-pk").first()
    return found.error if found else ""


def restore_load_balancer(operation: Operation) -> Waiting | None:
    """Deploy the load balancer with its former settings; its certificates' volume is there."""
    work = work_of(operation)
    settings = work.wanted.load_balancer
    if not settings:
        return None
    row = LoadBalancer.objects.filter(cluster=work.cluster).first()
    if row is None:
        restore_certificates(work.cluster, by=work.by)
        values = {key: text for key, text in settings.items() if key != "node"}
        node = work.node(settings["node"])
        address = str(work.row.plan.get("address") or node.address)
        fresh = LoadBalancer(cluster=work.cluster, node=node, address=address, **values)
        deploy_load_balancer(fresh, by=work.by)
        return Waiting("The load balancer is being deployed.")
    last = newest("loadbalancer", row.pk, work)
    if last is None:
        return None
    if last.state == Operation.State.FAILED and last.requested_at < operation.requested_at:
        deploy_load_balancer(row, by=work.by)
        return Waiting("The load balancer is being deployed.")
    return ended(last, "Load balancer")
