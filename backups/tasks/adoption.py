"""Look into the repositories for what agents have left there, and name hours that are missing."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from backups import adoption, restic
from backups.models import Protection, Repository, Snapshot
from backups.policy import STOPPED
from backups.schedule import hour_of, missed
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models.events import SYSTEM
from medstack.queue import enqueue

LOOK = "backups.tasks.adoption.look"
OFTEN, SELDOM = timedelta(seconds=45), timedelta(minutes=10)
LONGEST = timedelta(seconds=110)
# The last moment at which an hour's snapshot may still begin, and the time until it is final.
GRACE = timedelta(minutes=65)


def enqueue_looks() -> None:
    """Queue a look into each repository: often while the hour's snapshot is not there yet."""
    if not settings.BACKUPS:
        return
    now = timezone.now()
    for row in Protection.objects.exclude(since=None):
        there = Snapshot.objects.filter(
            cluster=row.cluster_id, due=hour_of(now), state__in=adoption.FINAL
        )
        due = now - (SELDOM if there.exists() else OFTEN)
        claimed = Protection.objects.filter(
            Q(look_claimed_at=None) | Q(look_claimed_at__lt=due), pk=row.pk
        ).update(look_claimed_at=now + LONGEST)
        if claimed:
            enqueue(LOOK, row.cluster_id)


def look(pk: int) -> None:
    """Adopt what is new in a cluster's repository. Safe to run any number of times."""
    cluster = Cluster.objects.select_related("company").get(pk=pk)
    row = Repository.objects.current().filter(cluster=cluster).first()
    problems: list[str] = []
    if row and row.initialised_at:
        try:
            problems = adoption.adopt(cluster, row)
        except (Failure, restic.ResticError) as error:
            problems = [str(error)]
        else:
            name_missed(cluster)
    now = timezone.now()
    Protection.objects.filter(cluster=cluster).update(
        looked_at=now, look_claimed_at=now, look_error="\n".join(problems)
    )


def name_missed(cluster: Cluster) -> None:
    """Record the hours that were due and of which the repository has nothing."""
    row = Protection.objects.get(cluster=cluster)
    if row.since is None or cluster.company.subscription in STOPPED:
        return
    until = min(filter(None, (row.ended_at, timezone.now())))
    known = Snapshot.objects.filter(cluster=cluster, due__gte=row.since - timedelta(hours=2))
    for due in missed(known.values_list("due", flat=True), row.since, until, GRACE):
        snapshot, created = Snapshot.objects.get_or_create(
            cluster=cluster, due=due, defaults={"state": Snapshot.State.MISSED}
        )
        if created:
            record("snapshot.missed", snapshot, cluster, by=SYSTEM)
