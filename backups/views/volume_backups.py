"""The page of one backup of a volume: what it is, and how far it is proven."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from backups import keeping
from backups.levels import LEVELS, NOTHING
from backups.models import VolumeBackup
from backups.views.frame import frame
from clusters.views import docker
from medstack import access

TAB = "volume_backups"


def backup_for(
    request: HttpRequest, slug: str, pk: int, roles: tuple[str, ...] = access.READ
) -> VolumeBackup:
    """Return one backup of a cluster, or 404 for a stranger."""
    cluster = access.cluster_for(request, slug, roles)
    rows = VolumeBackup.objects.select_related("cluster__company", "snapshot__repository", "node")
    return get_object_or_404(rows, pk=pk, cluster=cluster)


@login_required
@require_safe
def volume_backup(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show a backup with its proofs and restores."""
    found = backup_for(request, slug, pk)
    found.snapshot.cluster = found.cluster
    context = frame(request, found.cluster, TAB, within=True)
    context |= docker.of_target(found.cluster, "volumebackup", [found.pk])
    context |= {
        "backup": found,
        "level": LEVELS.get(found.verification, NOTHING),
        "is_restorable": found.state == VolumeBackup.State.CAPTURED and not found.purged_at,
        "kept": keeping.said(keeping.reasons_for_volumes(found.cluster).get(found.pk, ())),
        "drills": found.drills.select_related("node")[:10],
        "restores": found.restores.select_related("cluster", "node")[:10],
    }
    return render(request, "backups/volume_backup.html", context)
