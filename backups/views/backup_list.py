"""The list of all backups of volumes, those that were purged included."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from backups.evidence.tiers import RULES, Tiers, tiers
from backups.models import VolumeBackup
from backups.views.evidence import company_crumbs
from backups.views.frame import frame
from clusters.models import Cluster, Node
from medstack import access
from medstack.listing import Choice, Column, Listing

# Only what an index can put in order: there may be millions of rows.
COLUMNS = (
    Column("Volume"),
    Column("Node"),
    Column("Time (UTC)", "due"),
    Column("State"),
    Column("Size", "bytes", numeric=True),
    Column("Added", numeric=True),
    Column("Verification"),
    Column("Kept by"),
)
# The same of several clusters, whose sizes no index has in one order.
COLUMNS_OF_SEVERAL = tuple(
    replace(column, field="") if column.field == "bytes" else column for column in COLUMNS
)
# Counting further would read every row only to print a number. The rows of one cluster have an
# index of their own; of several clusters all rows are read in the order of their time.
COUNTED, COUNTED_OF_SEVERAL = 10_000, 2_000
# So many of the newest of several clusters are searched, unless days are chosen.
SEARCHED = 20_000
CAPTURED = Q(state=VolumeBackup.State.CAPTURED)
FAILED = Q(drilled=VolumeBackup.Drilled.FAILED) | ~Q(check_error="")
DRILLED = Q(drilled=VolumeBackup.Drilled.PASSED)
CHECKED = Q(checked_at__isnull=False)
REACHED = {
    "recorded": CAPTURED & ~FAILED & ~DRILLED & ~CHECKED & ~Q(suspicion=""),
    "plausible": CAPTURED & ~FAILED & ~DRILLED & ~CHECKED & Q(suspicion=""),
    "checked": CAPTURED & ~FAILED & ~DRILLED & CHECKED,
    "drilled": CAPTURED & ~FAILED & DRILLED,
    "failed": CAPTURED & FAILED,
}
STATES = {"captured": "ok", "failed": "danger", "excluded": "neutral"}


class Window:
    """The two days of the filter, as they were typed, and what is wrong with them."""

    def __init__(self, request: HttpRequest) -> None:
        self.first, self.last = request.GET.get("from", ""), request.GET.get("to", "")
        self.error = ""
        self.limits: dict[str, datetime] = {}
        for lookup, typed, more in (("due__gte", self.first, 0), ("due__lt", self.last, 1)):
            if typed:
                try:
                    day = date.fromisoformat(typed) + timedelta(days=more)
                except (ValueError, OverflowError):
                    self.error = f"“{typed[:40]}” is not a day: write it like 2026-11-24."
                    continue
                self.limits[lookup] = datetime(day.year, day.month, day.day, tzinfo=UTC)
        whole = len(self.limits) == 2
        if whole and self.limits["due__gte"] >= self.limits["due__lt"]:
            self.error = "The window is empty: it ends before it begins."


@login_required
@require_safe
def volume_backups(request: HttpRequest, slug: str) -> HttpResponse:
    """List the backups of a cluster's volumes."""
    cluster = access.cluster_for(request, slug)
    rows = VolumeBackup.objects.filter(cluster=cluster).select_related("cluster__company")
    context = frame(request, cluster, "volume_backups")
    return listed(request, [cluster], rows, context, "backups/volume_backups.html", one=True)


@login_required
@require_safe
def company_volume_backups(request: HttpRequest) -> HttpResponse:
    """List the backups of all clusters that the user may see."""
    clusters = list(access.clusters_for(request).select_related("company"))
    chosen = request.GET.get("cluster", "")
    within = [row for row in clusters if row.slug == chosen] or clusters
    # One cluster's rows have an index in the order of their time.
    which = {"cluster": within[0]} if len(within) == 1 else {"cluster__in": within}
    rows = VolumeBackup.objects.filter(**which).select_related("cluster__company")
    one = len(within) == 1
    context = {"nav_active": "evidence", "crumbs": company_crumbs(), "clusters": clusters}
    return listed(request, clusters, rows, context, "backups/company_volume_backups.html", one=one)


