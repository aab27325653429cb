"""Every write a person can make to services."""

from collections.abc import Callable, Collection
from typing import Any

from django.db import transaction
from django.utils import timezone

from clusters import spec as specs
from clusters.actions import objects
from clusters.actions.domains import release_domains, save_domains
from clusters.actions.nodes import record
from clusters.drift import changes, meaningful, redacted
from clusters.models import Cluster, Service
from medstack.failures import Failure
from medstack.models import Event, Operation
from medstack.models.events import Actor

Json = dict[str, Any]


class ChangedMeanwhile(Failure):
    """Refuse a change that was made from an older state of the service."""


@transaction.atomic
def create_service(
    cluster: Cluster, spec: Json, *, by: Actor, postponed: Collection[str] = ()
) -> Operation:
    """Create a service as its spec says."""
    service = Service.objects.create(cluster=cluster, name=spec["Name"], spec=spec)
    record("service.created", service, cluster, by=by, after=redacted(spec))
    save_domains(service, spec, by=by, postponed=postponed)
    return start("service.apply", service, by=by)


@transaction.atomic
def update_service(
    service: Service,
    spec: Json,
    *,
    generation: int,
    by: Actor,
    postponed: Collection[str] = (),
) -> Operation:
    """Change a service, if it is still what the person saw when the form was opened."""
    row = Service.objects.select_for_update().get(pk=service.pk)
    if row.generation != generation:
        last = Event.objects.filter(subject_kind="service", subject_id=row.pk).first()
        who = f"{last.actor_name} changed" if last else "Somebody changed"
        raise ChangedMeanwhile(
            f"{who} this service while the form was open. Your changes are not saved; "
            "the form shows them still. Open the service again to see what it is now."
        )
    return change(row, lambda _: spec, action="service.updated", by=by, postponed=postponed)


def scale_service(service: Service, replicas: int, *, by: Actor) -> Operation:
    """Set the number of replicas, whatever else changes meanwhile."""
    refuse_managed(service)
    return change(service, lambda s: specs.scaled(s, replicas), action="service.scaled", by=by)


def restart_service(service: Service, *, by: Actor) -> Operation:
    """Replace every task by a new one with the same spec."""
    return change(service, specs.forced, action="service.restarted", by=by)


def refresh_image(service: Service, *, by: Actor) -> Operation:
    """Ask the registry what the image's tag means now, and run that."""
    return change(
        service, lambda s: s, action="service.image_refreshed", kind="service.refresh", by=by
    )


def roll_back(service: Service, *, by: Actor) -> Operation:
    """Return to the spec before the last change."""
    refuse_managed(service)
    if service.previous_spec is None:
        raise Failure("There is no earlier version of this service to return to.")
    previous = service.previous_spec
    return change(
        service,
        lambda _: previous,
        action="service.rolled_back",
        kind="service.rollback",
        by=by,
        intent={"from": service.generation},
    )


def overwrite_drift(service: Service, *, by: Actor) -> Operation:
    """Put back what somebody changed outside the console."""
    return change(
        service, lambda s: s, action="service.drift_overwritten", kind="service.overwrite", by=by
    )


@transaction.atomic
def accept_drift(service: Service, *, by: Actor) -> None:
    """Take what somebody changed outside the console as what is wanted from now on."""
    row = Service.objects.select_for_update().get(pk=service.pk)
    drift = row.drift
    networks = dict(row.cluster.networks.values_list("name", "engine_id"))
    wanted = specs.named(row.observed or {}, row.spec, networks=networks)
    record(
        "service.drift_accepted",
        row,
        row.cluster,
        by=by,
        before=redacted(row.spec),
        after=redacted(wanted),
    )
    if drift:
        row.previous_spec, row.spec = row.spec, wanted
        row.applied = row.readback = row.observed
        row.applied_generation = row.generation
        row.save(
            update_fields=["previous_spec", "spec", "applied", "readback", "applied_generation"]
        )
        save_domains(row, wanted, by=by)


@transaction.atomic
def delete_service(service: Service, *, by: Actor) -> Operation:
    """Stop a service's tasks and delete it; its volumes stay."""
    refuse_managed(service)
    record("service.deleted", service, service.cluster, by=by, before=redacted(service.spec))
    return start("service.delete", service, by=by, exclusive=f"service.delete:{service.pk}")


@transaction.atomic
def change(
    service: Service,
    alter: Callable[[Json], Json],
    *,
    action: str,
    by: Actor,
    kind: str = "service.apply",
    intent: Json | None = None,
    postponed: Collection[str] = (),
) -> Operation:
    """Change the wanted spec by what is meant, not by what was read earlier."""
    row = Service.objects.select_for_update().get(pk=service.pk)
    before, after = row.spec, alter(row.spec)
    advance(row, after)
    save_domains(row, after, by=by, postponed=postponed)
    differences = meaningful(changes(before, after))
    record(
        action,
        row,
        row.cluster,
        by=by,
        before={".".join(c.path): c.shown_before for c in differences},
        after={".".join(c.path): c.shown_after for c in differences},
    )
    return start(kind, row, by=by, intent=intent)


def advance(row: Service, spec: Json) -> None:
    """Give the row a new wanted spec and with it the next generation."""
    row.previous_spec, row.spec = row.spec, spec
    row.generation += 1
    row.save(update_fields=["previous_spec", "spec", "generation"])


@transaction.atomic
def repoint(service: Service, kind: str, old: str, new: str) -> None:
    """Let a service use another version of a config or secret; it is part of a rotation."""
    row = Service.objects.select_for_update().get(pk=service.pk)
    spec = specs.repoint(row.spec, kind, old, new)
    if spec != row.spec:
        advance(row, spec)


def refuse_managed(service: Service) -> None:
    """Refuse to take apart what the console keeps together by itself."""
    if service.is_managed:
        raise Failure(f"“{service}” belongs to the load balancer: change or remove that instead.")


def mark_deleted(service: Service) -> None:
    """Keep the row as history once the service is gone."""
    Service.objects.filter(pk=service.pk, deleted_at=None).update(
        deleted_at=timezone.now(), engine_id="", running=0
    )
    release_domains(service)


def start(
    kind: str, service: Service, *, by: Actor, intent: Json | None = None, exclusive: str = ""
) -> Operation:
    """Start an operation on a service."""
    return objects.start(kind, service, service.cluster, by=by, intent=intent, exclusive=exclusive)
