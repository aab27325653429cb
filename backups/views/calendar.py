"""What the calendar of one or of many clusters needs, in two queries however many there are."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from backups.calendar import DAYS, Calendar, Sizes, Taken, calendar, sizes
from backups.models import Protection, Snapshot
from clusters.models import Cluster


@dataclass(frozen=True)
class Picture:
    """The last 30 days of one cluster; templates/backups/calendar.html draws it."""

    cluster: Cluster
    calendar: Calendar
    sizes: Sizes | None


def pictures(clusters: Collection[Cluster], now: datetime) -> list[Picture]:
    """Return the pictures of clusters, in their order."""
    taken: dict[int, dict[datetime, Taken]] = defaultdict(dict)
    rows = Snapshot.objects.filter(cluster__in=clusters, due__gte=now - timedelta(days=DAYS))
    fields = ("cluster_id", "due", "pk", "state", "bytes", "added_bytes")
    for cluster, due, *values in rows.order_by().values_list(*fields):
        taken[cluster][due] = Taken(*values)
    protections = {row.cluster_id: row for row in Protection.objects.filter(cluster__in=clusters)}
    found = []
    for cluster in clusters:
        row = protections.get(cluster.pk)
        since, ended = (row.since, row.ended_at) if row else (None, None)
        hours = taken[cluster.pk]
        found.append(
            Picture(
                cluster,
                calendar(hours, since=since, ended=ended, now=now),
                sizes(hours, now=now),
            )
        )
    return found