def listed(
    request: HttpRequest,
    clusters: Sequence[Cluster],
    rows: QuerySet[VolumeBackup],
    context: dict[str, Any],
    template: str,
    *,
    one: bool,
) -> HttpResponse:
    """Narrow the rows, which may be of one cluster only, and draw one page of them."""
    window = Window(request)
    rows = rows.filter(**window.limits) if not window.error else rows.none()
    volume = request.GET.get("volume", "").strip()
    if volume:
        rows = rows.filter(volume_name=volume)
    level = request.GET.get("verification", "")
    if level in REACHED:
        rows = rows.filter(REACHED[level])
    rule = request.GET.get("tier", "")
    kept: Tiers | None = None
    if rule in RULES and one:
        kept = tiers(clusters, timezone.now())
        rows = rows.filter(snapshot__in=[pk for pk, rules in kept.items() if rule in rules])
        rows = rows.filter(CAPTURED, purged_at=None)
    purged = request.GET.get("purged", "")
    if purged in {"yes", "no"}:
        rows = rows.filter(purged_at__isnull=purged == "no")
    since = None if one or window.limits or not request.GET.get("q") else searched_since(rows)
    listing = Listing(
        request,
        rows.filter(due__gte=since) if since else rows,
        columns=COLUMNS if one else COLUMNS_OF_SEVERAL,
        search=("volume_name", "node_name"),
        filters=filters(clusters, one=one),
        sort="-due",
        counted=COUNTED if one else COUNTED_OF_SEVERAL,
        narrowed=bool(window.first or window.last or volume),
    )
    shown = list(listing.page.object_list)
    if kept is None:
        kept = tiers({row.cluster for row in shown if is_present(row)}, timezone.now())
    listing.page.object_list = [line(row, kept) for row in shown]
    context |= {
        "listing": listing,
        "window": window,
        "searched_since": since,
        "volume": volume,
        "more_filters": "backups/volume_backups_filters.html",
    }
    return render(request, template, context, status=422 if window.error else 200)


def searched_since(rows: QuerySet[VolumeBackup]) -> datetime | None:
    """Return the time of the last row that a search looks at, if there are others before it."""
    last = rows.order_by("-due").values_list("due", flat=True)
    return next(iter(last[SEARCHED : SEARCHED + 1]), None)


def filters(clusters: Sequence[Cluster], *, one: bool) -> list[Choice]:
    """Offer the nodes that there are or were, and the words for what became of backups."""
    nodes = Node.objects.filter(cluster__in=clusters).order_by("name")
    names = list(nodes.values_list("name", flat=True).distinct())
    found = [Choice("node", "Node", choices("All nodes", names), field="node_name")]
    if len(clusters) > 1:
        slugs = [(row.slug, row.name) for row in clusters]
        found.insert(
            0, Choice("cluster", "Cluster", [("", "All clusters"), *slugs], field="cluster__slug")
        )
    return [
        *found,
        Choice("state", "State", [("", "All states"), *VolumeBackup.State.choices]),
        Choice("verification", "Verification", choices("All levels", REACHED), applied=True),
        # What a rule keeps of several clusters would be hundreds of snapshots to look through.
        *([Choice("tier", "Kept by", choices("Any rule", RULES), applied=True)] if one else []),
        Choice(
            "purged",
            "Data",
            [("", "Present and purged"), ("no", "Present"), ("yes", "Purged")],
            applied=True,
        ),
    ]


def choices(everything: str, values: Iterable[str]) -> list[tuple[str, str]]:
    """Return the choices of a filter, the one that filters nothing first."""
    return [("", everything), *((value, value) for value in values)]


def is_present(row: VolumeBackup) -> bool:
    """Say whether a backup's data is there."""
    return row.state == VolumeBackup.State.CAPTURED and not row.purged_at


def line(row: VolumeBackup, kept: Tiers) -> dict[str, Any]:
    """Return one line of the table."""
    return {
        "backup": row,
        "state_kind": STATES[row.state],
        "rules": kept.get(row.snapshot_id, ()) if is_present(row) else (),
    }
