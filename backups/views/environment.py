"""Pages on which an environment is restored: the plan first, then the operation."""

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from backups.actions import environment as actions
from backups.canonical import BadManifest
from backups.forms.environment import MapForm, RestoreForm
from backups.models import Restore, Snapshot
from backups.target import Case, case_of, manifest_of, places_of, suggested
from backups.views.frame import frame
from backups.views.snapshots import snapshot_for
from backups.wanted import environment_of, old_nodes
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack import access
from medstack.failures import Failure

TAB = "snapshots"
Context = dict[str, Any]


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def restore_environment(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show what restoring a snapshot would do, and do it once that is confirmed.

    The map of nodes stands in the address, so that the plan is one page with it.
    """
    snapshot = snapshot_for(request, slug, pk, access.OPERATE)
    context = frame(request, snapshot.cluster, TAB, within=True) | {"snapshot": snapshot}
    try:
        clusters = ready_clusters(request, snapshot)
        cluster = chosen(request, snapshot, clusters)
        form, case = mapped(request, snapshot, cluster, clusters)
    except (Failure, BadManifest) as error:
        context["refused"] = str(error)
        status = 422 if request.method == "POST" else 200
        return render(request, "backups/environment.html", context, status=status)
    confirm = RestoreForm(
        request.POST if request.method == "POST" else None,
        name=cluster.name,
        warnings=case.plan.warnings,
    )
    if confirm.is_valid() and form.is_valid():
        try:
            operation = actions.restore_environment(
                snapshot,
                cluster,
                form.nodes,
                address=form.cleaned_data.get("address", ""),
                accepted=confirm.cleaned_data.get("accept", False),
                by=access.actor(request),
            )
        except Failure as error:
            confirm.add_error(None, str(error))
        else:
            return redirect("restore", cluster.slug, operation.target_id)
    context |= {
        "target": cluster,
        "map_form": form,
        "form": confirm,
        "plan": case.plan,
        "environment": environment_of(case.manifest),
        "is_same": cluster == snapshot.cluster,
    }
    status = 422 if confirm.is_bound or not form.is_valid() else 200
    return render(request, "backups/environment.html", context, status=status)


def ready_clusters(request: HttpRequest, snapshot: Snapshot) -> list[Cluster]:
    """Return the company's clusters that the person may restore to and that have a node."""
    rows = access.clusters_for(request, access.OPERATE).filter(company=snapshot.cluster.company)
    found = list(rows.exclude(swarm_id="").select_related("company"))
    if not found:
        raise Failure("No cluster has a node yet. Create one with a node, then restore to it.")
    return found


def chosen(request: HttpRequest, snapshot: Snapshot, clusters: list[Cluster]) -> Cluster:
    """Return the cluster in the address; else the snapshot's own, or the first that there is."""
    slug = request.GET.get("cluster") or snapshot.cluster.slug
    found = {one.slug: one for one in clusters}
    if slug not in found and "cluster" in request.GET:
        raise Http404
    return found.get(slug, clusters[0])


def mapped(
    request: HttpRequest, snapshot: Snapshot, cluster: Cluster, clusters: list[Cluster]
) -> tuple[MapForm, Case]:
    """Return the form that maps the nodes, and the plan that follows from it."""
    manifest, places = manifest_of(snapshot), places_of(cluster)
    form = MapForm(
        request.GET,
        clusters=clusters,
        cluster=cluster,
        old=[node for node in old_nodes(manifest) if node.reasons],
        places=places,
        suggested=suggested(manifest, places),
        has_balancer=bool(environment_of(manifest).load_balancer),
    )
    return form, case_of(snapshot, cluster, form.nodes)


@login_required
@require_safe
def restore_report(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Send what a restore found when it compared everything, as JSON."""
    cluster = access.cluster_for(request, slug)
    row = get_object_or_404(Restore, pk=pk, cluster=cluster, mode=Restore.Mode.ENVIRONMENT)
    if "report" not in row.result:
        raise Http404
    record("restore.report_downloaded", row, cluster, by=access.actor(request))
    content = json.dumps(row.result["report"], indent=1, ensure_ascii=False)
    response = HttpResponse(content, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="restore-{row.pk}.json"'
    return response
