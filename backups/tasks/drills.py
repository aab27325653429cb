"""Drills: restore a backup to a scratch volume, compare every file, remove it again."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from backups import jobs
from backups.actions import restores as actions
from backups.agent.volumes import NEVER
from backups.models import Drill, Outcome, VolumeBackup
from backups.tasks.volumes import mount, restore_job, was_cancelled
from clusters import engine as engines
from clusters.actions.nodes import record
from clusters.gateway import on_node
from clusters.models import Node
from medstack.failures import Failure, Transient
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
VolumeOf = tuple[int, str, str]
# A drill that could not be done, or that somebody cancelled, is tried again another day.
EVERY, AGAIN = timedelta(days=7), timedelta(days=1)
# An older backup is no volume's newest: the volume is gone, or not backed up any more.
FRESH = timedelta(hours=2)
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
    job, mounts = restore_job(backup, kind="drill"), [mount(scratch(row), backup)]
    try:
        found = jobs.follow(operation, row.node, job, mounts=mounts)
    except jobs.DamagedBackup as error:
        Drill.objects.filter(pk=row.pk).update(differences=[str(error)])
        raise
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
    finish(operation, Outcome.CANCELLED if was_cancelled(operation) else Outcome.FAILED)


def finish(operation: Operation, outcome: Outcome) -> None:
    """Record how a drill ended, once, and leave nothing behind."""
    row = row_of(operation)
    if row.node:
        jobs.remove(operation, row.node)
        with suppress(engines.EngineError), on_node(row.node, timeout=20) as engine:
            engine.volume_remove(scratch(row))
    now = timezone.now()
    error = "" if outcome == Outcome.PASSED else operation.error
    changed = Drill.objects.filter(pk=row.pk, outcome=Outcome.RUNNING).update(
        outcome=outcome, ended_at=now, error=error
    )
    if not changed:
        return
    # A node without room, a storage out of reach and a person who cancels say nothing about it.
    if outcome == Outcome.PASSED or row.differences:
        VolumeBackup.objects.filter(pk=row.volume_backup_id).update(drilled_at=now, drilled=outcome)
    after = {"backup": str(row.volume_backup), **({"error": error} if error else {})}
    record(f"drill.{outcome}", row, row.volume_backup.cluster, by=SYSTEM, after=after)


def enqueue_drills() -> None:
    """Begin the drills that are due, a few at a time.

    Each volume's newest backup is drilled once a week, and each month's final one once. A cluster
    of which no node answers is left out: its drills would only keep the others' from beginning.
    """
    if not settings.BACKUPS or not settings.SCHEDULED_DRILLS:
        return
    now = timezone.now()
    room = AT_ONCE - Drill.objects.filter(outcome=Outcome.RUNNING).count()
    if room <= 0:
        return
    ready = {row.cluster_id for row in Node.objects.present() if row.status == "Ready"}
    for backup in [*newest(now), *month_finals(now)]:
        if room and backup.cluster_id in ready:
            room -= 1
            begin(backup)


def begin(backup: VolumeBackup) -> None:
    """Begin a scheduled drill unless one of this backup is at work."""
    with suppress(Failure):
        actions.drill(backup, by=SYSTEM, trigger=Drill.Trigger.SCHEDULED)


def volume_of(backup: VolumeBackup) -> VolumeOf:
    """Return which volume of which node of which cluster a backup is of."""
    return backup.cluster_id, backup.node_name, backup.volume_name


def newest(now: datetime) -> list[VolumeBackup]:
    """Return the newest backup of each volume of which none was drilled for a week."""
    told = Q(outcome__in=(Outcome.RUNNING, Outcome.PASSED)) | ~Q(differences=[])
    tried = Drill.objects.filter(told | Q(started_at__gt=now - AGAIN), started_at__gt=now - EVERY)
    done = {volume_of(row.volume_backup) for row in tried.select_related("volume_backup")}
    fresh = VolumeBackup.objects.restorable().filter(due__gt=now - FRESH, due__lte=now)
    found: dict[VolumeOf, VolumeBackup] = {}
    for backup in fresh.select_related("cluster__company").order_by("-due"):
        found.setdefault(volume_of(backup), backup)
    return [backup for key, backup in found.items() if key not in done]


def month_finals(now: datetime) -> list[VolumeBackup]:
    """Return each volume's last backup of the month before this one that was never drilled."""
    this = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (this - timedelta(days=1)).replace(day=1)
    rows = VolumeBackup.objects.restorable().filter(due__gte=before, due__lt=this)
    last: dict[VolumeOf, VolumeBackup] = {}
    for row in rows.select_related("cluster__company").order_by("due"):
        last[volume_of(row)] = row
    tried = Drill.objects.filter(volume_backup__in=last.values(), started_at__gt=now - AGAIN)
    known = set(tried.values_list("volume_backup", flat=True))
    return [row for row in last.values() if not row.drilled and row.pk not in known]


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
