"""The list of clusters, and one cluster's page."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from clusters import preflight
from clusters.actions import nodes as actions
from clusters.forms.cluster import ClusterForm
from clusters.models import Cluster, DomainMapping, LoadBalancer, Node, Task
from clusters.tasks.refresh import enqueue_refresh
from clusters.views.dashboard import Summary, counts
from clusters.views.status import TASK_KIND, domain_kind, node_kind
from medstack import access
from medstack.listing import Column, Listing
from medstack.models import Operation

LATEST, MOST_DOMAINS = 8, 8


@login_required
@require_safe
def clusters(request: HttpRequest) -> HttpResponse:
    """List the clusters with what runs in them."""
    present = Q(nodes__removed_at=None)
    rows = (
        access.clusters_for(request)
        .select_related("company")
        .annotate(
            node_count=Count("nodes", filter=present, distinct=True),
            service_count=Count("services", filter=Q(services__deleted_at=None), distinct=True),
        )
    )
    listing = Listing(
        request,
        rows,
        columns=(
            Column("Cluster", "name"),
            Column("Status"),
            Column("Nodes", "node_count", numeric=True),
            Column("Services", "service_count", numeric=True),
            Column("Company", "company__name"),
            Column("Last look", "observed_at"),
        ),
        search=("name", "company__name"),
        sort="name",
    )
    page = list(listing.page.object_list)
    counted = counts(Cluster.objects.filter(pk__in=[row.pk for row in page]), timezone.now())
    listing.page.object_list = [Summary(row, **counted.get(row.pk, {})) for row in page]
    user = access.user_of(request)
    can_create = access.companies_for(user, access.OPERATE).exists()
    return render(
        request,
        "clusters/clusters.html",
        {"listing": listing, "can_create": can_create, "nav_active": "clusters"},
    )


@login_required
@require_http_methods(["GET", "POST"])
def new_cluster(request: HttpRequest) -> HttpResponse:
    """Create a cluster and go on to its first node."""
    companies = access.companies_for(access.user_of(request), access.OPERATE)
    form = ClusterForm(request.POST or None, companies=companies)
    if form.is_valid():
        cluster = actions.create_cluster(
            form.cleaned_data["company"],
            form.cleaned_data["name"],
            by=access.actor(request),
            plain=form.cleaned_data.get("lab_plain_network", False),
        )
        return redirect("new_node", cluster.slug)
    return render(
        request,
        "clusters/new_cluster.html",
        {"form": form, "nav_active": "clusters"},
        status=422 if form.is_bound else 200,
    )


@login_required
@require_safe
def cluster(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a cluster: its nodes, what runs where, and what is going on."""
    found = access.cluster_for(request, slug)
    enqueue_refresh(found.pk, older_than=5)
    nodes = list(found.nodes.filter(removed_at=None))
    operations = active_and_latest(found)
    active = [operation for operation in operations if operation.is_active][:10]
    return render(
        request,
        "clusters/cluster.html",
        {
            "cluster": found,
            "nodes": nodes,
            "rows": [
                {"node": node, "kind": node_kind(node), "warnings": preflight.warnings(node)}
                for node in nodes
            ],
            "task_map": task_map(found, nodes),
            "operations": active,
            "recent": operations[:LATEST],
            "events": found.events.all()[:10],
            "warnings": cluster_warnings(found, nodes),
            "can_operate": access.may(request, found.company),
            "is_settling": bool(active) or (found.is_stale and bool(nodes)),
            "nav_active": "clusters",
        }
        # What does not change while something runs is not asked for every two seconds.
        | ({} if request.htmx else way_in(found)),  # type: ignore[attr-defined]
    )


def active_and_latest(cluster: Cluster) -> list[Operation]:
    """Return the operations that still run and the latest ones, the newest first."""
    rows = Operation.objects.filter(cluster=cluster)
    latest = rows.order_by("-pk").values("pk")[:LATEST]
    wanted = rows.filter(Q(state__in=Operation.ACTIVE) | Q(pk__in=latest))
    return list(wanted.select_related("requested_by").order_by("-pk"))


def way_in(cluster: Cluster) -> dict[str, Any]:
    """Return the load balancer and the domains, those first that somebody should look at."""
    rows = DomainMapping.objects.present().filter(service__cluster=cluster)
    found = list(rows.select_related("service__cluster__load_balancer"))
    if found:
        balancer = getattr(found[0].service.cluster, "load_balancer", None)
    else:
        balancer = LoadBalancer.objects.filter(cluster=cluster).first()
    domains = [{"mapping": row, "kind": domain_kind(row)} for row in found]
    domains.sort(key=lambda item: item["kind"] == "ok")
    return {
        "balancer": balancer,
        "domains": domains[:MOST_DOMAINS],
        "domain_count": len(domains),
    }


def task_map(cluster: Cluster, nodes: list[Node]) -> list[dict[str, Any]]:
    """Return the nodes as columns with their live tasks as tiles."""
    tasks: dict[int | None, list[dict[str, Any]]] = {}
    live = Task.objects.filter(cluster=cluster, desired_state="running").select_related("service")
    for task in live.order_by("service__name", "slot"):
        task.service.cluster = cluster
        tile = {
            "name": task.service.name,
            "note": f".{task.slot}" if task.slot else "",
            "url": task.service.get_absolute_url(),
            "state": task.state,
            "kind": TASK_KIND.get(task.state, "neutral"),
            "error": task.error,
        }
        tasks.setdefault(task.node_id, []).append(tile)
    return [
        {
            "node": {
                "name": node.name,
                "url": node.get_absolute_url(),
                "role": node.get_role_display(),
                "facts": node.address or "",
                "status_word": node.status,
                "status_kind": node_kind(node),
            },
            "tasks": tasks.get(node.pk, []),
        }
        for node in nodes
    ]


def cluster_warnings(cluster: Cluster, nodes: list[Node]) -> list[preflight.Warning]:
    """Return what concerns the whole cluster; what several nodes share is said once."""
    found: dict[str, preflight.Warning] = {}
    if cluster.lab_plain_network:
        found["lab"] = preflight.Warning(
            "Lab setting: the internal network is not encrypted",
            "This cluster is not compliant and must not hold health data.",
        )
    if cluster.observed_error and nodes and cluster.is_initialised:
        found["swarm"] = preflight.Warning("No manager answers", cluster.observed_error)
    if cluster.strangers:
        found["strangers"] = preflight.Warning(
            "The swarm has nodes that are not attached here",
            f"{', '.join(cluster.strangers)}: attach them, or remove them from the swarm.",
        )
    managers = [node for node in nodes if node.role == Node.Role.MANAGER and node.is_joined]
    if len(managers) == 2:
        found["even"] = preflight.Warning(
            "Two managers are less safe than one",
            "The swarm stops deciding when either of them fails. Promote a third node.",
        )
    for node in nodes:
        for warning in preflight.warnings(node):
            found.setdefault(warning.title, warning)
    return list(found.values())
