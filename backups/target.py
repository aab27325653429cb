"""Read what a restore's plan needs to know: the snapshot's manifest, and the cluster's state."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from backups.agent.volumes import spec_of
from backups.manifest import Manifest, parse
from backups.models import Restore, Snapshot
from backups.parts import VolumeKey
from backups.plan import plan
from backups.planned import Plan, Target
from backups.policy import settings_of
from backups.wanted import Place, Wanted, old_nodes, wanted
from clusters import spec as specs
from clusters.engine import Unreachable
from clusters.gateway import on_manager
from clusters.models import Cluster, DomainMapping, LoadBalancer, Node, Service, Volume
from clusters.observation import read_swarm
from clusters.tasks.refresh import save_swarm
from medstack.failures import Failure

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One restore as it can be planned: what is wanted where, and what stands against it."""

    manifest: Manifest
    nodes: Mapping[str, Place]
    wanted: Wanted
    target: Target
    plan: Plan


def manifest_of(snapshot: Snapshot) -> Manifest:
    """Return the manifest of a snapshot, or say why nothing can be restored from it."""
    if snapshot.purged_at:
        raise Failure(f"This snapshot was purged on {snapshot.purged_at:%Y-%m-%d}.")
    if not snapshot.manifest:
        raise Failure(f"This snapshot is “{snapshot.state}”: it holds nothing to restore.")
    return parse(Manifest, snapshot.manifest.encode())


def case_of(snapshot: Snapshot, cluster: Cluster, names: Mapping[str, str]) -> Case:
    """Plan a restore of a snapshot's environment; `names` are old nodes and their new ones."""
    if snapshot.cluster.company_id != cluster.company_id:
        raise Failure("An environment is restored to clusters of its own company only.")
    manifest = manifest_of(snapshot)
    target = target_of(cluster, snapshot)
    nodes = mapped(manifest, target.places, names)
    found = wanted_of(snapshot, manifest, nodes)
    return Case(manifest, nodes, found, target, plan(manifest, found, target, nodes))


def wanted_of(snapshot: Snapshot, manifest: Manifest, nodes: Mapping[str, Place]) -> Wanted:
    """Return what is wanted, with what the console knows and the manifest does not show."""
    purged = snapshot.volumes.exclude(purged_at=None)
    return wanted(
        manifest,
        nodes,
        purged=[VolumeKey(one.node_name, one.volume_name) for one in purged],
        options=known_options(snapshot, manifest),
    )


def known_options(snapshot: Snapshot, manifest: Manifest) -> dict[VolumeKey, Json]:
    """Return the options of volumes as the console keeps them: with a share's password."""
    parts = {part.key: part for part in manifest.volumes if part.spec.get("Options")}
    found = {}
    for row in Volume.objects.filter(node__cluster=snapshot.cluster).select_related("node"):
        key = VolumeKey(row.node.name, row.name)
        if key in parts:
            options = json.loads(row.options or "{}")
            # Only those of the volume as it was captured.
            if spec_of({"Options": options})["Options"] == parts[key].spec["Options"]:
                found[key] = options
    return found


def mapped(
    manifest: Manifest, places: tuple[Place, ...], names: Mapping[str, str]
) -> dict[str, Place]:
    """Return the new node of each old one; raise Failure for a name that there is not."""
    here = {place.name: place for place in places}
    known = {node.name for node in old_nodes(manifest)}
    for old, new in names.items():
        if old not in known:
            raise Failure(f"The snapshot has no node “{old}”, only {', '.join(sorted(known))}.")
        if new and new not in here:
            raise Failure(f"The cluster has no node “{new}”, only {', '.join(sorted(here))}.")
    return {old: here[new] for old, new in names.items() if new}


def suggested(manifest: Manifest, places: tuple[Place, ...]) -> dict[str, str]:
    """Suggest a new node for each old one that needs one: its namesake, or the only one."""
    names = [place.name for place in places]
    free = [name for name in names if name not in {node.name for node in old_nodes(manifest)}]
    found = {}
    for node in old_nodes(manifest):
        if not node.reasons:
            continue
        if node.name in names:
            found[node.name] = node.name
        elif len(names) == 1:
            found[node.name] = names[0]
        elif free:
            found[node.name] = free.pop(0)
    return found


