"""Pages of nodes: create one, look at it, change its part, remove it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clusters import local, preflight
from clusters.actions import nodes as actions
from clusters.forms.cluster import AttachForm, NodeForm
from clusters.forms.node import LabelsForm, RemoveForm
from clusters.models import Node, Task, Volume
from clusters.tasks.refresh import enqueue_refresh
from clusters.views.status import TASK_KIND, node_kind
from medstack import access
from medstack.failures import Failure
from medstack.models import Event, Operation


@login_required
@require_safe
def choose_provider(request: HttpRequest, slug: str) -> HttpResponse:
    """Offer the ways to get a node, and say why one cannot be had here."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    context = {"cluster": cluster, "reasons": local.supported(), "nav_active": "clusters"}
    return render(request, "clusters/choose_provider.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def new_local_node(request: HttpRequest, slug: str) -> HttpResponse:
    """Create a node with an isolated Engine of its own on this machine."""
    return new_node(request, slug, NodeForm, reasons=local.supported())


@login_required
@require_http_methods(["GET", "POST"])
def attach_node(request: HttpRequest, slug: str) -> HttpResponse:
    """Attach an Engine that already runs."""
    return new_node(request, slug, AttachForm, reasons=[])


def new_node(
    request: HttpRequest, slug: str, form_class: type[NodeForm], *, reasons: list[str]
) -> HttpResponse:
    """Create a node from whichever form provides it."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    form = form_class(request.POST or None, cluster=cluster)
    if reasons and form.is_bound:
        form.add_error(None, "A local node cannot run here: " + " ".join(reasons))
    if form.is_valid():
        node = form.node()
        adopt = bool(form.cleaned_data.get("adopt"))
        actions.create_node(node, by=access.actor(request), adopt=adopt)
        return redirect(node)
    context = {
        "cluster": cluster,
        "form": form,
        "is_first": not Node.objects.present().filter(cluster=cluster).exists(),
        "is_local": form_class is NodeForm,
        "nav_active": "clusters",
    }
    status = 422 if form.is_bound else 200
    return render(request, "clusters/new_node.html", context, status=status)


@login_required
@require_safe
def node(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Show a node: how it was last seen, and what is on it."""
    found = access.node_for(request, slug, name)
    enqueue_refresh(found.cluster_id, older_than=5)
    return render(request, "clusters/node.html", node_context(request, found))


def node_context(request: HttpRequest, node: Node) -> dict[str, Any]:
    """Return what a node's page shows."""
    operations = Operation.objects.filter(target_kind="node", target_id=node.pk)
    tasks = Task.objects.filter(node=node, desired_state="running").select_related("service")
    return {
        "cluster": node.cluster,
        "node": node,
        "kind": node_kind(node),
        "operation": operations.select_related("requested_by").first(),
        "warnings": preflight.warnings(node),
        "labels": actions.own_labels(node.labels),
        "tasks": [
            {"task": task, "kind": TASK_KIND.get(task.state, "neutral")}
            for task in tasks.order_by("service__name", "slot")
        ],
        "volumes": Volume.objects.present().filter(node=node, is_anonymous=False),
        "anonymous_count": Volume.objects.present().filter(node=node, is_anonymous=True).count(),
        "events": Event.objects.filter(subject_kind="node", subject_id=node.pk)[:10],
        "can_operate": access.may(request, node.cluster.company),
        "nav_active": "clusters",
    }


@login_required
@require_POST
def change_role(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Promote or demote."""
    found = access.node_for(request, slug, name, access.OPERATE)
    role = request.POST.get("role", "")
    if role not in Node.Role.values:
        return refused(request, found, "Choose manager or worker.")
    try:
        actions.change_role(found, role, by=access.actor(request))
    except Failure as error:
        return refused(request, found, str(error))
    return redirect(found)


@login_required
@require_POST
def change_availability(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Drain, pause or activate."""
    found = access.node_for(request, slug, name, access.OPERATE)
    availability = request.POST.get("availability", "")
    if availability not in ("active", "pause", "drain"):
        return refused(request, found, "Choose active, pause or drain.")
    try:
        actions.change_availability(found, availability, by=access.actor(request))
    except Failure as error:
        return refused(request, found, str(error))
    return redirect(found)


def refused(request: HttpRequest, node: Node, reason: str) -> HttpResponse:
    """Show the node's page with the reason why what was asked for is not done."""
    messages.error(request, reason)
    return render(request, "clusters/node.html", node_context(request, node), status=422)


@login_required
@require_http_methods(["GET", "POST"])
def change_labels(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Replace the labels that placement constraints can use."""
    found = access.node_for(request, slug, name, access.OPERATE)
    form = LabelsForm(request.POST or None, labels=actions.own_labels(found.labels))
    if form.is_valid():
        try:
            actions.change_labels(found, form.cleaned_data["labels"], by=access.actor(request))
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect(found)
    context = {"cluster": found.cluster, "node": found, "form": form, "nav_active": "clusters"}
    status = 422 if form.is_bound else 200
    return render(request, "clusters/node_labels.html", context, status=status)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def remove_node(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Ask once more, then drain, leave and remove."""
    found = access.node_for(request, slug, name, access.OPERATE)
    others = Node.objects.present().filter(cluster=found.cluster).exclude(pk=found.pk)
    form = RemoveForm(request.POST or None, name=found.name)
    if form.is_valid():
        try:
            actions.remove_node(found, by=access.actor(request), force=form.cleaned_data["force"])
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect("cluster", slug)
    context = {
        "cluster": found.cluster,
        "node": found,
        "form": form,
        "is_last": not others.exists(),
        "volumes": Volume.objects.present().filter(node=found, is_anonymous=False),
        "nav_active": "clusters",
    }
    status = 422 if form.is_bound else 200
    return render(request, "clusters/remove_node.html", context, status=status)
