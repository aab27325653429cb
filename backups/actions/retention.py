"""Every write a person can make to what is kept: holds, a run now, a check now."""

from django.db import transaction
from django.utils import timezone

from backups.models import Repository, RepositoryCheck, Snapshot
from clusters.actions.nodes import record
from clusters.actions.objects import start
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor


@transaction.atomic
def hold(snapshot: Snapshot, reason: str, *, by: Actor) -> None:
    """Keep a snapshot until somebody releases it, whatever the rules say."""
    if snapshot.purged_at:
        raise Failure("This snapshot was purged already.")
    Snapshot.objects.filter(pk=snapshot.pk).update(
        hold_reason=reason, held_by=by.user, held_at=timezone.now()
    )
    record("snapshot.held", snapshot, snapshot.cluster, by=by, after={"reason": reason})


@transaction.atomic
def release(snapshot: Snapshot, *, by: Actor) -> None:
    """Let the rules decide about a snapshot again."""
    before = {"reason": snapshot.hold_reason}
    Snapshot.objects.filter(pk=snapshot.pk).update(hold_reason="", held_by=None, held_at=None)
    record("snapshot.released", snapshot, snapshot.cluster, by=by, before=before)


@transaction.atomic
def purge_now(cluster: Cluster, *, by: Actor) -> Operation:
    """Delete what no rule keeps."""
    record("retention.requested", cluster, cluster, by=by)
    return start("retention.run", cluster, cluster, by=by, exclusive=f"repository:{cluster.pk}")


@transaction.atomic
def check_now(row: Repository, *, by: Actor) -> Operation:
    """Read the next part of a repository back, and compare it."""
    parts = parts_of(row)
    check = RepositoryCheck.objects.create(
        repository=row,
        part=row.checked_parts % parts + 1,
        parts=parts,
        started_at=timezone.now(),
    )
    record("repository.check_requested", row, row.cluster, by=by, after={"part": str(check)})
    operation = start(
        "repository.check", check, row.cluster, by=by, exclusive=f"repository:{row.cluster_id}"
    )
    RepositoryCheck.objects.filter(pk=check.pk).update(operation=operation)
    return operation


def parts_of(row: Repository) -> int:
    """Return the number of parts: each at most 10 GB, and all are read within 30 days."""
    size = row.size_bytes or 0
    return max(1, min(30, -(-size // 10_000_000_000)))
