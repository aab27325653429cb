"""Delete what no rule keeps: forget it by its ids, then delete its data; level-triggered."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from backups import keeping, long_run, opening, restic
from backups.actions import retention as actions
from backups.models import Protection, Repository, Snapshot, VolumeBackup
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Company, Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

# Of restic's ids in one step, which has to be short.
AT_ONCE = 200
STEP_SECONDS = 20
# After the hour's snapshot was adopted, and so long that a run of the same hour is known.
FROM_MINUTE, AGAIN_AFTER = 20, timedelta(minutes=50)


def cluster_of(operation: Operation) -> Cluster:
    """Return the operation's cluster as it is now."""
    return Cluster.objects.select_related("company").get(pk=operation.cluster_id or 0)


def forget_expired(operation: Operation) -> Waiting | None:
    """Forget the expired in the repositories, then note it in the rows; a crash between heals.

    Each step decides anew, so that a hold or a restore that began meanwhile counts.
    """
    cluster = cluster_of(operation)
    decision = keeping.decide(cluster)
    if decision.suspended and decision.suspended not in operation.log:
        note(operation, decision.suspended)
    volumes = list(
        VolumeBackup.objects.filter(pk__in=decision.purge_volumes[:AT_ONCE]).select_related(
            "snapshot__repository"
        )
    )
    snapshots = list(
        Snapshot.objects.filter(pk__in=decision.purge_snapshots[:AT_ONCE])
        .select_related("repository")
        .defer("manifest")
    )
    if not volumes and not snapshots:
        return None
    ids: dict[Repository, set[str]] = {}
    for backup in volumes:
        if backup.snapshot.repository:
            ids.setdefault(backup.snapshot.repository, set()).add(backup.restic_id)
    for snapshot in snapshots:
        if snapshot.repository:
            ids.setdefault(snapshot.repository, set()).update(snapshot.part_ids)
    for row, wanted in ids.items():
        repository = opening.for_console(row)
        # Of the dead only: whoever still backs up keeps us out, and we come back.
        restic.unlock(repository, timeout=STEP_SECONDS)
        restic.forget(repository, sorted(wanted), timeout=STEP_SECONDS)
    note_purged(snapshots, volumes)
    for kind, number in (("snapshots", len(snapshots)), ("volumes", len(volumes))):
        operation.intent[kind] = operation.intent.get(kind, 0) + number
    left = len(decision.purge_volumes) + len(decision.purge_snapshots)
    left -= len(volumes) + len(snapshots)
    return Waiting(f"{left} expired parts are left to be forgotten.", again_in=0.2)


def note_purged(snapshots: list[Snapshot], volumes: list[VolumeBackup]) -> None:
    """Write into the rows, which stay as evidence, when and why their data was deleted."""
    now = timezone.now()
    for row in snapshots:
        row.purged_at = now
        row.purge_reason = keeping.expired(row.due, finished=row.state == Snapshot.State.COMPLETE)
    for backup in volumes:
        backup.purged_at = now
        backup.purge_reason = keeping.expired(backup.due, finished=True)
    Snapshot.objects.bulk_update(snapshots, ("purged_at", "purge_reason"))
    VolumeBackup.objects.bulk_update(volumes, ("purged_at", "purge_reason"))


def unpruned(cluster: Cluster) -> QuerySet[Repository]:
    """Return the repositories, former ones too, that hold data of which the rows say: purged."""
    later = Q(purged_at__gt=OuterRef("pruned_at"))
    snapshots = Snapshot.objects.filter(repository=OuterRef("pk")).exclude(purged_at=None)
    volumes = VolumeBackup.objects.filter(snapshot__repository=OuterRef("pk"))
    volumes = volumes.exclude(purged_at=None)
    never = Q(pruned_at=None) & (Exists(snapshots) | Exists(volumes))
    since = Exists(snapshots.filter(later)) | Exists(volumes.filter(later))
    usable = Repository.objects.filter(cluster=cluster).exclude(initialised_at=None)
    return usable.exclude(password="").filter(never | Q(since)).order_by("pk")


def prune(operation: Operation) -> Waiting | None:
    """Delete the data that nothing needs any more, and measure what is left."""
    for row in unpruned(cluster_of(operation)):
        name = f"prune-{operation.pk}-{row.pk}"
        found = long_run.follow(name, "prune", row)
        if isinstance(found, Waiting):
            return found
        if not found["error"]:
            now = timezone.now()
            Repository.objects.filter(pk=row.pk).update(
                pruned_at=now, size_bytes=found["size"], measured_at=now
            )
        long_run.forget(name)
        if found["error"]:
            raise Failure(found["error"])
    return None


def tell(operation: Operation) -> Waiting | None:
    """Record what was deleted, once for the run."""
    cluster = cluster_of(operation)
    purged = {key: operation.intent.get(key, 0) for key in ("snapshots", "volumes")}
    if any(purged.values()):
        record("retention.purged", cluster, cluster, by=SYSTEM, after=purged)
    note(
        operation,
        f"Purged {purged['snapshots']} snapshots and {purged['volumes']} backups of volumes.",
    )
    return None


def enqueue_purges() -> None:
    """Once an hour, after its snapshot, delete what has expired; nothing is queued for nothing."""
    now = timezone.now()
    if not settings.BACKUPS or now.minute < FROM_MINUTE:
        return
    recent = Operation.objects.filter(
        cluster=OuterRef("cluster"), kind="retention.run", requested_at__gt=now - AGAIN_AFTER
    )
    rows = Protection.objects.exclude(since=None).exclude(Exists(recent))
    # What is left of a subscription that is over is deleted as a whole.
    rows = rows.exclude(cluster__company__subscription=Company.Subscription.PURGED)
    for row in rows.select_related("cluster__company"):
        decision = keeping.decide(row.cluster, now)
        expired = decision.purge_snapshots or decision.purge_volumes
        if expired or unpruned(row.cluster).exists():
            begin(lambda row=row: actions.purge_now(row.cluster, by=SYSTEM))


def begin(action: Any) -> None:
    """Begin something unless something else is at work there: the next tick tries again."""
    try:
        action()
    except Failure:
        return


register.add(
    "retention.run",
    Kind(
        "Purge what has expired",
        (
            Step("Forget what no rule keeps", forget_expired),
            Step("Delete its data", prune),
            Step("Record what was deleted", tell),
        ),
        within=timedelta(hours=12),
    ),
)
