"""Pages of restores: what was brought back, where to, by whom, and a new one."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups.actions import restores as actions
from backups.forms.restore import RestoreForm
from backups.models import Outcome, Restore
from backups.views.frame import frame
from backups.views.volume_backups import backup_for
from clusters.views import docker
from medstack import access
from medstack.failures import Failure
from medstack.listing import Choice, Column, Listing

TAB = "restores"
COLUMNS = (
    Column("Begun", "started_at"),
    Column("What"),
    Column("To"),
    Column("Outcome", "outcome"),
    Column("By", "requested_by_name"),
)


@login_required
@require_safe
def restores(request: HttpRequest, slug: str) -> HttpResponse:
    """List what was restored to a cluster."""
    cluster = access.cluster_for(request, slug)
    rows = Restore.objects.filter(cluster=cluster).select_related("snapshot", "node")
    listing = Listing(
        request,
        rows.defer("snapshot__manifest", "plan"),
        columns=COLUMNS,
        search=("volume_name", "requested_by_name"),
        filters=(Choice("outcome", "Outcome", (("", "All"), *Outcome.choices)),),
        sort="-started_at",
    )
    context = frame(request, cluster, TAB) | docker.running(cluster, "restore")
    return render(request, "backups/restores.html", context | {"listing": listing})


@login_required
@require_safe
def restore(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show a restore: where from, where to, and how what came back compares."""
    cluster = access.cluster_for(request, slug)
    rows = Restore.objects.select_related("snapshot__cluster", "volume_backup", "node", "safety")
    found = get_object_or_404(rows, pk=pk, cluster=cluster)
    context = frame(request, cluster, TAB, within=True)
    context |= docker.of_target(cluster, "restore", [found.pk]) | {"restore": found}
    return render(request, "backups/restore.html", context)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def restore_volume(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask where to, then restore a backup."""
    backup = backup_for(request, slug, pk, access.OPERATE)
    form = RestoreForm(request.POST if request.method == "POST" else None, backup=backup)
    if form.is_valid():
        values = form.cleaned_data
        try:
            operation = actions.restore_volume(
                backup, values["node"], values["name"], values["mode"], by=access.actor(request)
            )
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect("restore", values["node"].cluster.slug, operation.target_id)
    context = frame(request, backup.cluster, TAB, within=True) | {"form": form, "backup": backup}
    status = 422 if form.is_bound else 200
    return render(request, "backups/restore_volume.html", context, status=status)


@login_required
@require_POST
def drill(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Prove a backup now."""
    backup = backup_for(request, slug, pk, access.OPERATE)
    try:
        operation = actions.drill(backup, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
        return redirect(backup.get_absolute_url())
    return redirect(operation.url)
