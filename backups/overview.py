"""How well many clusters are protected, in as many queries for many as for one."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from backups.calendar import Cell, Taken, last_day, said
from backups.models import Protection, Repository, Snapshot
from backups.schedule import against_promise
from clusters.models import Cluster

KINDS = {"fresh": "ok", "warning": "warning", "critical": "danger"}


@dataclass(frozen=True)
class Overview:
    """What a person wants to know of one cluster's backups."""

    cluster: Cluster
    age: timedelta | None
    kind: str
    is_expected: bool
    cells: tuple[Cell, ...]
    bytes: int

    @property
    def text(self) -> str:
        """Return in words what the strip of hours shows."""
        return said(self.cells)


@dataclass(frozen=True)
class Overviews:
    """The clusters of one page, and what is true of all clusters together."""

    page: list[Overview]
    expected: int
    kept: int
    bytes: int


def overviews(clusters: QuerySet[Cluster], page: Collection[Cluster], now: datetime) -> Overviews:
    """Return how the clusters of a page are protected, and the sums over all clusters."""
    complete = Snapshot.objects.filter(
        cluster=OuterRef("cluster"), state=Snapshot.State.COMPLETE, purged_at=None
    )
    last = Subquery(complete.order_by("-due").values("due")[:1])
    rows = Protection.objects.filter(cluster__in=clusters).annotate(last=last)
    protections = {row.cluster_id: row for row in rows}
    stored = Repository.objects.filter(cluster__in=clusters).order_by().values_list("cluster")
    sizes = {cluster: size or 0 for cluster, size in stored.annotate(Sum("size_bytes"))}
    hours = hours_of(page, now)
    expected = {pk: row for pk, row in protections.items() if row.since and not row.ended_at}
    return Overviews(
        page=[
            overview(one, protections.get(one.pk), hours[one.pk], sizes.get(one.pk, 0), now)
            for one in page
        ],
        expected=len(expected),
        kept=sum(kind(row, row.last, now) == "ok" for row in expected.values()),
        bytes=sum(sizes.values()),
    )


def overview(
    cluster: Cluster,
    row: Protection | None,
    hours: dict[datetime, Taken],
    size: int,
    now: datetime,
) -> Overview:
    """Return how one cluster is protected."""
    since, ended = (row.since, row.ended_at) if row else (None, None)
    last: datetime | None = getattr(row, "last", None)
    return Overview(
        cluster=cluster,
        age=now - last if last else None,
        kind=kind(row, last, now) if row else "neutral",
        is_expected=bool(since and not ended),
        cells=last_day(hours, since=since, ended=ended, now=now),
        bytes=size,
    )


def kind(row: Protection, last: datetime | None, now: datetime) -> str:
    """Return the colour that repeats how old a cluster's last complete snapshot is."""
    since = last or row.since
    if row.ended_at or not since:
        return "neutral"
    return KINDS[against_promise(since, now)]


def hours_of(page: Collection[Cluster], now: datetime) -> dict[int, dict[datetime, Taken]]:
    """Return what was taken of each cluster in the last day."""
    found: dict[int, dict[datetime, Taken]] = defaultdict(dict)
    rows = Snapshot.objects.filter(cluster__in=page, due__gte=now - timedelta(days=1))
    for cluster, due, pk, state in rows.order_by().values_list("cluster_id", "due", "pk", "state"):
        found[cluster][due] = Taken(pk, state)
    return found
