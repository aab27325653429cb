"""The list of all backups of volumes, those that were purged included."""

from collections.abc import Iterable, Sequence
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
# Counting further would read every row only to print a number.
COUNTED = 10_000
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
    rows = VolumeBackup.objects.filter(cluster=cluster).select_related("cluster")
    context = frame(request, cluster, "volume_backups")
    return listed(request, [cluster], rows, context, "backups/volume_backups.html")


@login_required
@require_safe
def company_volume_backups(request: HttpRequest) -> HttpResponse:
    """List the backups of all clusters that the user may see."""
    clusters = list(access.clusters_for(request).select_related("company"))
    chosen = request.GET.get("cluster", "")
    within = [row for row in clusters if row.slug == chosen] or clusters
    # One cluster's rows have an index in the order of their time.
    which = {"cluster": within[0]} if len(within) == 1 else {"cluster__in": within}
    rows = VolumeBackup.objects.filter(**which).select_related("cluster")
    context = {"nav_active": "evidence", "crumbs": company_crumbs(), "clusters": clusters}
    return listed(request, clusters, rows, context, "backups/company_volume_backups.html")


def listed(
    request: HttpRequest,
    clusters: Sequence[Cluster],
    rows: QuerySet[VolumeBackup],
    context: dict[str, Any],
    template: str,
) -> HttpResponse:
    """Narrow the rows as the address says, and draw one page of them."""
    kept = tiers(clusters, timezone.now())
    window = Window(request)
    rows = rows.filter(**window.limits) if not window.error else rows.none()
    volume = request.GET.get("volume", "").strip()
    if volume:
        rows = rows.filter(volume_name=volume)
    level = request.GET.get("verification", "")
    if level in REACHED:
        rows = rows.filter(REACHED[level])
    rule = request.GET.get("tier", "")
    if rule in RULES:
        rows = rows.filter(snapshot__in=[pk for pk, rules in kept.items() if rule in rules])
        rows = rows.filter(CAPTURED, purged_at=None)
    purged = request.GET.get("purged", "")
    if purged in {"yes", "no"}:
        rows = rows.filter(purged_at__isnull=purged == "no")
    listing = Listing(
        request,
        rows,
        columns=COLUMNS,
        search=("volume_name", "node_name"),
        filters=filters(clusters),
        sort="-due",
        counted=COUNTED,
        narrowed=bool(window.first or window.last or volume),
    )
    listing.page.object_list = [line(row, kept) for row in listing.page.object_list]
    context |= {
        "listing": listing,
        "window": window,
        "volume": volume,
        "more_filters": "backups/volume_backups_filters.html",
    }
    return render(request, template, context, status=422 if window.error else 200)


def filters(clusters: Sequence[Cluster]) -> list[Choice]:
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
        Choice("tier", "Kept by", choices("Any rule", RULES), applied=True),
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


def line(row: VolumeBackup, kept: Tiers) -> dict[str, Any]:
    """Return one line of the table."""
    present = row.state == VolumeBackup.State.CAPTURED and not row.purged_at
    return {
        "backup": row,
        "state_kind": STATES[row.state],
        "rules": kept.get(row.snapshot_id, ()) if present else (),
    }
