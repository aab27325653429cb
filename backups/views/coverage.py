"""The coverage page: which volume of which node is protected, and which is not and why."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from backups import coverage as deciding
from backups.actions import policies as actions
from backups.forms.coverage import PolicyForm, RecipientsForm
from backups.models import Protection, VolumeBackup, VolumePolicy
from backups.parts import VolumeKey
from backups.views.frame import frame
from clusters.models import Cluster, Volume
from medstack import access

TAB = "coverage"
KINDS = {"protected": "ok", "excluded": "neutral", "anonymous": "neutral", "unprotected": "danger"}


def volumes_of(cluster: Cluster) -> dict[VolumeKey, Volume]:
    """Return every volume that is on a node now, but those that are no data."""
    rows = Volume.objects.present().filter(node__cluster=cluster).select_related("node")
    rows = rows.defer("options", "node__ssh_key", "node__tls_key")
    return {
        VolumeKey(row.node.name, row.name): row
        for row in rows
        if row.labels.get("medstack.backup") != "never"
    }


def last_good(cluster: Cluster) -> dict[VolumeKey, VolumeBackup]:
    """Return the newest backup that could be restored of each volume."""
    good = VolumeBackup.objects.restorable().filter(cluster=cluster).order_by()
    latest = good.values("node_name", "volume_name").annotate(latest=Max("due"))
    wanted = {VolumeKey(one["node_name"], one["volume_name"]): one["latest"] for one in latest}
    rows = good.filter(due__in=set(wanted.values())).select_related("cluster")
    found = {VolumeKey(row.node_name, row.volume_name): row for row in rows.order_by("due")}
    return {key: found[key] for key in wanted}


def covered(cluster: Cluster) -> list[deciding.Row]:
    """Return the state of every volume of a cluster."""
    volumes = volumes_of(cluster)
    backups = {key: one.due for key, one in last_good(cluster).items()}
    policies = VolumePolicy.objects.filter(cluster=cluster).exclude(excluded_reason="")
    exclusions = {
        VolumeKey(one.node_name, one.volume_name): one.excluded_reason for one in policies
    }
    seen = [deciding.Volume(key, row.is_anonymous) for key, row in volumes.items()]
    return deciding.coverage(seen, backups, exclusions, timezone.now())


@login_required
@require_safe
def coverage(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the state of every volume, the unprotected ones first."""
    cluster = access.cluster_for(request, slug)
    volumes = volumes_of(cluster)
    order = ("unprotected", "protected", "excluded", "anonymous")
    rows = sorted(covered(cluster), key=lambda row: (order.index(row.state), row.key))
    counts = [(state, KINDS[state], sum(row.state == state for row in rows)) for state in order]
    protection = Protection.objects.filter(cluster=cluster).first()
    newest = last_good(cluster)
    context = frame(request, cluster, TAB)
    context |= {
        "rows": [
            {
                "row": row,
                "kind": KINDS[row.state],
                "volume": volumes[row.key],
                "backup": newest.get(row.key),
            }
            for row in rows
        ],
        "counts": counts,
        "protection": protection,
        "recipients": (protection.recipients if protection else []),
    }
    return render(request, "backups/coverage.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def volume_policy(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Decide how a volume is backed up."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    volume = get_object_or_404(Volume.objects.select_related("node"), pk=pk, node__cluster=cluster)
    key = {"cluster": cluster, "node_name": volume.node.name, "volume_name": volume.name}
    row = VolumePolicy.objects.filter(**key).first() or VolumePolicy(**key)
    form = PolicyForm(request.POST if request.method == "POST" else None, instance=row)
    if form.is_valid():
        actions.save_policy(form.save(commit=False), by=access.actor(request))
        messages.success(request, f"{volume.name}: the agents hear of it within a minute.")
        return redirect(TAB, slug)
    context = frame(request, cluster, TAB, within=True) | {"form": form, "volume": volume}
    status = 422 if form.is_bound else 200
    return render(request, "backups/volume_policy.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
def recipients(request: HttpRequest, slug: str) -> HttpResponse:
    """Decide who is written to when the cluster is not protected."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    row = Protection.objects.filter(cluster=cluster).first()
    initial = {"addresses": "\n".join(row.recipients if row else [])}
    form = RecipientsForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        actions.save_recipients(cluster, form.cleaned_data["addresses"], by=access.actor(request))
        return redirect(TAB, slug)
    context = frame(request, cluster, TAB, within=True) | {"form": form}
    status = 422 if form.is_bound else 200
    return render(request, "backups/recipients.html", context, status=status)
