"""Reach a cluster's Engines: a node's own, or whichever manager answers."""

from collections.abc import Iterator
from contextlib import contextmanager

from clusters import engine
from clusters.models import Cluster, Node


@contextmanager
def on_node(node: Node, *, timeout: float = 10) -> Iterator[engine.Engine]:
    """Open a node's own Engine."""
    with engine.connect(node.endpoint, timeout=timeout) as connection:
        yield connection


@contextmanager
def on_manager(cluster: Cluster, *, timeout: float = 10) -> Iterator[engine.Engine]:
    """Open the Engine of a manager that answers; the one that answered last is asked first."""
    with engine.connect(answering_manager(cluster).endpoint, timeout=timeout) as connection:
        yield connection


def answering_manager(cluster: Cluster) -> Node:
    """Return a manager whose Engine answers right now, or say why none does."""
    reasons = []
    for node in Node.objects.reachable_managers(cluster):
        try:
            with engine.connect(node.endpoint, timeout=3) as connection:
                # A node demoted a moment ago still answers, but no longer for the swarm.
                if connection.info()["Swarm"].get("ControlAvailable"):
                    return node
            reasons.append(f"{node.name}: it is not a manager at present.")
        except engine.EngineError as error:
            reasons.append(f"{node.name}: {error}")
    if not reasons:
        raise engine.Unreachable("The cluster has no manager yet.")
    raise engine.Unreachable(f"No manager answers. {'; '.join(reasons)}")
