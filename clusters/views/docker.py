"""The frame of “Manage Docker”: its tabs, the way to them, and the work that runs there."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from clusters.models import (
    Cluster,
    Config,
    DomainMapping,
    Network,
    Registry,
    Secret,
    Service,
    Volume,
)
from clusters.tasks.refresh import enqueue_refresh
from medstack import access
from medstack.counting import number_of
from medstack.models import Event, Operation

Context = dict[str, Any]

TABS = (
    "registries",
    "configs",
    "secrets",
    "volumes",
    "services",
    "networks",
    "load_balancer",
)
# How long the page of an object goes on to show how its last operation ended.
JUST_ENDED = timedelta(minutes=10)
NO_NODE = "This cluster has no node yet. Create its first node, then try again."


def frame(request: HttpRequest, cluster: Cluster, tab: str, *, within: bool = False) -> Context:
    """Return what every page of a tab shows; `within` is a page below the tab's list."""
    enqueue_refresh(cluster.pk, older_than=5)
    counts = tab_counts(cluster)
    tabs = [
        {
            "label": label(name),
            "url": reverse(name, args=[cluster.slug]),
            "count": counts[name],
            "current": name == tab,
        }
        for name in TABS
    ]
    crumbs = [
        {"label": "Clusters", "url": reverse("clusters")},
        {"label": cluster.name, "url": cluster.get_absolute_url()},
    ]
    if within:
        crumbs.append({"label": label(tab), "url": reverse(tab, args=[cluster.slug])})
    return {
        "cluster": cluster,
        "section": "Manage Docker",
        "tab": tab,
        "tabs": tabs,
        "crumbs": crumbs,
        "can_operate": access.may(request, cluster.company),
        "nav_active": "clusters",
    }


def label(tab: str) -> str:
    """Return a tab's name as people read it."""
    return tab.replace("_", " ").capitalize()


def tab_counts(cluster: Cluster) -> dict[str, int]:
    """Count what each tab lists, with one query."""
    found: Mapping[str, Any] = (
        Cluster.objects.filter(pk=cluster.pk)
        .values(
            registries_found=number_of(Registry.objects.all(), "cluster"),
            configs_found=number_of(Config.objects.current(), "cluster"),
            secrets_found=number_of(Secret.objects.current(), "cluster"),
            volumes_found=number_of(
                Volume.objects.present().filter(is_anonymous=False), "node__cluster"
            ),
            services_found=number_of(Service.objects.present(), "cluster"),
            networks_found=number_of(Network.objects.all(), "cluster"),
            load_balancer_found=number_of(DomainMapping.objects.present(), "service__cluster"),
        )
        .get()
    )
    return {tab: found[f"{tab}_found"] for tab in TABS}


def running(cluster: Cluster, kind: str = "") -> Context:
    """Return a list's running operations, and whether its page has to ask again."""
    active = list(Operation.objects.filter(cluster=cluster, state__in=Operation.ACTIVE))
    return {
        "operations": [operation for operation in active if operation.target_kind == kind],
        "is_polling": bool(active),
    }


def of_target(cluster: Cluster, kind: str, pks: Iterable[int]) -> Context:
    """Return an object's newest operation while it is news, and the object's history."""
    pks = list(pks)
    since = timezone.now() - JUST_ENDED
    newest = (
        Operation.objects.filter(cluster=cluster, target_kind=kind, target_id__in=pks)
        .filter(Q(state__in=Operation.ACTIVE) | Q(ended_at__gte=since))
        .select_related("requested_by")
    )
    events = Event.objects.filter(cluster=cluster, subject_kind=kind, subject_id__in=pks)
    return {"operation": newest.first(), "events": events[:10]}


def form_page(request: HttpRequest, template: str, context: Context) -> HttpResponse:
    """Draw a form; one that is invalid is answered with 422."""
    status = 422 if context["form"].is_bound else 200
    return render(request, template, context, status=status)


def confirm_page(
    request: HttpRequest, context: Context, *, refused: str = "", status: int = 200
) -> HttpResponse:
    """Ask before something is deleted, or say why it cannot be."""
    context["refused"] = refused
    return render(request, "clusters/delete.html", context, status=422 if refused else status)


def to_first_tab(slug: str) -> HttpResponse:
    """Lead to the tab with which “Manage Docker” begins."""
    return redirect(TABS[0], slug)
