"""What pages of clusters and nodes show about backups, without knowing them."""

from typing import Any

from django import template
from django.db.models import QuerySet
from django.utils import timezone

from backups import overview
from backups.levels import LEVELS
from backups.models import Agent, Protection, Snapshot
from backups.views.calendar import picture
from clusters.models import Cluster, Node

register = template.Library()


@register.simple_tag
def backups_of(cluster: Cluster) -> dict[str, Any]:
    """Return how old the last complete snapshot of a cluster is, and its calendar if any is due."""
    now = timezone.now()
    complete = Snapshot.objects.filter(cluster=cluster, state=Snapshot.State.COMPLETE)
    found = complete.defer("manifest").select_related("cluster__protection")
    last = found.order_by("-due").first()
    row = (
        getattr(last.cluster, "protection", None)
        if last
        else Protection.objects.filter(cluster=cluster).first()
    )
    return {
        "protection": row,
        "last": last,
        "age": now - last.due if last else None,
        "kind": overview.kind(row, last.due if last else None, now) if row else "neutral",
        "ended": bool(row and row.ended_at),
        "picture": picture(cluster, row, now) if row and row.since else None,
    }


@register.simple_tag
def protections(clusters: QuerySet[Cluster], page: list[Cluster]) -> overview.Overviews:
    """Return how the clusters of one page are protected, and the sums over all clusters."""
    return overview.overviews(clusters, page, timezone.now())


@register.simple_tag
def at_place(page: list[overview.Overview], place: int) -> overview.Overview:
    """Return the overview of the page's cluster at a place."""
    return page[place]


@register.inclusion_tag("backups/agent_card.html")
def agent_card(node: Node) -> dict[str, Any]:
    """Show the health and the version of a node's agent."""
    return {"agent": Agent.objects.filter(node=node).first()}


@register.inclusion_tag("backups/level.html")
def level(name: str) -> dict[str, Any]:
    """Show how far a backup is proven."""
    return {"level": LEVELS.get(name)}
