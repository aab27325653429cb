"""Let services stand still while their volume is overwritten; start them again whatever happens.

How many replicas they had is kept in the operation before the first one stops, and stays there
until they have them back: whoever is killed, and whatever is out of reach, the tick goes on.
"""

from contextlib import suppress
from typing import Any

from backups.agent.freezing import CAPTURE
from clusters import engine as engines
from clusters.actions.objects import services_that_mount
from clusters.gateway import on_manager, on_node
from clusters.models import Cluster, Volume
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Waiting, note
from medstack.queue import enqueue

Json = dict[str, Any]
REPLICAS = "replicas"
AGAIN = "backups.tasks.standstill.start_again"
SERVICE = "com.docker.swarm.service.id"


def stop(operation: Operation, volume: Volume) -> Waiting | None:
    """Let all that uses a volume stand still; raise Failure where something else keeps using it."""
    cluster = volume.node.cluster
    stopped: Json = operation.intent.setdefault(REPLICAS, {})
    with on_manager(cluster, timeout=20) as manager:
        lives = mounting(manager, volume)
        refuse_others(volume, {live["ID"] for live in lives})
        for live in lives:
            replicas = live["Spec"]["Mode"]["Replicated"].get("Replicas", 1)
            if live["ID"] not in stopped:
                stopped[live["ID"]] = replicas
                # Kept before anything stops, so that nobody forgets to start it again.
                Operation.objects.filter(pk=operation.pk).update(intent=operation.intent)
            if replicas:
                scale(manager, live, 0)
    if left := len(users(volume)):
        return Waiting(f"{left} containers that use it are stopping.")
    return None


def mounting(manager: engines.Engine, volume: Volume) -> list[Json]:
    """Return the services that mount a volume; refuse those that cannot stand still."""
    lives = []
    for service in services_that_mount(volume):
        with suppress(engines.NotFound):
            lives.append(manager.service(service.engine_id or service.name))
    for live in lives:
        if "Replicated" not in live["Spec"]["Mode"]:
            raise Failure(
                f"“{live['Spec']['Name']}” has no number of replicas and cannot stand still. "
                "Restore to a new volume, then change the service."
            )
    return lives


def refuse_others(volume: Volume, services: set[str]) -> None:
    """Refuse, before anything stops, a volume that a container of no such service has open."""
    others = [
        str(one["Names"][0]).removeprefix("/")
        for one in users(volume)
        if labels_of(one).get(SERVICE) not in services and CAPTURE not in labels_of(one)
    ]
    if others:
        raise Failure(
            f"{volume.node.name}: {', '.join(others)} uses the volume and belongs to no service "
            "that could stand still meanwhile. Stop it first."
        )


def labels_of(container: Json) -> Json:
    """Return a listed container's labels."""
    return container.get("Labels") or {}


def users(volume: Volume) -> list[Json]:
    """Return the running containers that have a volume mounted."""
    with on_node(volume.node) as engine:
        return [
            one
            for one in engine.containers()
            if volume.name in {mount.get("Name") for mount in one.get("Mounts") or []}
        ]


def scale(manager: engines.Engine, live: Json, replicas: int) -> None:
    """Change how many replicas a service has, and nothing else."""
    spec = live["Spec"]
    spec["Mode"]["Replicated"]["Replicas"] = replicas
    manager.service_update(live["ID"], live["Version"]["Index"], spec)


def start(operation: Operation, cluster: Cluster) -> None:
    """Give every stopped service its replicas back, unless it is gone or was started meanwhile."""
    stopped: Json = operation.intent.get(REPLICAS, {})
    if stopped:
        with on_manager(cluster, timeout=20) as manager:
            for service_id, replicas in stopped.items():
                with suppress(engines.NotFound):
                    live = manager.service(service_id)
                    if replicas and not live["Spec"]["Mode"]["Replicated"].get("Replicas"):
                        scale(manager, live, int(replicas))
    if REPLICAS in operation.intent:
        del operation.intent[REPLICAS]
        Operation.objects.filter(pk=operation.pk).update(intent=operation.intent)


def start_or_remember(operation: Operation, cluster: Cluster) -> None:
    """Start the services again after a failure; where that fails as well, the tick goes on."""
    try:
        start(operation, cluster)
    except Failure as error:
        note(operation, f"The services are started again as soon as that is possible. {error}")


def enqueue_forgotten() -> None:
    """Queue the start of services that a restore has left standing still when it ended."""
    rows = Operation.objects.filter(kind="volume.restore", intent__has_key=REPLICAS)
    for pk in rows.exclude(state__in=Operation.ACTIVE).values_list("pk", flat=True):
        enqueue(AGAIN, pk)


def start_again(pk: int) -> None:
    """Start what an ended operation left standing still. Safe to run any number of times."""
    operation = Operation.objects.select_related("cluster").get(pk=pk)
    if operation.cluster:
        # What cannot be reached now is tried again by the next tick.
        with suppress(engines.EngineError):
            start(operation, operation.cluster)
