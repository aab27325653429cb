"""The colour that repeats each state's word."""

from clusters.models import DomainMapping, Node, Service

NODE_KIND = {"Ready": "ok", "Down": "danger", "Creating": "progress", "Removed": "neutral"}
SERVICE_KIND = {
    "Running": "ok",
    "Complete": "ok",
    "Creating": "progress",
    "Updating": "progress",
    "Starting": "progress",
    "Degraded": "warning",
    "Not applied": "warning",
    "Paused": "danger",
    "Missing": "danger",
    "Stopped": "neutral",
}
DOMAIN_KIND = {"Active": "ok", "Inspect": "warning"}
TASK_KIND = {
    "running": "ok",
    "complete": "ok",
    "failed": "danger",
    "rejected": "danger",
    "orphaned": "danger",
    "shutdown": "neutral",
    "remove": "neutral",
    "pending": "warning",
} | dict.fromkeys(("new", "assigned", "accepted", "ready", "preparing", "starting"), "progress")


def node_kind(node: Node) -> str:
    """Return the kind of a node's status."""
    return NODE_KIND.get(node.status, "warning")


def domain_kind(mapping: DomainMapping) -> str:
    """Return the kind of a domain's status."""
    return DOMAIN_KIND.get(mapping.status, "neutral")


def service_kind(service: Service) -> str:
    """Return the kind of a service's status."""
    return SERVICE_KIND.get(service.status, "neutral")
