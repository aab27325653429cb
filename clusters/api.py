"""The API's part for clusters, nodes, services and secrets."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from ninja import Router, Schema, Status
from ninja.pagination import paginate

from clusters.actions import objects as object_actions
from clusters.actions import services as service_actions
from clusters.forms.versioned import NewForm, ValueForm
from clusters.models import Cluster, Node, Secret, Service
from medstack import access
from medstack.api import Accepted, OperationOut, Pages, answers, as_sent, checked, may_change
from medstack.failures import Failure
from medstack.models import Operation

router = Router()


class ClusterOut(Schema):
    """A cluster."""

    slug: str
    name: str
    company: str
    swarm_id: str
    observed_at: datetime | None
    observed_error: str

    @staticmethod
    def resolve_company(row: Cluster) -> str:
        """Return the company's name."""
        return row.company.name


class NodeOut(Schema):
    """A node, as it was seen last."""

    name: str
    status: str
    role: str
    availability: str
    address: str | None
    engine_version: str
    cpus: int | None
    memory_bytes: int | None
    labels: dict[str, Any]
    seen_at: datetime | None


class ServiceOut(Schema):
    """A service: what is wanted, and how much of it runs."""

    name: str
    image: str
    image_digest: str
    running: int
    desired: int
    generation: int
    applied_generation: int
    domains: list[str]

    @staticmethod
    def resolve_image(row: Service) -> str:
        """Return the image that is wanted."""
        template = row.spec.get("TaskTemplate") or {}
        return str((template.get("ContainerSpec") or {}).get("Image") or "")

    @staticmethod
    def resolve_domains(row: Service) -> list[str]:
        """Return the domains that lead to it."""
        return [one.domain for one in row.domains.all() if one.removed_at is None]


class SecretOut(Schema):
    """A secret's name and version; there is no way to read its value."""

    name: str
    version: int
    size_bytes: int | None
    created_at: datetime


class SecretIn(Schema):
    """A new secret."""

    name: str
    value: str


class ValueIn(Schema):
    """A secret's new value."""

    value: str


@router.get("/clusters", response=answers(200, list[ClusterOut]), tags=["Clusters"])
@paginate(Pages)
def clusters(request: HttpRequest, **page: Any) -> QuerySet[Cluster]:
    """List the clusters of the token's company."""
    return access.clusters_for(request).select_related("company").order_by("name", "pk")


@router.get("/clusters/{slug}", response=answers(200, ClusterOut), tags=["Clusters"])
def cluster(request: HttpRequest, slug: str) -> Cluster:
    """Show one cluster."""
    return access.cluster_for(request, slug)


@router.get("/clusters/{slug}/nodes", response=answers(200, list[NodeOut]), tags=["Clusters"])
@paginate(Pages)
def nodes(request: HttpRequest, slug: str, **page: Any) -> QuerySet[Node]:
    """List a cluster's nodes."""
    found = access.cluster_for(request, slug)
    return Node.objects.present().filter(cluster=found).order_by("name", "pk")


@router.get("/clusters/{slug}/services", response=answers(200, list[ServiceOut]), tags=["Services"])
@paginate(Pages)
def services(request: HttpRequest, slug: str, **page: Any) -> QuerySet[Service]:
    """List a cluster's services."""
    found = Service.objects.present().filter(cluster=access.cluster_for(request, slug))
    return found.prefetch_related("domains").order_by("name", "pk")


@router.get(
    "/clusters/{slug}/services/{name}", response=answers(200, ServiceOut), tags=["Services"]
)
def service(request: HttpRequest, slug: str, name: str) -> Service:
    """Show one service."""
    return access.service_for(request, slug, name)


@router.post(
    "/clusters/{slug}/services/{name}/refresh",
    response=answers(202, OperationOut),
    tags=["Services"],
)
def refresh(request: HttpRequest, slug: str, name: str) -> Accepted:
    """Deploy: ask the registry what the image's tag means now, and run that."""
    may_change(request)
    found = access.service_for(request, slug, name, access.OPERATE)
    return Status(202, service_actions.refresh_image(found, by=access.actor(request)))


@router.get("/clusters/{slug}/secrets", response=answers(200, list[SecretOut]), tags=["Secrets"])
@paginate(Pages)
def secrets(request: HttpRequest, slug: str, **page: Any) -> QuerySet[Secret]:
    """List the names of a cluster's secrets."""
    rows: QuerySet[Secret] = Secret.objects.current()
    found = rows.filter(cluster=access.cluster_for(request, slug)).defer("pending_value")
    return found.order_by("name", "pk")


@router.post("/clusters/{slug}/secrets", response=answers(202, OperationOut), tags=["Secrets"])
def create_secret(request: HttpRequest, slug: str, sent: SecretIn) -> Accepted:
    """Create a secret; its value can never be read back."""
    may_change(request)
    found = access.cluster_for(request, slug, access.OPERATE)
    if not found.is_initialised:
        raise Failure("The cluster has no Docker environment yet.")
    form = NewForm(as_sent(name=sent.name, text=sent.value), cluster=found, model=Secret)
    values = checked(form)
    return Status(202, save(request, found, values["name"], values["value"]))


@router.put(
    "/clusters/{slug}/secrets/{name}", response=answers(202, OperationOut), tags=["Secrets"]
)
def rotate_secret(request: HttpRequest, slug: str, name: str, sent: ValueIn) -> Accepted:
    """Give a secret a new value, and its services with it."""
    may_change(request)
    found = access.cluster_for(request, slug, access.OPERATE)
    if not Secret.objects.current().filter(cluster=found, name=name, removed_at=None).exists():
        raise Http404
    values = checked(ValueForm(as_sent(text=sent.value), model=Secret))
    return Status(202, save(request, found, name, values["value"]))


def save(request: HttpRequest, found: Cluster, name: str, value: bytes) -> Operation:
    """Save a value as a new version; return the operation that brings it to the Engine."""
    return object_actions.create_version(Secret, found, name, value, by=access.actor(request))
