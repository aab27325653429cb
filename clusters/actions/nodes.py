"""Every write a person can make to clusters and nodes."""

from typing import Any

from django.db import transaction
from django.utils.text import slugify

from clusters.models import Cluster, Node
from medstack import operations
from medstack.failures import Failure
from medstack.models import Company, Event, Operation
from medstack.models.events import Actor

# On a console's services, by deploy/console/stack.yml; on the node of its data, by install there.
CONSOLE_LABEL = "medstack.console"


@transaction.atomic
def create_cluster(company: Company, name: str, *, by: Actor, plain: bool = False) -> Cluster:
    """Create an empty cluster; its first node makes it a Docker environment."""
    base = slugify(name) or "cluster"
    taken = set(Cluster.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    slug = next(
        candidate
        for number in range(1, len(taken) + 2)
        if (candidate := base if number == 1 else f"{base}-{number}") not in taken
    )
    cluster = Cluster.objects.create(company=company, name=name, slug=slug, lab_plain_network=plain)
    record("cluster.created", cluster, cluster, by=by, after={"name": name, "plain": plain})
    return cluster


@transaction.atomic
def create_node(node: Node, *, by: Actor, adopt: bool = False) -> Operation:
    """Add a node: the first initialises the swarm or hands over its own, later ones join it."""
    node.save()
    record(
        "node.created",
        node,
        node.cluster,
        by=by,
        after={
            "name": node.name,
            "provider": node.provider,
            "endpoint": node.endpoint_url,
            "address": node.address,
            "role": node.role,
            **({"adopt": True} if adopt else {}),
        },
    )
    return start("node.create", node, by=by, intent={"adopt": adopt})


@transaction.atomic
def change_role(node: Node, role: str, *, by: Actor) -> Operation:
    """Promote a worker to manager, or demote a manager to worker."""
    if role == Node.Role.WORKER:
        refuse_if_quorum_is_lost(node, "Demoting")
    record("node.role", node, node.cluster, by=by, before=node.role, after=role)
    # Two demotions at once could each look harmless and lose the quorum together.
    return start("node.role", node, by=by, intent={"role": role}, exclusive="managers")


@transaction.atomic
def change_availability(node: Node, availability: str, *, by: Actor) -> Operation:
    """Drain a node, pause it, or make it active again."""
    if availability == "drain":
        refuse_to_end_a_console(node, "Draining")
    record(
        "node.availability", node, node.cluster, by=by, before=node.availability, after=availability
    )
    return start("node.availability", node, by=by, intent={"availability": availability})


@transaction.atomic
def change_labels(node: Node, labels: dict[str, str], *, by: Actor) -> Operation:
    """Replace the labels that operators set; the console's own ones stay."""
    before = own_labels(node.labels)
    record("node.labels", node, node.cluster, by=by, before=before, after=labels)
    return start("node.labels", node, by=by, intent={"labels": labels, "before": before})


@transaction.atomic
def remove_node(node: Node, *, by: Actor, force: bool = False) -> Operation:
    """Drain a node, let it leave the swarm, and forget it; the last one ends the environment."""
    others = Node.objects.present().filter(cluster=node.cluster).exclude(pk=node.pk)
    if not force:
        refuse_to_end_a_console(node, "Removing")
    if others.exists():
        refuse_if_quorum_is_lost(node, "Removing")
    record("node.removed", node, node.cluster, by=by, before={"role": node.role, "force": force})
    return start("node.remove", node, by=by, intent={"force": force}, exclusive="managers")


def refuse_to_end_a_console(node: Node, doing: str) -> None:
    """Refuse what would end a console, which could not undo it then: it runs where its data is."""
    if node.labels.get(CONSOLE_LABEL) == "true":
        raise Failure(f"{doing} “{node.name}” would end the console that runs there.")


def refuse_if_quorum_is_lost(node: Node, doing: str) -> None:
    """Refuse when the remaining managers could no longer decide anything."""
    reason = quorum_lost_without(node)
    if reason:
        raise Failure(f"{doing} “{node.name}” would lose the quorum: {reason}")


def quorum_lost_without(node: Node) -> str:
    """Return why the swarm would lose its quorum without this manager, or nothing."""
    if node.role != Node.Role.MANAGER or not node.is_joined:
        return ""
    managers = list(
        Node.objects.present()
        .filter(cluster=node.cluster, role=Node.Role.MANAGER)
        .exclude(swarm_node_id="")
        .exclude(pk=node.pk)
    )
    if not managers:
        return "it is the only manager. Promote another node first."
    answering = sum(manager.status == "Ready" for manager in managers)
    needed = len(managers) // 2 + 1
    # Raft decides the removal itself with today's managers, this one included if it answers.
    if answering >= needed:
        return ""
    return (
        f"of the {len(managers)} managers that would remain, {answering} "
        f"answer{'s' if answering == 1 else ''}, and {needed} are needed."
    )


def own_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels that operators set."""
    return {key: value for key, value in labels.items() if not key.startswith("medstack.")}


def record(
    action: str, subject: Any, cluster: Cluster, *, by: Actor, before: Any = None, after: Any = None
) -> None:
    """Record one act in a cluster."""
    Event.objects.record(
        action,
        subject,
        by=by,
        company=cluster.company,
        cluster_id=cluster.pk,
        before=before,
        after=after,
    )


def start(
    kind: str, node: Node, *, by: Actor, intent: dict[str, Any] | None = None, exclusive: str = ""
) -> Operation:
    """Start an operation on a node; one node never runs two at a time."""
    key = f"{exclusive}:{node.cluster_id}" if exclusive else f"node:{node.pk}"
    return operations.start(
        kind,
        node,
        by=by,
        company=node.cluster.company,
        cluster_id=node.cluster_id,
        intent=intent,
        exclusive=key,
    )
