"""Restore a volume: as a new one, or over one whose services stand still meanwhile."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backups import jobs, opening
from backups.actions.snapshots import refuse_without_repository
from backups.agent.messages import Job
from backups.agent.tags import path_of
from backups.models import Outcome, Restore, Snapshot, VolumeBackup
from backups.tasks.snapshots import capture_on_nodes, collect_snapshot
from clusters import engine as engines
from clusters.actions.nodes import record
from clusters.actions.objects import services_that_mount
from clusters.gateway import on_manager, on_node
from clusters.models import Node, Volume
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]


def row_of(operation: Operation) -> Restore:
    """Return the operation's restore as it is now."""
    rows = Restore.objects.select_related(
        "cluster__company", "node__cluster", "volume_backup__snapshot__repository"
    )
    return rows.get(pk=operation.target_id)


def parts_of(row: Restore) -> tuple[Node, VolumeBackup]:
    """Return where a volume is restored to, and from what."""
    assert row.node
    assert row.volume_backup
    return row.node, row.volume_backup


def prepare(operation: Operation) -> Waiting | None:
    """Create the new volume, or take a safety snapshot of what is about to be overwritten."""
    row = row_of(operation)
    node, _ = parts_of(row)
    with on_node(node, timeout=20) as engine:
        present = {one["Name"]: one for one in engine.volumes()}
        labels = {"medstack.restore": str(row.pk)}
        if row.mode == Restore.Mode.NEW:
            found = present.get(row.volume_name)
            if found and (found.get("Labels") or {}).get("medstack.restore") != str(row.pk):
                raise Failure(f"{node.name} has a volume “{row.volume_name}” already.")
            if not found:
                body = {"Name": row.volume_name, "Driver": "local", "Labels": labels}
                engine.volume_create(body)
            return None
    if row.volume_name not in present:
        raise Failure(f"{node.name} has no volume “{row.volume_name}”.")
    return take_safety(operation, row)


def take_safety(operation: Operation, row: Restore) -> Waiting | None:
    """Take a snapshot of the target as it is now, so that nothing is lost."""
    refuse_without_repository(row.cluster)
    if row.safety is None:
        safety = Snapshot.objects.create(
            cluster=row.cluster,
            due=timezone.now().replace(microsecond=0),
            trigger=Snapshot.Trigger.SAFETY,
            operation=operation,
        )
        Restore.objects.filter(pk=row.pk).update(safety=safety)
        row.safety = safety
    if row.safety.state == Snapshot.State.TAKING:
        waiting = capture_on_nodes(operation, row.safety)
        if waiting:
            return waiting
        collect_snapshot(operation, row.safety)
        row.safety.refresh_from_db()
    node, _ = parts_of(row)
    safe = row.safety.volumes.filter(
        node_name=node.name, volume_name=row.volume_name, state=VolumeBackup.State.CAPTURED
    )
    if not safe.exists():
        raise Failure("The volume could not be saved first, so it is not touched.")
    return None


def stop_services(operation: Operation) -> Waiting | None:
    """Let the services that use the volume stand still; remember how many replicas they had."""
    row = row_of(operation)
    node, _ = parts_of(row)
    if row.mode != Restore.Mode.OVER:
        return None
    volume = Volume.objects.get(node=node, name=row.volume_name)
    services = services_that_mount(volume)
    stopped: Json = operation.intent.setdefault("replicas", {})
    with on_manager(row.cluster, timeout=20) as manager:
        for service in services:
            live = manager.service(service.engine_id or service.name)
            mode = live["Spec"]["Mode"]
            if "Replicated" not in mode:
                raise Failure(
                    f"“{service.name}” runs on every node and cannot stand still. Restore to a "
                    "new volume, then change the service."
                )
            if live["ID"] not in stopped:
                stopped[live["ID"]] = mode["Replicated"].get("Replicas", 1)
                # Kept before anything stops, so that nobody forgets to start it again.
                Operation.objects.filter(pk=operation.pk).update(intent=operation.intent)
            if mode["Replicated"].get("Replicas") != 0:
                scale(manager, live, 0)
    with on_node(node) as engine:
        users = [
            one
            for one in engine.containers()
            if row.volume_name in {mount.get("Name") for mount in one.get("Mounts") or []}
        ]
    if users:
        return Waiting(f"{len(users)} containers that use it are stopping.")
    return None


