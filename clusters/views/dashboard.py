"""What a person sees first: every cluster's health, what runs, and what wants to be looked at."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from clusters.models import Cluster, DomainMapping, Node, Service
from clusters.models.ingress import CERTIFICATE_WARNING
from clusters.views.status import domain_kind
from medstack import access
from medstack.listing import Column, Listing

MOST_DOMAINS = 6


@dataclass(frozen=True)
class Summary:
    """How one cluster is, in numbers."""

    cluster: Cluster
    nodes: int = 0
    ready: int = 0
    creating: int = 0
    services: int = 0
    running: int = 0
    domains: int = 0

    @property
    def health(self) -> tuple[str, str]:
        """Return the cluster's state as a word, and the word's kind."""
        if not self.nodes:
            return "No node yet", "neutral"
        lost = self.nodes - self.ready - self.creating
        if lost:
            return f"{lost} of {self.nodes} node{'s' if self.nodes > 1 else ''} down", "danger"
        if self.running < self.services:
            return "Degraded", "warning"
        return ("Creating", "progress") if self.creating else ("Healthy", "ok")

    @property
    def is_well(self) -> bool:
        """Say whether nobody has to look at it."""
        return self.health[1] in {"ok", "progress", "neutral"}


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show all clusters at a glance, in as many queries for many as for one."""
    now = timezone.now()
    clusters = access.clusters_for(request).order_by()
    listing = Listing(
        request,
        access.clusters_for(request).select_related("company"),
        columns=(Column("Cluster", "name"), Column("Company", "company__name")),
        search=("name", "company__name"),
        sort="name",
    )
    counted = counts(clusters, now)
    listing.page.object_list = [
        Summary(cluster, **counted.get(cluster.pk, {})) for cluster in listing.page.object_list
    ]
    wanting = domains_to_inspect(clusters, now).select_related("service__cluster")[:MOST_DOMAINS]
    return render(
        request,
        "clusters/dashboard.html",
        {
            "listing": listing,
            "clusters": clusters,
            "page_clusters": [row.cluster for row in listing.page.object_list],
            "totals": totals(counted),
            "domains": [{"mapping": row, "kind": domain_kind(row)} for row in wanting],
            "can_create": access.companies_for(access.user_of(request), access.OPERATE).exists(),
            "nav_active": "dashboard",
        },
    )


def counts(clusters: QuerySet[Cluster], now: datetime) -> dict[int, dict[str, int]]:
    """Count nodes, services and domains of each cluster, with one query for each of them."""
    present = {"cluster__in": clusters}
    answered = now - timedelta(seconds=settings.NODE_SILENCE)
    joined = ~Q(swarm_node_id="")
    is_ready = joined & Q(seen_at__gte=answered, last_error="", swarm_state="ready")
    nodes = Node.objects.present().filter(**present).order_by().values("cluster")
    services = Service.objects.present().filter(desired__gt=0, **present).order_by()
    found: dict[int, dict[str, int]] = {}
    for query in (
        nodes.annotate(
            nodes=Count("pk"),
            ready=Count("pk", filter=is_ready),
            creating=Count("pk", filter=~joined),
        ),
        services.values("cluster").annotate(
            services=Count("pk"), running=Count("pk", filter=Q(running__gte=F("desired")))
        ),
        domains_to_inspect(clusters, now)
        .order_by()
        .values(cluster=F("service__cluster"))
        .annotate(domains=Count("pk")),
    ):
        for row in query:
            numbers: dict[str, Any] = dict(row)
            found.setdefault(numbers.pop("cluster"), {}).update(numbers)
    return found


def domains_to_inspect(
    clusters: QuerySet[Cluster], now: datetime
) -> QuerySet[DomainMapping, DomainMapping]:
    """Return the domains that nobody has seen work, that fail, or whose certificate ends soon."""
    ends_soon = Q(not_after__lt=now + CERTIFICATE_WARNING)
    wanting = Q(checked_at=None) | ~Q(problem="") | ends_soon
    return DomainMapping.objects.present().filter(wanting, service__cluster__in=clusters)


def totals(counted: dict[int, dict[str, int]]) -> dict[str, Any]:
    """Add up the numbers of all clusters."""
    names = ("nodes", "ready", "services", "running", "domains")
    return {name: sum(row.get(name, 0) for row in counted.values()) for name in names}
