"""Write what nodes' Engines said into their rows and their volumes' rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models
from django.utils import timezone

from clusters import observation
from clusters.models import Node, Volume
from clusters.models.node import is_anonymous
from clusters.observation import NodeFacts
from medstack.queue import enqueue

Json = dict[str, Any]


def observe_node(node: Node) -> None:
    """Ask one node's Engine and save what it says."""
    save_nodes([node], {node.pk: observation.read_node(node.endpoint)})


def save_nodes(nodes: Sequence[Node], found: Mapping[int, NodeFacts]) -> None:
    """Save what each Engine said; of a silent one only the reason, so that the page says the rest.

    What is as it was is not written again: a cluster of 200 nodes is looked at every few seconds.
    """
    answered = [node for node in nodes if not found[node.pk].error]
    for node in nodes:
        facts = found[node.pk]
        values = {"last_error": facts.error} if facts.error else columns(facts)
        if differs(node, values):
            Node.objects.filter(pk=node.pk).update(**values)
    for node in answered:
        node.kernel = found[node.pk].info.get("KernelVersion", "")
        if node.has_new_kernel:
            enqueue("clusters.tasks.kernels.look_again", node.pk)
    pks = [node.pk for node in answered]
    Node.objects.filter(pk__in=pks).update(seen_at=timezone.now(), last_error="")
    save_volumes({pk: found[pk] for pk in pks})


def columns(facts: NodeFacts) -> Json:
    """Return a node's columns as its Engine's answers have them."""
    info = facts.info
    return {
        "cpus": info.get("NCPU"),
        "memory_bytes": info.get("MemTotal"),
        "engine_version": info.get("ServerVersion", ""),
        "api_version": facts.api_version,
        "kernel": info.get("KernelVersion", ""),
        "clock_skew": facts.clock_skew,
        "containers": facts.containers,
        "images": facts.images,
    }


def differs(row: models.Model, values: Json) -> bool:
    """Say whether a row has other values than these."""
    return any(getattr(row, key) != value for key, value in values.items())


def save_volumes(found: Mapping[int, NodeFacts]) -> None:
    """Make the volumes' rows match what is on the nodes."""
    now = timezone.now()
    known: dict[int, dict[str, Volume]] = {pk: {} for pk in found}
    for known_row in Volume.objects.filter(node__in=found).order_by():
        known[known_row.node_id][known_row.name] = known_row
    fresh = []
    for pk, facts in found.items():
        rows = known[pk]
        for volume in facts.volumes:
            name, values = volume["Name"], volume_values(volume, facts.sizes or {})
            if name not in rows:
                fresh.append(Volume(node_id=pk, name=name, observed_at=now, **values))
                continue
            row = rows.pop(name)
            # One that was deleted after the Engine had listed it does not come back.
            is_deleted = row.gone_at and row.gone_at > facts.asked_at
            if not is_deleted and differs(row, values):
                Volume.objects.filter(pk=row.pk).update(observed_at=now, **values)
        if missing := [row.pk for row in rows.values() if row.gone_at is None]:
            # One that was made after the Engine was asked is not missing.
            Volume.objects.filter(
                pk__in=missing, gone_at=None, observed_at__lt=facts.asked_at
            ).update(gone_at=now)
    # Somebody may be making one of them at this very moment.
    Volume.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)


def volume_values(volume: Json, sizes: Mapping[str, int]) -> Json:
    """Return a volume's columns; its size only where it was measured this time."""
    name, labels = volume["Name"], volume.get("Labels") or {}
    made = volume.get("CreatedAt")
    values = {
        "driver": volume.get("Driver", "local"),
        "options": json.dumps(volume["Options"]) if volume.get("Options") else "",
        "labels": labels,
        "is_anonymous": is_anonymous(name, labels),
        "created_at": observation.moment(made) if made else None,
        "gone_at": None,
    }
    return values | ({"size_bytes": sizes[name]} if name in sizes else {})
