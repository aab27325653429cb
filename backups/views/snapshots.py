"""Pages of snapshots: all of a cluster, one with everything in it, and a new one at once."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from backups import keeping
from backups.actions import snapshots as actions
from backups.levels import lowest
from backups.models import Snapshot, VolumeBackup
from backups.views.frame import frame
from clusters.actions.nodes import record
from clusters.models import Cluster
from clusters.views import docker
from medstack import access
from medstack.failures import Failure
from medstack.listing import Choice, Column, Listing

TAB = "snapshots"
COLUMNS = (
    Column("Time (UTC)", "due"),
    Column("State", "state"),
    Column("Taken", "trigger"),
    Column("Volumes", "volumes_count", numeric=True),
    Column("Size", "bytes", numeric=True),
    Column("New data", "added_bytes", numeric=True),
    Column("Verification"),
    Column("Kept because"),
)
KINDS = {
    Snapshot.State.TAKING: "progress",
    Snapshot.State.COMPLETE: "ok",
    Snapshot.State.PARTIAL: "warning",
    Snapshot.State.FAILED: "danger",
    Snapshot.State.MISSED: "danger",
}


@login_required
@require_safe
def snapshots(request: HttpRequest, slug: str) -> HttpResponse:
    """List a cluster's snapshots, the newest first."""
    cluster = access.cluster_for(request, slug)
    rows = cluster.snapshots.defer("manifest")
    listing = Listing(
        request,
        rows,
        columns=COLUMNS,
        filters=(
            Choice("state", "State", (("", "All"), *Snapshot.State.choices)),
            Choice("trigger", "Taken", (("", "All"), *Snapshot.Trigger.choices)),
        ),
        sort="-due",
    )
    kept, proven = keeping.reasons_for(cluster), proven_of(listing.page.object_list)
    listing.page.object_list = [line(row, kept, proven) for row in listing.page.object_list]
    context = frame(request, cluster, TAB) | docker.running(cluster, "snapshot")
    context |= {"listing": listing, "protection": getattr(cluster, "protection", None)}
    return render(request, "backups/snapshots.html", context)


def proven_of(rows: Iterable[Snapshot]) -> dict[int, str]:
    """Return how far all volumes of each snapshot are proven."""
    found: dict[int, list[str]] = {}
    backups = VolumeBackup.objects.filter(snapshot__in=[row.pk for row in rows], purged_at=None)
    for one in backups.only("snapshot_id", *VolumeBackup.PROOFS).iterator():
        found.setdefault(one.snapshot_id, []).append(one.verification)
    return {pk: lowest(levels) for pk, levels in found.items()}


def line(row: Snapshot, kept: keeping.Reasons, proven: dict[int, str]) -> dict[str, Any]:
    """Return one line of the list."""
    return {
        "snapshot": row,
        "kind": KINDS[Snapshot.State(row.state)],
        "kept": kept.get(row.pk, ()),
        "level": proven.get(row.pk, ""),
    }


def snapshot_for(
    request: HttpRequest, slug: str, pk: int, roles: tuple[str, ...] = access.READ
) -> Snapshot:
    """Return one snapshot of a cluster, or 404 for a stranger."""
    cluster = access.cluster_for(request, slug, roles)
    rows = Snapshot.objects.select_related("cluster__company", "repository", "held_by")
    return get_object_or_404(rows, pk=pk, cluster=cluster)


@login_required
@require_safe
def snapshot(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show a snapshot: its verdict, why, and everything that it holds."""
    found = snapshot_for(request, slug, pk)
    volumes = found.cluster.volume_backups.filter(snapshot=found)
    manifest = json.loads(found.manifest) if found.manifest else {}
    context = frame(request, found.cluster, TAB, within=True)
    context |= docker.of_target(found.cluster, "snapshot", [found.pk])
    context |= {
        "snapshot": found,
        "kind": KINDS[Snapshot.State(found.state)],
        "volumes": volumes.order_by("node_name", "volume_name"),
        "environment": shown(manifest.get("environment") or {}),
        "kept": keeping.reasons_for(found.cluster).get(found.pk, ()),
        "can_own": access.may(request, found.cluster.company, access.OWN),
    }
    return render(request, "backups/snapshot.html", context)


def shown(environment: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the names of what an environment holds, by noun; never a value."""
    if not environment:
        return []
    return [
        {"noun": "Services", "names": [one["Spec"]["Name"] for one in environment["services"]]},
        {"noun": "Configs", "names": [one["Spec"]["Name"] for one in environment["configs"]]},
        {
            "noun": "Secrets",
            "names": [
                one["name"] + ("" if one["restorable"] else f" (not restorable: {one['reason']})")
                for one in environment["secrets"]
            ],
        },
        {"noun": "Registries", "names": [one["address"] for one in environment["registries"]]},
        {"noun": "Networks", "names": [one["Name"] for one in environment["networks"]]},
        {"noun": "Domains", "names": [one["domain"] for one in environment["domain_mappings"]]},
        {"noun": "Nodes", "names": [one["Hostname"] for one in environment["node_labels"]]},
    ]


@login_required
@require_safe
def manifest(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Send a snapshot's manifest, byte by byte as its digest covers it."""
    found = snapshot_for(request, slug, pk, access.OPERATE)
    if not found.manifest:
        raise Http404
    record("snapshot.manifest_downloaded", found, found.cluster, by=access.actor(request))
    response = HttpResponse(found.manifest.encode(), content_type="application/json")
    name = f"{found.cluster.slug}-{found.due:%Y%m%dT%H%M%SZ}.json"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@require_POST
def snapshot_now(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a snapshot at once."""
    cluster: Cluster = access.cluster_for(request, slug, access.OPERATE)
    try:
        operation = actions.snapshot_now(cluster, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
        return redirect(reverse(TAB, args=[slug]))
    return redirect("snapshot", slug, operation.target_id)
