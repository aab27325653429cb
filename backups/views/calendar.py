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


def pictures(
    clusters: Collection[Cluster], now: datetime, *, each_hour: bool = True
) -> list[Picture]:
    """Return the pictures of clusters, in their order; or only how each day was."""
    taken = hours(clusters, now, with_sizes=each_hour)
    protections = {row.cluster_id: row for row in Protection.objects.filter(cluster__in=clusters)}
    return [
        drawn(one, protections.get(one.pk), taken[one.pk], now, each_hour=each_hour)
        for one in clusters
    ]


def picture(cluster: Cluster, row: Protection | None, now: datetime) -> Picture:
    """Return the picture of one cluster whose protection is known."""
    return drawn(cluster, row, hours([cluster], now)[cluster.pk], now)


def hours(
    clusters: Collection[Cluster], now: datetime, *, with_sizes: bool = True
) -> dict[int, dict[datetime, Taken]]:
    """Return what was taken of each cluster in the last days."""
    taken: dict[int, dict[datetime, Taken]] = defaultdict(dict)
    rows = Snapshot.objects.filter(cluster__in=clusters, due__gte=now - timedelta(days=DAYS))
    sized = ("bytes", "added_bytes") if with_sizes else ()
    fields = ("cluster_id", "due", "pk", "state", *sized)
    for cluster, due, *values in rows.order_by().values_list(*fields):
        taken[cluster][due] = Taken(*values)
    return taken


def drawn(
    cluster: Cluster,
    row: Protection | None,
    taken: dict[datetime, Taken],
    now: datetime,
    *,
    each_hour: bool = True,
) -> Picture:
    """Draw what was taken of one cluster."""
    since, ended = (row.since, row.ended_at) if row else (None, None)
    return Picture(
        cluster,
        calendar(taken, since=since, ended=ended, now=now, each_hour=each_hour),
        sizes(taken, now=now) if each_hour else None,
    )
