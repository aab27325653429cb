"""What a service's page shows: what is wanted, what runs, and why it does not."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from clusters.drift import redacted
from clusters.models import DomainMapping, Service, Task
from clusters.views import docker
from clusters.views.service_facts import environment, facts, files, health, mounts
from clusters.views.status import TASK_KIND, domain_kind, service_kind
from medstack.models import Operation

Json = dict[str, Any]
# Where nothing has happened for so long the page stops asking for itself.
QUIET = timedelta(minutes=10)
UNSETTLED = ("Updating", "Starting", "Degraded")
IN_TROUBLE = (*UNSETTLED, "Paused", "Missing", "Creating", "Not applied")
MOST_HISTORIC = 20


def service_context(request: HttpRequest, service: Service) -> Json:
    """Return everything that the page of one service shows."""
    cluster = service.cluster
    context = docker.frame(request, cluster, "services", within=True)
    context |= docker.of_target(cluster, "service", [service.pk])
    tasks = list(service.tasks.select_related("node").order_by("slot", "-since"))
    for task in tasks:
        # Every label needs the service's name, every link the cluster's; they are the same rows.
        task.service = service
        if task.node:
            task.node.cluster = cluster
    operations = operations_of(service, newest=context.pop("operation"))
    spec, networks = redacted(service.spec), dict(cluster.networks.values_list("engine_id", "name"))
    return context | {
        "service": service,
        "kind": service_kind(service),
        "operations": operations,
        "is_polling": any(operation.is_active for operation in operations)
        or is_settling(service, tasks, now=timezone.now()),
        "trouble": trouble(service, tasks, operations),
        "comparison": comparison(service, tasks),
        "live_tasks": [task_row(task) for task in tasks if task.is_live],
        "historic_tasks": historic([task for task in tasks if not task.is_live]),
        "facts": facts(spec, service, networks),
        "mounts": mounts(spec),
        "configs": files(spec, "Config"),
        "secrets": files(spec, "Secret"),
        "environment": environment(spec),
        "health": health(spec),
        "drift": shown_drift(service),
        "domains": [
            {"mapping": mapping, "kind": domain_kind(mapping)}
            for mapping in DomainMapping.objects.present().filter(service=service)
        ],
        "recent": Operation.objects.filter(
            target_kind="service", target_id=service.pk
        ).select_related("requested_by")[:10],
    }


def operations_of(service: Service, *, newest: Operation | None) -> list[Operation]:
    """Return what runs on the service now; else how the last one ended, while that is news."""
    active = Operation.objects.filter(
        target_kind="service", target_id=service.pk, state__in=Operation.ACTIVE
    ).select_related("requested_by")
    return list(active[:3]) or ([newest] if newest else [])


def is_settling(service: Service, tasks: Iterable[Task], *, now: datetime) -> bool:
    """Say whether something is still happening that is worth looking at again."""
    runs_job = service.mode.endswith("Job") and service.status == "Running"
    if service.status not in UNSETTLED and not runs_job:
        return False
    moments = [task.since for task in tasks if task.since]
    return not moments or now - max(moments) < QUIET


def trouble(service: Service, tasks: list[Task], operations: list[Operation]) -> Json | None:
    """Return in the Engine's own words why the service is not as it ought to be."""
    if service.status not in IN_TROUBLE:
        return None
    if service.status == "Missing":
        return {
            "kind": "danger",
            "title": "The swarm no longer has this service",
            "text": "Somebody removed it outside the console. Restart creates it again.",
        }
    if service.status in ("Creating", "Not applied"):
        return not_applied(service, operations)
    failing = sorted(
        (task for task in tasks if task.error),
        key=lambda task: (task.is_live, task.since or task.service.created_at),
        reverse=True,
    )
    paused = service.status == "Paused"
    if not failing and not paused:
        return None
    where = task_label(failing[0]) if failing else ""
    words = [service.update_status.get("Message", "")] if paused else []
    words += [f"{where}: {failing[0].error}"] if failing else []
    return {
        "kind": "danger" if paused or service.running == 0 else "warning",
        "title": "The swarm paused the update"
        if paused
        else f"{service.running} of {service.desired} tasks run",
        "text": "The newest error, in the Engine's own words:" if failing else "",
        "details": "\n".join(word for word in words if word),
    }


