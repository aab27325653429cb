"""What is kept and why, what the next run deletes, and legal holds."""

from collections import Counter
from collections.abc import Iterable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups import keeping
from backups.actions import retention as actions
from backups.models import Snapshot, VolumeBackup
from backups.retention import provisional
from backups.views.frame import frame
from backups.views.snapshots import snapshot_for
from medstack import access
from medstack.failures import Failure
from medstack.models import Operation

TAB = "retention"
SHOWN = 200


class HoldForm(forms.Form):
    """Why a snapshot is held."""

    reason = forms.CharField(max_length=200, help_text="For example the number of the case.")


@login_required
@require_safe
def retention(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what stays, by which rule, and what goes next."""
    cluster = access.cluster_for(request, slug)
    now = timezone.now()
    decision = keeping.decide(cluster, now)
    pks = [*decision.snapshots, *decision.purge_snapshots]
    rows = cluster.snapshots.filter(pk__in=pks).defer("manifest").order_by("-due")
    complete = {row.pk: row.due for row in rows if row.state == Snapshot.State.COMPLETE}
    unsealed = provisional(complete, now=now, zone=keeping.zone())
    kept = [
        {
            "snapshot": row,
            "why": keeping.said(decision.snapshots[row.pk]),
            "so_far": unsealed.get(row.pk, ()),
        }
        for row in rows
        if row.pk in decision.snapshots
    ]
    leaving = set(decision.purge_snapshots)
    volumes = VolumeBackup.objects.filter(pk__in=decision.purge_volumes[:SHOWN])
    outliving = VolumeBackup.objects.filter(pk__in=decision.volumes).exclude(
        snapshot__in=decision.snapshots
    )
    context = frame(request, cluster, TAB) | {
        "kept": kept[:SHOWN],
        "kept_total": len(kept),
        "rules": counted(decision.snapshots.values()),
        "alone": [
            {"backup": one, "why": keeping.said(decision.volumes[one.pk])}
            for one in outliving.select_related("cluster")[:SHOWN]
        ],
        "holds": [one for one in rows if one.hold_reason],
        "leaving": [{"snapshot": row, "why": reason_of(row)} for row in rows if row.pk in leaving][
            :SHOWN
        ],
        "leaving_total": len(decision.purge_snapshots),
        "leaving_volumes": [
            {"backup": one, "why": keeping.expired(one.due, finished=True)}
            for one in volumes.select_related("cluster")
        ],
        "volumes_total": len(decision.purge_volumes),
        "shown": SHOWN,
        "suspended": decision.suspended,
        "runs": Operation.objects.filter(cluster=cluster, kind="retention.run")[:5],
        "zone": keeping.zone().key,
        "can_own": access.may(request, cluster.company, access.OWN),
    }
    return render(request, "backups/retention.html", context)


def counted(reasons: Iterable[tuple[str, ...]]) -> list[tuple[str, int]]:
    """Count how many snapshots each rule keeps."""
    numbers = Counter(rule for why in reasons for rule in why)
    return [(label, numbers[rule]) for rule, label in keeping.LABELS.items() if numbers[rule]]


def reason_of(row: Snapshot) -> str:
    """Say why the next run deletes a snapshot."""
    return keeping.expired(row.due, finished=row.state == Snapshot.State.COMPLETE)


@login_required
@access.confirmed
@require_POST
def purge_now(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete what no rule keeps, now."""
    cluster = access.cluster_for(request, slug, access.OWN)
    try:
        return redirect(actions.purge_now(cluster, by=access.actor(request)).url)
    except Failure as error:
        messages.error(request, str(error))
        return redirect(TAB, slug)


@login_required
@require_http_methods(["GET", "POST"])
def hold_snapshot(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Put a snapshot on legal hold, or release it."""
    found = snapshot_for(request, slug, pk, access.OWN)
    if found.hold_reason and request.method == "POST":
        actions.release(found, by=access.actor(request))
        return redirect(found.get_absolute_url())
    form = HoldForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            actions.hold(found, form.cleaned_data["reason"], by=access.actor(request))
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect(found.get_absolute_url())
    context = frame(request, found.cluster, TAB, within=True)
    context |= {"form": None if found.hold_reason else form, "snapshot": found}
    status = 422 if form.is_bound else 200
    return render(request, "backups/hold.html", context, status=status)
