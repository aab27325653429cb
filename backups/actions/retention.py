"""Every write a person can make to what is kept: holds, and a run now."""

from django.db import transaction
from django.utils import timezone

from backups.models import Snapshot
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
