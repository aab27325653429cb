"""Restore a volume: as a new one, or over one whose services stand still meanwhile.

What can be refused is refused before anything is made, saved or stopped.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backups import jobs, opening
from backups.actions.snapshots import refuse_without_repository
from backups.agent.messages import Job
from backups.agent.tags import path_of
from backups.models import Outcome, Restore, Snapshot, VolumeBackup
from backups.tasks import standstill
from backups.tasks.snapshots import capture_on_nodes, collect_snapshot
from clusters import engine as engines
from clusters.actions.nodes import record
from clusters.gateway import on_node
from clusters.models import Node, Volume
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
LABEL, ROOM = "medstack.restore", "room"


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


def look(operation: Operation) -> Waiting | None:
    """Refuse a volume that is there, or is not, against what was asked, and one that has no room.

    It is listed first: Docker would make an empty one to be measured in its place.
    """
    row = row_of(operation)
    node, backup = parts_of(row)
    is_new = row.mode == Restore.Mode.NEW
    with on_node(node, timeout=20) as engine:
        present = {one["Name"]: one for one in engine.volumes()}
    if not is_new and row.volume_name not in present:
        raise Failure(f"{node.name} has no volume “{row.volume_name}”.")
    if is_new and row.volume_name in present and not is_ours(row, present[row.volume_name]):
        raise Failure(f"{node.name} has a volume “{row.volume_name}” already.")
    mounts = [] if is_new else [mount(row.volume_name, backup)]
    job = restore_job(backup, kind="room", clear=not is_new)
    found = jobs.follow(operation, node, job, name=ROOM, mounts=mounts)
    if isinstance(found, Waiting):
        return found
    jobs.remove(operation, node, ROOM)
    if found["free"] < backup.bytes:
        raise Failure(
            f"{node.name} has no room: the backup needs {backup.bytes / 1e6:,.0f} MB, and "
            f"{found['free'] / 1e6:,.0f} MB are free. Nothing was changed."
        )
    return None


def is_ours(row: Restore, volume: Json) -> bool:
    """Say whether this restore has made a volume."""
    return bool((volume.get("Labels") or {}).get(LABEL) == str(row.pk))


def prepare(operation: Operation) -> Waiting | None:
    """Create the new volume, or take a safety snapshot of what is about to be overwritten."""
    row = row_of(operation)
    node, _ = parts_of(row)
    if row.mode != Restore.Mode.NEW:
        return take_safety(operation, row)
    with on_node(node, timeout=20) as engine:
        present = {one["Name"]: one for one in engine.volumes()}
        if row.volume_name not in present:
            body = {"Name": row.volume_name, "Driver": "local", "Labels": {LABEL: str(row.pk)}}
            engine.volume_create(body)
        elif not is_ours(row, present[row.volume_name]):
            raise Failure(f"{node.name} has a volume “{row.volume_name}” already.")
    return None


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
    """Let the services that use the volume stand still."""
    row = row_of(operation)
    if row.mode != Restore.Mode.OVER:
        return None
    rows = Volume.objects.select_related("node__cluster")
    return standstill.stop(operation, rows.get(node=row.node, name=row.volume_name))


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
    if differs := jobs.not_as_stored(result, backup.files, backup.bytes):
        raise Failure(differs)
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
    standstill.start(operation, row_of(operation).cluster)
    return None


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
    for name in ("", ROOM):
        jobs.remove(operation, node, name)
    standstill.start_or_remember(operation, row.cluster)
    if row.mode == Restore.Mode.NEW:
        with suppress(engines.EngineError), on_node(node, timeout=20) as engine:
            if is_ours(row, engine.volume(row.volume_name)):
                engine.volume_remove(row.volume_name)
    elif row.safety and operation.step >= BRINGING_BACK:
        note(operation, f"The volume is as far as the restore came; {row.safety} is its safety.")
    outcome = Outcome.CANCELLED if was_cancelled(operation) else Outcome.FAILED
    finish(row, outcome, operation.error)


def was_cancelled(operation: Operation) -> bool:
    """Say whether it ended because somebody asked for that, not because it failed before."""
    return bool(operation.cancel_requested_by) and operation.error.startswith("Cancelled")


STEPS = (
    Step("Look at the node and its room", look),
    Step("Prepare the volume", prepare),
    Step("Stop the services that use it", stop_services),
    Step("Bring the files back and compare them", bring_back),
    Step("Start the services again", start_services),
    Step("Record the result", conclude),
)
BRINGING_BACK = [step.run for step in STEPS].index(bring_back)

register.add(
    "volume.restore",
    Kind(
        "Restore volume",
        STEPS,
        within=timedelta(hours=12),
        on_failure=undo,
        cancellable=True,
    ),
)
