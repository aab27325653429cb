"""Which rules of retention keep the snapshots that are there now."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from backups.keeping import zone
from backups.models import Snapshot
from backups.retention import reasons_to_keep
from clusters.models import Cluster
from medstack.models import Company

RULES = ("hourly", "daily", "weekly", "monthly", "newest", "future", "hold")
Tiers = dict[int, tuple[str, ...]]


def tiers(clusters: Collection[Cluster], now: datetime) -> Tiers:
    """Map each present snapshot that a rule keeps, by its key, to the rules; one query for all."""
    found = Snapshot.objects.restorable().filter(cluster__in=clusters)
    taken: dict[int, dict[int, datetime]] = defaultdict(dict)
    held = set()
    for pk, owner, due, state, hold in found.values_list(
        "pk", "cluster_id", "due", "state", "hold_reason"
    ).order_by():
        if hold:
            held.add(pk)
        if state == Snapshot.State.COMPLETE:
            taken[owner][pk] = due
    kept: Tiers = {}
    for cluster in clusters:
        # The months' finals also stay in the grace of a cancelled subscription.
        lasting = cluster.company.subscription != Company.Subscription.PURGED
        kept |= reasons_to_keep(taken[cluster.pk], now=now, zone=zone(), monthly=lasting)
    return kept | {pk: (*kept.get(pk, ()), "hold") for pk in held}
