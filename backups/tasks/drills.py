"""Drills: restore a backup to a scratch volume, compare every file, remove it again."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from backups import jobs
from backups.actions import restores as actions
from backups.agent.volumes import NEVER
from backups.models import Drill, Outcome, VolumeBackup
from backups.tasks.volumes import mount, restore_job
from clusters import engine as engines
from clusters.actions.nodes import record
from clusters.gateway import on_node
from clusters.models import Node
from medstack.failures import Failure, Transient
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
EVERY = timedelta(days=7)
# So many scheduled ones run at once in the whole installation.
AT_ONCE = 2


def row_of(operation: Operation) -> Drill:
    """Return the operation's drill as it is now."""
    rows = Drill.objects.select_related(
        "node", "volume_backup__cluster__company", "volume_backup__snapshot__repository"
    )
    return rows.get(pk=operation.target_id)


def scratch(row: Drill) -> str:
    """Return the name of a drill's scratch volume."""
    return f"medstack-drill-{row.pk}"


def prepare(operation: Operation) -> Waiting | None:
    """Choose a node, the backup's own if it is there, and make the scratch volume."""
    row = row_of(operation)
    if row.node is None:
        backup = row.volume_backup
        ready = [
            node
            for node in Node.objects.present().filter(cluster=backup.cluster)
            if node.status == "Ready"
        ]
        if not ready:
            raise Transient("No node of the cluster answers.")
        ready.sort(key=lambda node: (node.name != backup.node_name, node.name))
        Drill.objects.filter(pk=row.pk).update(node=ready[0])
        row.node = ready[0]
    labels = {"medstack.managed": "true", NEVER: "never"}
    with on_node(row.node, timeout=20) as engine:
        engine.volume_create({"Name": scratch(row), "Driver": "local", "Labels": labels})
    return None


def compare(operation: Operation) -> Waiting | None:
    """Restore, compare, and record what came of it."""
    row = row_of(operation)
    backup = row.volume_backup
    assert row.node
    found = jobs.follow(
        operation, row.node, restore_job(backup, kind="drill"), mounts=[mount(scratch(row), backup)]
    )
    if isinstance(found, Waiting):
        return found
    differences = list(found["differences"])
    if differs := jobs.not_as_stored(found, backup.files, backup.bytes):
        differences.insert(0, differs)
    Drill.objects.filter(pk=row.pk).update(
        duration=timedelta(seconds=found["seconds"]),
        age=row.started_at - backup.due,
        files=found["files"],
        bytes=found["bytes"],
        differences=differences,
    )
    if differences:
        raise Failure(f"The backup is not what was stored. {differences[0]}")
    note(operation, f"{found['files']} files are what was stored ({found['seconds']} s).")
    return None


def conclude(operation: Operation) -> Waiting | None:
    """Remove the scratch volume and record that the backup is proven."""
    finish(operation, Outcome.PASSED)
    return None


def undo(operation: Operation) -> None:
    """Remove the scratch volume and record why the backup is not proven."""
    finish(operation, Outcome.FAILED)


def finish(operation: Operation, outcome: Outcome) -> None:
    """Record how a drill ended, once, and leave nothing behind."""
    row = row_of(operation)
    if row.node:
        jobs.remove(operation, row.node)
        with suppress(engines.EngineError), on_node(row.node, timeout=20) as engine:
            engine.volume_remove(scratch(row))
    now = timezone.now()
    error = operation.error if outcome == Outcome.FAILED else ""
    changed = Drill.objects.filter(pk=row.pk, outcome=Outcome.RUNNING).update(
        outcome=outcome, ended_at=now, error=error
    )
    if not changed:
        return
    # A node that does not answer, and a person who cancels, say nothing about the backup.
    if not error.startswith(("Gave up", "Cancelled")):
        VolumeBackup.objects.filter(pk=row.volume_backup_id).update(drilled_at=now, drilled=outcome)
    after = {"backup": str(row.volume_backup), **({"error": error} if error else {})}
    record(f"drill.{outcome}", row, row.volume_backup.cluster, by=SYSTEM, after=after)


def enqueue_drills() -> None:
    """Begin the drills that are due, a few at a time.

    Each volume's newest backup is drilled once a week, and each month's final one once.
    """
    if not settings.BACKUPS or not settings.SCHEDULED_DRILLS:
        return
    running = Drill.objects.filter(outcome=Outcome.RUNNING).count()
    room = AT_ONCE - running
    if room <= 0:
        return
    since = timezone.now() - EVERY
    tried = Drill.objects.filter(started_at__gt=since).values_list(
        "volume_backup__cluster", "volume_backup__node_name", "volume_backup__volume_name"
    )
    done = set(tried)
    fresh = VolumeBackup.objects.restorable().filter(due__gt=timezone.now() - timedelta(hours=2))
    for backup in fresh.select_related("cluster__company").order_by("-due"):
        key = (backup.cluster_id, backup.node_name, backup.volume_name)
        if room and key not in done:
            done.add(key)
            room -= 1
            begin(backup)
    for backup in month_finals():
        if room:
            room -= 1
            begin(backup)


def begin(backup: VolumeBackup) -> None:
    """Begin a scheduled drill unless one of this backup is at work."""
    with suppress(Failure):
        actions.drill(backup, by=SYSTEM, trigger=Drill.Trigger.SCHEDULED)


def month_finals() -> list[VolumeBackup]:
    """Return each volume's last backup of the month before this one that was never drilled."""
    this = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (this - timedelta(days=1)).replace(day=1)
    rows = VolumeBackup.objects.restorable().filter(due__gte=before, due__lt=this)
    last: dict[tuple[int, str, str], VolumeBackup] = {}
    for row in rows.select_related("cluster__company").order_by("due"):
        last[row.cluster_id, row.node_name, row.volume_name] = row
    tried = Drill.objects.filter(volume_backup__in=last.values())
    known = set(tried.values_list("volume_backup", flat=True))
    return [row for row in last.values() if row.pk not in known]


register.add(
    "volume.drill",
    Kind(
        "Drill",
        (
            Step("Make a scratch volume", prepare),
            Step("Restore and compare every file", compare),
            Step("Remove the scratch volume", conclude),
        ),
        within=timedelta(hours=12),
        on_failure=undo,
        cancellable=True,
    ),
)
