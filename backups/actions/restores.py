"""Every restore and drill that a person can ask for."""

from django.db import transaction

from backups.models import Drill, Restore, VolumeBackup
from clusters.actions.nodes import record
from clusters.actions.objects import start
from clusters.models import Node
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor


@transaction.atomic
def restore_volume(
    backup: VolumeBackup, node: Node, name: str, mode: str, *, by: Actor
) -> Operation:
    """Restore a backup to a node of any cluster of the company: as a new volume, or over one."""
    refuse_unrestorable(backup)
    if node.cluster.company_id != backup.cluster.company_id:
        raise Failure("A backup is restored to clusters of its own company only.")
    row = Restore.objects.create(
        mode=mode,
        cluster=node.cluster,
        snapshot=backup.snapshot,
        volume_backup=backup,
        node=node,
        volume_name=name,
        expected={"files": backup.files, "bytes": backup.bytes},
        requested_by=by.user,
        requested_by_name=by.name,
    )
    after = {"from": str(backup), "node": node.name, "volume": name, "mode": mode}
    record("restore.requested", row, node.cluster, by=by, after=after)
    operation = start(
        "volume.restore", row, node.cluster, by=by, exclusive=f"restore:{node.pk}:{name}"
    )
    Restore.objects.filter(pk=row.pk).update(operation=operation)
    return operation


@transaction.atomic
def drill(backup: VolumeBackup, *, by: Actor, trigger: str = Drill.Trigger.MANUAL) -> Operation:
    """Prove a backup: restore it to a scratch volume, compare every file, remove it again."""
    refuse_unrestorable(backup)
    row = Drill.objects.create(volume_backup=backup, trigger=trigger, requested_by=by.user)
    record("drill.requested", row, backup.cluster, by=by, after={"backup": str(backup)})
    operation = start("volume.drill", row, backup.cluster, by=by, exclusive=f"drill:{backup.pk}")
    Drill.objects.filter(pk=row.pk).update(operation=operation)
    return operation


def refuse_unrestorable(backup: VolumeBackup) -> None:
    """Refuse what holds nothing, or nothing any more."""
    if backup.purged_at:
        raise Failure(f"This backup was purged on {backup.purged_at:%Y-%m-%d}.")
    if backup.state != VolumeBackup.State.CAPTURED:
        raise Failure("This backup holds nothing that could be restored.")
