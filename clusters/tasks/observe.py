"""Write what a node's Engine said into its row and its volumes' rows."""

import json
from typing import Any

from django.db.models import Q
from django.utils import timezone

from clusters import observation
from clusters.models import Node, Volume
from clusters.models.node import is_anonymous
from clusters.observation import NodeFacts
from medstack.queue import enqueue


def observe_node(node: Node) -> None:
    """Ask one node's Engine and save what it says."""
    save_node(node, observation.read_node(node.endpoint))


def save_node(node: Node, facts: NodeFacts) -> None:
    """Save the facts; of a silent Engine only the reason, so that the page still says the rest."""
    if facts.error:
        Node.objects.filter(pk=node.pk).update(last_error=facts.error)
        return
    info = facts.info
    Node.objects.filter(pk=node.pk).update(
        seen_at=timezone.now(),
        last_error="",
        cpus=info.get("NCPU"),
        memory_bytes=info.get("MemTotal"),
        engine_version=info.get("ServerVersion", ""),
        api_version=facts.api_version,
        kernel=info.get("KernelVersion", ""),
        clock_skew=facts.clock_skew,
        containers=facts.containers,
        images=facts.images,
    )
    save_volumes(node, facts)
    node.kernel = info.get("KernelVersion", "")
    if node.has_new_kernel:
        enqueue("clusters.tasks.kernels.look_again", node.pk)


def save_volumes(node: Node, facts: NodeFacts) -> None:
    """Make the volumes' rows match what is on the node."""
    now = timezone.now()
    sizes = facts.sizes or {}
    known = {volume.name: volume for volume in Volume.objects.filter(node=node)}
    for volume in facts.volumes:
        name = volume["Name"]
        labels: dict[str, Any] = volume.get("Labels") or {}
        values = {
            "driver": volume.get("Driver", "local"),
            "options": json.dumps(volume["Options"]) if volume.get("Options") else "",
            "labels": labels,
            "is_anonymous": is_anonymous(name, labels),
            "created_at": observation.moment(volume["CreatedAt"])
            if volume.get("CreatedAt")
            else None,
            "gone_at": None,
        }
        if name in sizes:
            values["size_bytes"] = sizes[name]
        row = known.get(name)
        if row and row.gone_at and row.gone_at > facts.asked_at:
            # It was deleted after the Engine had listed it.
            continue
        if row is None:
            Volume.objects.create(node=node, name=name, observed_at=now, **values)
        elif any(getattr(row, key) != value for key, value in values.items()):
            Volume.objects.filter(pk=row.pk).update(observed_at=now, **values)
    # One that was made after the Engine was asked is not missing.
    Volume.objects.filter(
        ~Q(name__in=[volume["Name"] for volume in facts.volumes]),
        node=node,
        gone_at=None,
        observed_at__lt=facts.asked_at,
    ).update(gone_at=now)