def scale(manager: engines.Engine, live: Json, replicas: int) -> None:
    """Change how many replicas a service has, and nothing else."""
    spec = live["Spec"]
    spec["Mode"]["Replicated"]["Replicas"] = replicas
    manager.service_update(live["ID"], live["Version"]["Index"], spec)


def bring_back(operation: Operation) -> Waiting | None:
    """Let a container on the node restore the files, and compare them with the backup."""
    row = row_of(operation)
    node, backup = parts_of(row)
    result = jobs.follow(
        operation,
        node,
        restore_job(backup, clear=row.mode == row.Mode.OVER),
        mounts=[mount(row.volume_name, backup)],
    )
    if isinstance(result, Waiting):
        return result
    Restore.objects.filter(pk=row.pk).update(result=result)
    note(operation, f"{result['files']} files, {result['bytes']:,} bytes in {result['seconds']} s.")
    return None


def restore_job(backup: VolumeBackup, *, clear: bool = False, kind: str = "restore") -> Job:
    """Return the job that restores a backup into the volume mounted in its place."""
    repository = backup.snapshot.repository
    assert repository
    return Job(
        kind=kind,
        cluster=backup.cluster.slug,
        repository=opening.for_nodes(repository),
        values={
            "snapshot": backup.restic_id,
            "tree": backup.tree,
            "volume": backup.volume_name,
            "files": backup.files,
            "bytes": backup.bytes,
            "clear": clear,
        },
    )


def mount(volume: str, backup: VolumeBackup) -> Json:
    """Return how a volume is mounted: under the name that its backup has the files under."""
    return {"Type": "volume", "Source": volume, "Target": path_of(backup.volume_name)}


def start_services(operation: Operation) -> Waiting | None:
    """Start again what stood still, with as many replicas as before."""
    with_replicas(operation)
    return None


def with_replicas(operation: Operation) -> None:
    """Give every stopped service its replicas back; one that is gone needs none."""
    stopped: Json = operation.intent.get("replicas", {})
    if not stopped:
        return
    row = row_of(operation)
    with on_manager(row.cluster, timeout=20) as manager:
        for service_id, replicas in stopped.items():
            with suppress(engines.NotFound):
                live = manager.service(service_id)
                if live["Spec"]["Mode"]["Replicated"].get("Replicas") != replicas:
                    scale(manager, live, int(replicas))


def conclude(operation: Operation) -> Waiting | None:
    """Record how it ended, and remove the container."""
    row = row_of(operation)
    node, _ = parts_of(row)
    jobs.remove(operation, node)
    finish(row, Outcome.PASSED)
    return None


def finish(row: Restore, outcome: Outcome, error: str = "") -> None:
    """Record how a restore ended, once."""
    changed = Restore.objects.filter(pk=row.pk, outcome=Outcome.RUNNING).update(
        outcome=outcome, ended_at=timezone.now()
    )
    if changed:
        after = {"outcome": outcome, **row.result, **({"error": error} if error else {})}
        record(f"restore.{outcome}", row, row.cluster, by=SYSTEM, after=after)


def undo(operation: Operation) -> None:
    """Start the services again whatever happened, and remove what was only begun."""
    row = row_of(operation)
    node, _ = parts_of(row)
    jobs.remove(operation, node)
    with_replicas(operation)
    if row.mode == Restore.Mode.NEW:
        with suppress(engines.EngineError), on_node(node, timeout=20) as engine:
            found = engine.volume(row.volume_name)
            if (found.get("Labels") or {}).get("medstack.restore") == str(row.pk):
                engine.volume_remove(row.volume_name)
    elif row.safety and operation.step > 2:
        note(operation, f"The volume is as far as the restore came; {row.safety} is its safety.")
    finish(row, Outcome.FAILED, operation.error)


register.add(
    "volume.restore",
    Kind(
        "Restore volume",
        (
            Step("Prepare the volume", prepare),
            Step("Stop the services that use it", stop_services),
            Step("Bring the files back and compare them", bring_back),
            Step("Start the services again", start_services),
            Step("Record the result", conclude),
        ),
        within=timedelta(hours=12),
        on_failure=undo,
        cancellable=True,
    ),
)
