"""Looking up is authorising: each lookup is scoped to the user's companies and role."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from clusters.models import Cluster, Node, Service
from medstack.models import Company, Event, Membership, Operation, User
from medstack.models.events import Actor

Role = Membership.Role
READ = (Role.OWNER, Role.OPERATOR, Role.AUDITOR)
OPERATE = (Role.OWNER, Role.OPERATOR)
OWN = (Role.OWNER,)


def user_of(request: HttpRequest) -> User:
    """Return the signed-in user."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def actor(request: HttpRequest) -> Actor:
    """Return who acts in this request, and from where."""
    user = request.user if isinstance(request.user, User) else None
    return Actor(user=user, address=address_of(request.META))


def address_of(meta: dict[str, Any]) -> str | None:
    """Return the client's address; a proxy's word counts only when it is a trusted proxy."""
    address: str | None = meta.get("REMOTE_ADDR") or None
    if address in settings.TRUSTED_PROXIES:
        forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")[-1].strip()
        return forwarded or address
    return address


def companies_for(user: User, roles: tuple[str, ...] = READ) -> QuerySet[Company]:
    """Return the companies in which the user has one of the roles."""
    return Company.objects.filter(memberships__user=user, memberships__role__in=roles)


def clusters_for(request: HttpRequest, roles: tuple[str, ...] = READ) -> QuerySet[Cluster]:
    """Return the clusters that the user may see."""
    return Cluster.objects.filter(company__in=companies_for(user_of(request), roles))


def cluster_for(request: HttpRequest, slug: str, roles: tuple[str, ...] = READ) -> Cluster:
    """Return one cluster, or 404 for a stranger."""
    return get_object_or_404(clusters_for(request, roles).select_related("company"), slug=slug)


def node_for(request: HttpRequest, slug: str, name: str, roles: tuple[str, ...] = READ) -> Node:
    """Return one node of a cluster, or 404 for a stranger."""
    return get_object_or_404(
        Node.objects.present().select_related("cluster__company"),
        cluster__in=clusters_for(request, roles),
        cluster__slug=slug,
        name=name,
    )


def service_for(
    request: HttpRequest, slug: str, name: str, roles: tuple[str, ...] = READ
) -> Service:
    """Return one service of a cluster, or 404 for a stranger."""
    return get_object_or_404(
        Service.objects.present().select_related("cluster__company"),
        cluster__in=clusters_for(request, roles),
        cluster__slug=slug,
        name=name,
    )


def operations_for(request: HttpRequest) -> QuerySet[Operation]:
    """Return the operations of the user's companies."""
    return Operation.objects.filter(company__in=companies_for(user_of(request)))


def events_for(request: HttpRequest) -> QuerySet[Event]:
    """Return the audit records of the user's companies."""
    return Event.objects.filter(company__in=companies_for(user_of(request)))


def may(request: HttpRequest, company: Company, roles: tuple[str, ...] = OPERATE) -> bool:
    """Say whether the user has one of the roles in the company; pages hide buttons by it."""
    return companies_for(user_of(request), roles).filter(pk=company.pk).exists()


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Give every page the user's company and what is running right now."""
    if not isinstance(getattr(request, "user", None), User):
        return {}
    return {
        "company": companies_for(user_of(request)).first(),
        "running_operations": operations_for(request).filter(state__in=Operation.ACTIVE)[:10],
    }
