"""What pages of clusters and nodes show about backups, without knowing them."""

from typing import Any

from django import template
from django.utils import timezone

from backups.levels import LEVELS
from backups.models import Agent, Protection, Snapshot
from backups.schedule import freshness
from clusters.models import Cluster, Node

register = template.Library()
KINDS = {"fresh": "ok", "warning": "warning", "critical": "danger"}


@register.inclusion_tag("backups/protection_card.html")
def protection_card(cluster: Cluster) -> dict[str, Any]:
    """Show how old the last complete snapshot of a cluster is, against the promise."""
    row = Protection.objects.filter(cluster=cluster).first()
    rows = Snapshot.objects.filter(cluster=cluster, state=Snapshot.State.COMPLETE)
    last = rows.defer("manifest").order_by("-due").first()
    level = freshness(last.due if last else (row.since if row else None), timezone.now())
    ended = bool(row and row.ended_at)
    return {
        "cluster": cluster,
        "protection": row,
        "last": last,
        "age": timezone.now() - last.due if last else None,
        "kind": "neutral" if ended or not row else KINDS[level],
        "ended": ended,
    }


@register.inclusion_tag("backups/agent_card.html")
def agent_card(node: Node) -> dict[str, Any]:
    """Show the health and the version of a node's agent."""
    return {"agent": Agent.objects.filter(node=node).first()}


@register.inclusion_tag("backups/level.html")
def level(name: str) -> dict[str, Any]:
    """Show how far a backup is proven."""
    return {"level": LEVELS.get(name)}


@register.inclusion_tag("backups/last_snapshot.html")
def last_snapshot(cluster: Cluster) -> dict[str, Any]:
    """Show in a table how old the last complete snapshot of a cluster is."""
    return protection_card(cluster)
