"""What is kept and why, what the next run deletes, and legal holds."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups import keeping
from backups.actions import retention as actions
from backups.models import Repository, Snapshot
from backups.retention import provisional
from backups.views.frame import frame
from backups.views.snapshots import snapshot_for
from medstack import access
from medstack.failures import Failure

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
    rows = Snapshot.objects.filter(pk__in=pks).defer("manifest").order_by("-due")
    complete = {row.pk: row.due for row in rows if row.state == Snapshot.State.COMPLETE}
    unsealed = provisional(complete, now=now, zone=keeping.zone())
    kept = [
        {"snapshot": row, "why": decision.snapshots[row.pk], "so_far": unsealed.get(row.pk, ())}
        for row in rows
        if row.pk in decision.snapshots
    ]
    context = frame(request, cluster, TAB) | {
        "kept": kept[:SHOWN],
        "kept_total": len(kept),
        "leaving": [row for row in rows if row.pk in set(decision.purge_snapshots)][:SHOWN],
        "leaving_total": len(decision.purge_snapshots),
        "volumes_total": len(decision.purge_volumes),
        "suspended": decision.suspended,
        "zone": keeping.zone().key,
        "can_own": access.may(request, cluster.company, access.OWN),
    }
    return render(request, "backups/retention.html", context)


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


@login_required
@require_POST
def check_repository(request: HttpRequest, slug: str) -> HttpResponse:
    """Read the next part of the repository back, now."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    row = Repository.objects.current().filter(cluster=cluster).exclude(initialised_at=None).first()
    try:
        if row is None:
            raise Failure("The cluster's repository is not ready yet.")
        return redirect(actions.check_now(row, by=access.actor(request)).url)
    except Failure as error:
        messages.error(request, str(error))
        return redirect("repository", slug)
