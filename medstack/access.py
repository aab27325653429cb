"""Looking up is authorising: each lookup is scoped to the user's companies and role."""

from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from typing import Any

from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from clusters.models import Cluster, Node, Service
from medstack.models import AccessToken, Company, Event, Membership, Operation, User
from medstack.models.events import Actor

Role = Membership.Role
READ = (Role.OWNER, Role.OPERATOR, Role.AUDITOR)
OPERATE = (Role.OWNER, Role.OPERATOR)
OWN = (Role.OWNER,)


def confirmed(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let a view be reached only by somebody who has just shown who they are; others show it first.

    What was sent is not kept meanwhile, for it may hold a secret: the person comes back to the
    page they were on.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_reauthentication_required(request, app="medstack"):
            return view(request, *args, **kwargs)
        came_from = request.META.get("HTTP_REFERER", "") if request.method == "POST" else ""
        if not url_has_allowed_host_and_scheme(came_from, {request.get_host()}):
            came_from = request.get_full_path()
        return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': came_from})}")

    return wrapper


def user_of(request: HttpRequest) -> User:
    """Return the signed-in user."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def actor(request: HttpRequest) -> Actor:
    """Return who acts in this request, and from where."""
    user = request.user if isinstance(request.user, User) else None
    token = token_of(request)
    return Actor(user=user, address=address_of(request.META), token=token.name if token else "")


def token_of(request: HttpRequest) -> AccessToken | None:
    """Return the token by which a program asks; a person at a browser has none."""
    token = getattr(request, "access_token", None)
    return token if isinstance(token, AccessToken) else None


def address_of(meta: dict[str, Any]) -> str | None:
    """Return the client's address; a proxy's word counts only when it is a trusted proxy."""
    address: str | None = meta.get("REMOTE_ADDR") or None
    if address and any(ip_address(address) in network for network in settings.TRUSTED_PROXIES):
        forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")[-1].strip()
        return forwarded or address
    return address


def companies_for(user: User, roles: tuple[str, ...] = READ) -> QuerySet[Company]:
    """Return the companies in which the user has one of the roles."""
    return Company.objects.filter(memberships__user=user, memberships__role__in=roles)


def companies_of(request: HttpRequest, roles: tuple[str, ...] = READ) -> QuerySet[Company]:
    """Return the companies in which the one who asks has one of the roles.

    A token opens its own company alone, and nothing that its person may not do themselves.
    """
    found = companies_for(user_of(request), roles)
    token = token_of(request)
    if token is None:
        return found
    return found.filter(pk=token.company_id) if token.role in roles else found.none()


def clusters_for(request: HttpRequest, roles: tuple[str, ...] = READ) -> QuerySet[Cluster]:
    """Return the clusters that the user may see."""
    return Cluster.objects.filter(company__in=companies_of(request, roles))


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


def in_companies(request: HttpRequest, roles: tuple[str, ...]) -> dict[str, Any]:
    """Return the lookup for rows of the companies in which the user has one of the roles.

    One company's rows have an index in the order of their age; several companies' rows have not.
    """
    if token_of(request):
        return {"company__in": companies_of(request, roles)}
    found = [one.company_id for one in memberships_of(request) if one.role in roles]
    return {"company": found[0]} if len(found) == 1 else {"company__in": found}


def operations_for(request: HttpRequest, roles: tuple[str, ...] = READ) -> QuerySet[Operation]:
    """Return the operations of the user's companies."""
    return Operation.objects.filter(**in_companies(request, roles))


def tokens_for(request: HttpRequest) -> QuerySet[AccessToken]:
    """Return the user's own tokens, and all of those by which programs reach what they own."""
    user = user_of(request)
    return AccessToken.objects.filter(Q(user=user) | Q(company__in=companies_for(user, OWN)))


def events_for(request: HttpRequest) -> QuerySet[Event]:
    """Return the audit records of the user's companies."""
    return Event.objects.filter(**in_companies(request, READ))


def memberships_of(request: HttpRequest) -> list[Membership]:
    """Return the user's memberships, by company; they are read once for each request."""
    found: list[Membership] | None = getattr(request, "memberships", None)
    if found is None:
        rows = Membership.objects.filter(user=user_of(request)).select_related("company")
        found = list(rows.order_by("company__name"))
        request.memberships = found  # type: ignore[attr-defined]
    return found


def may(request: HttpRequest, company: Company, roles: tuple[str, ...] = OPERATE) -> bool:
    """Say whether the user has one of the roles in the company; pages hide buttons by it."""
    token = token_of(request)
    if token and (token.company_id != company.pk or token.role not in roles):
        return False
    return any(
        one.company_id == company.pk and one.role in roles for one in memberships_of(request)
    )


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Give every page the user's company, whether it is theirs, and what is running right now."""
    if not isinstance(getattr(request, "user", None), User):
        return {}
    found = memberships_of(request)
    return {
        "company": found[0].company if found else None,
        "owns_company": any(one.role == Role.OWNER for one in found),
        "sees_subscription": any(one.role in (Role.OWNER, Role.BILLING) for one in found),
        "running_operations": operations_for(request)
        .filter(state__in=Operation.ACTIVE)
        .select_related("cluster")[:10],
    }