def not_applied(service: Service, operations: list[Operation]) -> Json | None:
    """Return why the last change has not reached the swarm, unless an operation here says so."""
    if operations:
        return None
    last = Operation.objects.filter(target_kind="service", target_id=service.pk).first()
    return {
        "kind": "warning",
        "title": "The last change has not reached the swarm",
        "text": "Edit the service, or restart it to try the same again.",
        "details": last.error if last else "",
    }


def comparison(service: Service, tasks: list[Task]) -> list[Json]:
    """Return side by side what is wanted and what runs."""
    running = [task for task in tasks if task.state == "running"]
    images = sorted({task.image.partition("@")[0] for task in running})
    tells = service.generation > service.applied_generation
    wanted = "One on every node" if service.mode.startswith("Global") else f"{service.desired}"
    if service.replicas is not None:
        wanted = f"{service.replicas}"
    return [
        {
            "label": "Image",
            "wanted": service.image,
            "runs": ", ".join(images) or "—",
            "differs": bool(images) and images != [service.image],
            "mono": True,
        },
        {
            "label": "Tasks",
            "wanted": wanted,
            "runs": f"{service.running} of {service.desired}",
            "differs": service.running < service.desired
            or (service.replicas is not None and service.replicas != service.desired),
        },
        {
            "label": "Change",
            "wanted": f"No. {service.generation}",
            "runs": f"No. {service.applied_generation}" if service.applied_generation else "—",
            "differs": tells,
        },
    ]


def task_label(task: Task) -> str:
    """Name a task for people: its slot where it has one, and its node."""
    return f"{task} on {task.node}" if task.node else f"{task}, on no node"


def task_row(task: Task) -> Json:
    """Return what the tables show of a task."""
    node = task.node
    return {
        "task": task,
        "name": str(task),
        "node": node if node and not node.removed_at else None,
        "node_name": str(node) if node else "",
        "kind": TASK_KIND.get(task.state, "neutral"),
        "image": task.image.partition("@")[0],
        "has_terminal": has_terminal(task),
    }


def has_terminal(task: Task) -> bool:
    """Say whether a terminal can be opened: a running container on an attached node."""
    node = task.node
    return bool(
        task.state == "running"
        and task.container_id
        and node
        and node.endpoint_url
        and not node.removed_at
    )


def historic(tasks: list[Task]) -> list[Json]:
    """Return the newest of the tasks that ended."""
    oldest = timezone.now() - timedelta(days=3650)
    ended = sorted(tasks, key=lambda task: task.since or oldest, reverse=True)
    return [task_row(task) for task in ended[:MOST_HISTORIC]]


def shown_drift(service: Service) -> list[Json]:
    """Return each change that was made outside the console, as the page may show it."""
    return [
        {
            "path": ".".join(change.path),
            "wanted": entries(change.shown_before, other=change.shown_after),
            "found": entries(change.shown_after, other=change.shown_before),
        }
        for change in service.drift
    ]


def entries(value: Any, *, other: Any) -> list[Any]:
    """Return a value as lines; of a list only what the other one does not have."""
    if value is None:
        return []
    if not isinstance(value, list) or not isinstance(other, list):
        return [value]
    return [entry for entry in value if entry not in other] or (
        ["In another order"] if sorted(map(str, value)) == sorted(map(str, other)) else []
    )


def service_url(service: Service, page: str) -> str:
    """Return the address of one of the service's pages."""
    return reverse(page, args=[service.cluster.slug, service.name])
