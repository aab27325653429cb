"""Write what the swarm says about services and their tasks into rows."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from clusters.models import Cluster, Node, Service, Task
from clusters.observation import moment
from clusters.spec import SERVICE_LABEL
from clusters.tasks.observe import differs
from medstack.models import Operation

Json = dict[str, Any]
# Services of the console's own that do passing work; they are not an operator's.
HELPERS = ("medstack-op-", "medstack-secrets-", "medstack-agent")
TASK_COLUMNS = (
    "node_id slot state desired_state message error exit_code container_id image since".split()
)


def save_services(
    cluster: Cluster, services: list[Json], tasks: list[Json], *, asked_at: datetime
) -> None:
    """Make the services' and tasks' rows match the swarm's."""
    listed = [service for service in services if not service["Spec"]["Name"].startswith(HELPERS)]
    rows = {row.name: row for row in Service.objects.present().filter(cluster=cluster)}
    for service in listed:
        row = rows.get(service["Spec"]["Name"]) or adopt(cluster, service, asked_at=asked_at)
        if row and is_of(service, row):
            save_service(row, service)
            rows[row.name] = row
    ids = [service["ID"] for service in listed]
    missing = cluster.services.filter(~Q(engine_id__in=ids), deleted_at=None)
    # A list that was read just before a creation lacks what is not missing at all.
    missing.filter(observed__isnull=False).exclude(pk__in=busy(cluster, asked_at)).update(
        engine_id="", observed=None, running=0, update_status={}
    )
    save_tasks(cluster, {row.engine_id: row for row in rows.values() if row.engine_id}, tasks)


def busy(cluster: Cluster, since: datetime) -> QuerySet[Operation, int]:
    """Return the services on which an operation is, or was a moment ago, at work."""
    at_work = Q(state__in=Operation.ACTIVE) | Q(ended_at__gte=since)
    found = Operation.objects.filter(at_work, cluster=cluster, target_kind="service")
    return found.values_list("target_id", flat=True)


def is_of(service: Json, row: Service) -> bool:
    """Say whether a live service is the row's; until ours was made, one of its name is another."""
    owner = (service["Spec"].get("Labels") or {}).get(SERVICE_LABEL)
    return row.applied is not None or owner == str(row.pk)


def adopt(cluster: Cluster, service: Json, *, asked_at: datetime) -> Service | None:
    """Take up a service that was created outside the console, just as it is."""
    spec = service["Spec"]
    if cluster.services.filter(name=spec["Name"], deleted_at__gte=asked_at).exists():
        # It was deleted after the manager had listed it; it must not come back as a ghost.
        return None
    try:
        with transaction.atomic():
            return Service.objects.create(
                cluster=cluster,
                name=spec["Name"],
                spec=spec,
                applied=spec,
                readback=spec,
                applied_generation=1,
                engine_id=service["ID"],
                is_external=True,
            )
    except IntegrityError:
        # An operator saved the same name at this very moment; the next look sorts it out.
        return None


def save_service(row: Service, service: Json) -> None:
    """Save a service's live spec and state, unless a newer one is saved already."""
    version = service["Version"]["Index"]
    status = service.get("ServiceStatus") or {}
    is_job = any(mode.endswith("Job") for mode in service["Spec"].get("Mode") or {})
    image = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Image", "")
    values = {
        "engine_id": service["ID"],
        "observed": service["Spec"],
        "observed_version": version,
        "update_status": service.get("UpdateStatus") or {},
        "running": status.get("CompletedTasks" if is_job else "RunningTasks", 0),
        "desired": status.get("DesiredTasks", 0),
        "image_digest": image.partition("@")[2],
    }
    if differs(row, values):
        Service.objects.filter(pk=row.pk).filter(
            Q(observed_version=None)
            | Q(observed_version__lte=version)
            | ~Q(engine_id=service["ID"])
        ).update(**values)
    row.engine_id = service["ID"]


def save_tasks(cluster: Cluster, services: dict[str, Service], tasks: list[Json]) -> None:
    """Make the tasks' rows match: insert, change, and drop what the swarm has forgotten."""
    nodes = {
        node.swarm_node_id: node.pk
        for node in Node.objects.filter(cluster=cluster)
        if node.swarm_node_id
    }
    known = {row.engine_id: row for row in Task.objects.filter(cluster=cluster)}
    fresh, changed = [], []
    for task in tasks:
        service = services.get(task.get("ServiceID", ""))
        if service is None:
            continue
        values = task_values(task, nodes)
        row = known.pop(task["ID"], None)
        if row is None:
            fresh.append(Task(cluster=cluster, service=service, engine_id=task["ID"], **values))
        elif differs(row, values):
            for key, value in values.items():
                setattr(row, key, value)
            changed.append(row)
    Task.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)
    Task.objects.bulk_update(changed, TASK_COLUMNS, batch_size=500)
    Task.objects.filter(pk__in=[row.pk for row in known.values()]).delete()


def task_values(task: Json, nodes: dict[str, int]) -> Json:
    """Return the columns of one task."""
    status = task["Status"]
    container = status.get("ContainerStatus") or {}
    return {
        "node_id": nodes.get(task.get("NodeID", "")),
        "slot": task.get("Slot"),
        "state": status["State"],
        "desired_state": task.get("DesiredState", ""),
        "message": status.get("Message", ""),
        "error": status.get("Err", ""),
        "exit_code": container.get("ExitCode"),
        "container_id": container.get("ContainerID", ""),
        "image": task["Spec"].get("ContainerSpec", {}).get("Image", "")[:255],
        "since": moment(status["Timestamp"]) if status.get("Timestamp") else None,
    }
