"""Look at every cluster and make the rows say what its Engines say."""

import base64
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from clusters import observation
from clusters.models import Cluster, Config, Network, Node, Secret
from clusters.observation import SwarmFacts
from clusters.tasks.observe import differs, save_nodes
from clusters.tasks.observe_services import save_services
from medstack.queue import enqueue

OF_AGENTS = "medstack.kind"
SIZES_EVERY = timedelta(minutes=5)
# Longer than a read can take; a refresh whose worker was killed is taken for ended after that.
LONGEST = timedelta(seconds=20)


def enqueue_refreshes() -> None:
    """Queue a refresh of every cluster that has nodes and was not looked at just now."""
    with_nodes = Cluster.objects.filter(nodes__removed_at=None, nodes__isnull=False).distinct()
    for pk in with_nodes.values_list("pk", flat=True):
        enqueue_refresh(pk)


def enqueue_refresh(pk: int, *, older_than: float | None = None) -> bool:
    """Queue one cluster's refresh unless another was queued a moment ago."""
    age = settings.REFRESH_EVERY if older_than is None else older_than
    due = timezone.now() - timedelta(seconds=age)
    with transaction.atomic():
        claimed = Cluster.objects.filter(
            Q(refresh_claimed_at=None) | Q(refresh_claimed_at__lt=due), pk=pk
        ).update(refresh_claimed_at=timezone.now())
        if claimed:
            enqueue("clusters.tasks.refresh.refresh_cluster", pk)
    return bool(claimed)


def refresh_cluster(pk: int) -> None:
    """Look at a cluster; until that has ended no other look is queued.

    Without this, a silent Engine whose page is open would occupy all workers.
    """
    now = timezone.now()
    Cluster.objects.filter(pk=pk).update(refresh_claimed_at=now + LONGEST)
    try:
        look_at(Cluster.objects.get(pk=pk))
    finally:
        Cluster.objects.filter(pk=pk).update(refresh_claimed_at=now)


def look_at(cluster: Cluster) -> None:
    """Read a cluster's Engines, all at once, and save what they say."""
    nodes = list(Node.objects.present().filter(cluster=cluster).exclude(endpoint_url=""))
    if not nodes:
        return
    now = timezone.now()
    sizes = cluster.sizes_observed_at is None or now - cluster.sizes_observed_at > SIZES_EVERY
    managers = [node.endpoint for node in Node.objects.reachable_managers(cluster)]
    found, swarm = observation.read_cluster(
        {node.pk: node.endpoint for node in nodes}, managers, sizes=sizes
    )
    with transaction.atomic():
        save_nodes(nodes, found)
        if not swarm.error:
            save_swarm(cluster, swarm)
        Cluster.objects.filter(pk=cluster.pk).update(
            observed_at=cluster.observed_at if swarm.error else timezone.now(),
            observed_error=swarm.error,
            sizes_observed_at=now if sizes else cluster.sizes_observed_at,
        )


def save_swarm(cluster: Cluster, swarm: SwarmFacts) -> None:
    """Save what a manager said about the whole swarm."""
    save_members(cluster, swarm.nodes)
    save_networks(cluster, swarm.networks)
    adopt(Secret, cluster, swarm.secrets)
    adopt(Config, cluster, swarm.configs)
    save_services(cluster, swarm.services, swarm.tasks, asked_at=swarm.asked_at)


def save_members(cluster: Cluster, members: list[dict[str, Any]]) -> None:
    """Save role, state and labels of the swarm's nodes; count those that are not attached."""
    rows = {node.swarm_node_id: node for node in Node.objects.present().filter(cluster=cluster)}
    strangers = []
    for member in members:
        row = rows.get(member["ID"])
        if row is None:
            strangers.append(member["Description"]["Hostname"])
            continue
        values = {
            "role": member["Spec"]["Role"],
            "availability": member["Spec"]["Availability"],
            "labels": member["Spec"].get("Labels") or {},
            "swarm_state": member["Status"]["State"],
            "is_leader": (member.get("ManagerStatus") or {}).get("Leader", False),
        }
        if differs(row, values):
            Node.objects.filter(pk=row.pk).update(**values)
    Cluster.objects.filter(pk=cluster.pk).update(strangers=strangers)


def save_networks(cluster: Cluster, networks: list[dict[str, Any]]) -> None:
    """Make the networks' rows match the swarm's networks."""
    for network in networks:
        kept = {
            key: network.get(key)
            for key in ("Driver", "Attachable", "Internal", "Ingress", "Options", "IPAM", "Labels")
        }
        Network.objects.update_or_create(
            cluster=cluster,
            engine_id=network["Id"],
            defaults={"name": network["Name"], "observed": kept},
        )
    cluster.networks.exclude(engine_id__in=[network["Id"] for network in networks]).delete()


def adopt(
    model: type[Config] | type[Secret], cluster: Cluster, found: list[dict[str, Any]]
) -> None:
    """Take up objects that were made outside the console; note those that are gone."""
    now = timezone.now()
    # Those of the backup agents are no operator's, and are replaced with every change.
    found = [item for item in found if OF_AGENTS not in (item["Spec"].get("Labels") or {})]
    ids = {item["ID"]: item["Spec"]["Name"] for item in found}
    data = {item["ID"]: base64.b64decode(item["Spec"].get("Data") or "") for item in found}
    rows = model.objects.present().filter(cluster=cluster)
    names = {row.engine_name for row in rows} | {row.name for row in rows if row.is_current}
    # Ids are never given twice: what was removed is not taken up again from a list read before.
    ever = model.objects.filter(cluster=cluster, engine_id__in=ids)
    known = set(ever.values_list("engine_id", flat=True))
    for engine_id, name in ids.items():
        # A row of that name waits for its id: the task that made the object completes it.
        if engine_id not in known and name not in names and len(name) <= 64:
            row = model(
                cluster=cluster, name=name, engine_id=engine_id, is_external=True, seen_at=now
            )
            if isinstance(row, Config):
                row.data = data[engine_id]
                row.size_bytes = len(row.data)
            row.save()
    rows.filter(engine_id__in=ids, seen_at=None).update(seen_at=now)
    # Only what was seen before can be gone: a list read just before a creation lacks it, too.
    rows.exclude(engine_id__in=ids).filter(seen_at__isnull=False).update(
        removed_at=now, is_current=False
    )