def places_of(cluster: Cluster) -> tuple[Place, ...]:
    """Return the nodes of a cluster that can take something, as a manager describes them."""
    if not cluster.is_initialised:
        raise Failure(f"“{cluster}” has no node yet. Create its first node, then restore to it.")
    rows = {
        node.swarm_node_id: node.name
        for node in Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id="")
    }
    with on_manager(cluster) as manager:
        members = manager.nodes()
    found = [
        Place(
            name=rows[one["ID"]],
            id=one["ID"],
            hostname=one["Description"]["Hostname"],
            role=one["Spec"]["Role"],
            labels=dict(one["Spec"].get("Labels") or {}),
        )
        for one in members
        if one["ID"] in rows and one["Status"]["State"] == "ready"
    ]
    return tuple(sorted(found, key=lambda place: place.name))


def target_of(cluster: Cluster, snapshot: Snapshot) -> Target:
    """Return what a cluster has, as its rows and a manager say."""
    places = places_of(cluster)
    observe(cluster)
    balancer = LoadBalancer.objects.filter(cluster=cluster).select_related("node").first()
    elsewhere = DomainMapping.objects.present().exclude(service__cluster=cluster)
    volumes = Volume.objects.present().filter(node__cluster=cluster).exclude(observed_at=None)
    return Target(
        places=places,
        networks={row.name: row.observed for row in cluster.networks.all()},
        registries=dict(cluster.registries.values_list("address", "username")),
        secrets=frozenset(row.engine_name for row in cluster.secrets.present() if row.engine_id),
        configs={
            row.engine_name: base64.b64encode(bytes(row.data)).decode()
            for row in cluster.configs.present()
            if row.engine_id
        },
        volumes=frozenset(f"{row.node.name}/{row.name}" for row in volumes.select_related("node")),
        services=services_of(cluster),
        domains={
            **{one.domain: "a service of another cluster" for one in elsewhere},
            **domains_of(cluster),
        },
        load_balancer=settings_of(balancer) if balancer else {},
        is_plain=cluster.lab_plain_network,
        **former(cluster, snapshot),
    )


def observe(cluster: Cluster) -> None:
    """Look at the swarm now: a plan made from rows of a moment ago would see strange conflicts."""
    managers = [node.endpoint for node in Node.objects.reachable_managers(cluster)]
    swarm = read_swarm(managers)
    if swarm.error:
        raise Unreachable(f"No manager answers. {swarm.error}")
    with transaction.atomic():
        save_swarm(cluster, swarm)


def services_of(cluster: Cluster) -> dict[str, Json]:
    """Return the services that run, with names for ids."""
    networks = dict(cluster.networks.values_list("name", "engine_id"))
    rows = Service.objects.present().filter(cluster=cluster, is_managed=False)
    return {row.name: specs.named(row.observed or row.spec, networks=networks) for row in rows}


def domains_of(cluster: Cluster) -> dict[str, str]:
    """Return the mapped domains of the cluster's own services."""
    rows = DomainMapping.objects.present().filter(service__cluster=cluster)
    return {row.domain: f"the service {row.service.name}" for row in rows.select_related("service")}


def former(cluster: Cluster, snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """Return what former restores of the snapshot have made here and is still there."""
    born = {n.name: n.created_at for n in Node.objects.present().filter(cluster=cluster)}
    made = {row.engine_name: row.created_at for row in cluster.secrets.present()}
    filled: set[str] = set()
    begun: set[str] = set()
    secrets: set[str] = set()
    rows = Restore.objects.filter(mode=Restore.Mode.ENVIRONMENT, snapshot=snapshot, cluster=cluster)
    for row in rows:
        since = row.started_at
        for key in row.result.get("begun", []):
            node = key.partition("/")[0]
            # A node of the same name that came later is another one.
            if node in born and born[node] < since:
                begun.add(key)
                if key in row.result.get("volumes", {}):
                    filled.add(key)
        secrets.update(
            name for name in row.result.get("secrets", []) if name in made and made[name] >= since
        )
    return {
        "filled": frozenset(filled),
        "begun": frozenset(begun),
        "restored_secrets": frozenset(secrets),
    }
