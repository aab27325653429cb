"""Every write a person can make to snapshots."""

from django.db import transaction
from django.utils import timezone

from backups.models import Repository, Snapshot
from backups.policy import STOPPED
from backups.schedule import asked_at
from clusters.actions.nodes import record
from clusters.actions.objects import start
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor


@transaction.atomic
def snapshot_now(
    cluster: Cluster, *, by: Actor, trigger: str = Snapshot.Trigger.MANUAL
) -> Operation:
    """Take a snapshot of a cluster at once."""
    refuse_without_repository(cluster)
    due = asked_at(timezone.now())
    row, created = Snapshot.objects.get_or_create(
        cluster=cluster, due=due, defaults={"trigger": trigger}
    )
    if not created:
        raise Failure("A snapshot was begun this very second.")
    record("snapshot.requested", row, cluster, by=by, after={"trigger": trigger})
    operation = start("snapshot.take", row, cluster, by=by, exclusive=f"snapshot:{cluster.pk}")
    Snapshot.objects.filter(pk=row.pk).update(operation=operation)
    return operation


def refuse_without_repository(cluster: Cluster) -> Repository:
    """Return the cluster's repository, or say why nothing can be stored."""
    if cluster.company.subscription in STOPPED:
        raise Failure("The subscription is cancelled: no new snapshots are taken.")
    found = Repository.objects.current().filter(cluster=cluster).first()
    if found is None or found.initialised_at is None:
        raise Failure("The cluster's repository is not ready yet.")
    return found
