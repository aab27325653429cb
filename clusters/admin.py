"""Clusters, nodes and services, as support staff see them; no field that holds a secret."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from clusters.actions.domains import check_domains
from clusters.models import Cluster, DomainMapping, Node, Service
from medstack.admin.buttons import Button
from medstack.admin.reading import Reading, linked
from medstack.admin.site import site
from medstack.counting import number_of
from medstack.models import Company, Operation
from medstack.models.events import Actor


def recheck_domains(row: Cluster, by: Actor, values: dict[str, Any]) -> Operation:
    """Look at every domain of a cluster now."""
    return check_domains(row, by=by)


RECHECK = Button(
    "check-domains",
    "Re-check domains",
    "Name servers and the load balancer are asked about every domain of the cluster.",
    recheck_domains,
)


@admin.register(Cluster, site=site)
class ClusterPage(Reading):
    """Clusters, how large they are, and when they were looked at last."""

    list_display = ("name", "company_link", "nodes_count", "services_count", "observed_at")
    list_filter = ("company__subscription",)
    list_select_related = ("company",)
    search_fields = ("name", "slug", "company__name")
    date_hierarchy = "created_at"
    fields = (
        ("name", "slug"),
        "company_link",
        "swarm_id",
        "address_pool",
        "lab_plain_network",
        "created_at",
        "observed_at",
        "observed_error",
    )
    readonly_fields = ("company_link",)
    company_link = linked("company")
    buttons: Sequence[Button] = (RECHECK,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count in the same query."""
        rows: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(
            nodes_found=number_of(Node.objects.filter(removed_at=None), "cluster"),
            services_found=number_of(Service.objects.filter(deleted_at=None), "cluster"),
        )
        return counted

    @admin.display(description="nodes", ordering="nodes_found")
    def nodes_count(self, row: Any) -> int:
        """Return how many nodes it has."""
        return int(row.nodes_found)

    @admin.display(description="services", ordering="services_found")
    def services_count(self, row: Any) -> int:
        """Return how many services it has."""
        return int(row.services_found)


@admin.register(Node, site=site)
class NodePage(Reading):
    """Nodes and how their Engines are."""

    list_display = (
        "name",
        "cluster_link",
        "company_link",
        "role",
        "status",
        "engine_version",
        "address",
        "seen_at",
    )
    list_filter = ("role", "provider", "swarm_state", "availability")
    list_select_related = ("cluster__company",)
    search_fields = ("name", "address", "cluster__name", "cluster__company__name")
    date_hierarchy = "created_at"
    fields = (
        "name",
        ("cluster_link", "company_link"),
        ("role", "provider", "availability", "swarm_state", "is_leader"),
        ("address", "endpoint_url"),
        "swarm_node_id",
        ("engine_version", "api_version", "kernel"),
        ("cpus", "memory_bytes"),
        ("has_esp", "has_ipvs", "clock_skew"),
        ("created_at", "removed_at", "seen_at"),
        "last_error",
    )
    readonly_fields = ("cluster_link", "company_link")
    cluster_link = linked("cluster")
    company_link = linked("cluster__company", "company")

    @admin.display(ordering="swarm_state")
    def status(self, row: Node) -> str:
        """Return the one word that the console shows."""
        return row.status


@admin.register(Service, site=site)
class ServicePage(Reading):
    """Services and how many of their tasks run; never what their environment says."""

    list_display = (
        "name",
        "cluster_link",
        "company_link",
        "running",
        "desired",
        "generation",
        "applied_generation",
        "deleted_at",
    )
    list_filter = ("is_managed", "is_external")
    list_select_related = ("cluster__company",)
    search_fields = ("name", "cluster__name", "cluster__company__name")
    date_hierarchy = "created_at"
    fields = (
        "name",
        ("cluster_link", "company_link"),
        "image",
        "image_digest",
        ("running", "desired"),
        ("generation", "applied_generation"),
        ("is_managed", "is_external"),
        "engine_id",
        ("created_at", "deleted_at"),
    )
    readonly_fields = ("cluster_link", "company_link", "image")
    cluster_link = linked("cluster")
    company_link = linked("cluster__company", "company")

    @admin.display
    def image(self, row: Service) -> str:
        """Return the image that is wanted."""
        template = row.spec.get("TaskTemplate") or {}
        return str((template.get("ContainerSpec") or {}).get("Image") or "—")


@admin.register(DomainMapping, site=site)
class DomainPage(Reading):
    """Domains, and what was found when they were looked at last."""

    list_display = ("domain", "service_link", "company_link", "not_after", "checked_at", "problem")
    list_filter = ("tls_version",)
    list_select_related = ("service__cluster__company",)
    search_fields = ("domain", "service__name", "service__cluster__company__name")
    date_hierarchy = "created_at"
    fields = (
        ("domain", "path", "port"),
        ("service_link", "cluster_link", "company_link"),
        ("checked_at", "dns_addresses", "dns_postponed_by"),
        ("issuer", "not_after", "tls_version"),
        ("status_code", "latency_ms"),
        "problem",
        ("created_at", "removed_at"),
    )
    readonly_fields = ("service_link", "cluster_link", "company_link")
    service_link = linked("service")
    cluster_link = linked("service__cluster", "cluster")
    company_link = linked("service__cluster__company", "company")

    def company_of(self, row: DomainMapping) -> Company:
        """Return whose domain it is."""
        return row.service.cluster.company

    def console_url(self, row: DomainMapping) -> str:
        """Return its service's page, which shows it."""
        return str(row.service.get_absolute_url())
