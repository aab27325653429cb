"""What restoring an environment onto a cluster would do: create, skip, refuse, leave out; pure."""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from backups.manifest import Manifest
from backups.plan_services import load_balancer, services
from backups.planned import Item, Plan, Target
from backups.wanted import Place, Wanted, WantedVolume, environment_of, hides, old_nodes
from clusters.ingress.balancer import CERTIFICATES

Json = dict[str, Any]
SHARES = ("nfs", "nfs4", "cifs")


def plan(manifest: Manifest, wanted: Wanted, target: Target, nodes: Mapping[str, Place]) -> Plan:
    """Compare what is wanted with what is there; nothing is decided silently."""
    warnings: list[str] = [*lost(manifest, wanted)]
    items = [
        *unmapped(manifest, nodes),
        *node_labels(wanted, target, warnings),
        *networks(wanted, target, warnings),
        *registries(manifest, wanted, target, warnings),
        *secrets(wanted, target, warnings),
        *configs(wanted, target),
        *volumes(wanted, target, warnings),
        *services(manifest, wanted, target, warnings),
        *load_balancer(wanted, target),
    ]
    return Plan(tuple(items), tuple(dict.fromkeys(warnings)))


def lost(manifest: Manifest, wanted: Wanted) -> Iterator[str]:
    """Say what the snapshot itself does not hold."""
    environment = environment_of(manifest)
    for failure in environment.failures:
        yield f"The snapshot lacks a part: {failure}"
    for secret in environment.secrets:
        if not secret.restorable:
            yield f"The secret “{secret.name}” cannot be restored: {secret.reason}"
    for volume in wanted.volumes:
        part = volume.part
        if part.state != "captured":
            yield f"{part.key} comes back empty: {part.reason}"
        elif not volume.has_data:
            yield f"{part.key} comes back empty: its data was purged or lay in memory only."
        if hides(volume.options):
            yield (
                f"{part.key} needs a password that no backup holds; create it on "
                f"{volume.place.name} beforehand, or it will not be mounted."
            )
        elif volume.has_data and volume.options.get("type") in SHARES:
            yield f"{part.key} is a share: its data is written there, and it has to be empty."


def unmapped(manifest: Manifest, nodes: Mapping[str, Place]) -> Iterator[Item]:
    """Refuse to leave a node of the snapshot without a new one."""
    for node in old_nodes(manifest):
        if node.reasons and node.name not in nodes:
            detail = f"It {'; '.join(node.reasons)}. Choose a new node for it."
            yield Item("node", node.name, "conflict", detail)


def node_labels(wanted: Wanted, target: Target, warnings: list[str]) -> Iterator[Item]:
    """Plan the operators' labels of nodes."""
    present = {place.name: place.labels for place in target.places}
    for name, labels in wanted.labels.items():
        here = present.get(name, {})
        missing = {key: text for key, text in labels.items() if here.get(key) != text}
        words = ", ".join(f"{key}={text}" for key, text in sorted(labels.items()))
        warnings += [
            f"The label {key} of the node {name} changes from “{here[key]}” to “{labels[key]}”."
            for key in sorted(missing.keys() & here.keys())
        ]
        yield Item("node labels", name, "create" if missing else "present", words)


def networks(wanted: Wanted, target: Target, warnings: list[str]) -> Iterator[Item]:
    """Plan the overlay networks."""
    for body in wanted.networks:
        name, detail = body["Name"], ", ".join(subnets(body)) or "Docker chooses its addresses"
        there = target.networks.get(name)
        if there is not None:
            same = network_facts(there) == network_facts(body)
            yield Item(
                "network",
                name,
                "present" if same else "conflict",
                detail
                if same
                else (
                    "A network of this name has other options or addresses. Delete it, or restore "
                    "to another cluster."
                ),
            )
            continue
        if "encrypted" in body["Options"] and target.is_plain:
            warnings.append(f"The network “{name}” is not encrypted in this lab cluster.")
        if other := overlapping(body, target.networks):
            warnings.append(
                f"The addresses of the network “{name}” are taken by “{other}” here; Docker "
                "gives it others."
            )
        yield Item("network", name, detail=detail)


def network_facts(item: Json) -> tuple[Any, ...]:
    """Return what makes a network the same."""
    options = {k for k in item.get("Options") or {} if k == "encrypted"}
    flags = bool(item.get("Attachable")), bool(item.get("Internal"))
    return item.get("Driver") or "overlay", flags, options, sorted(subnets(item))


def subnets(item: Json) -> list[str]:
    """Return a network's address ranges."""
    parts = (item.get("IPAM") or {}).get("Config") or []
    return [part["Subnet"] for part in parts if part.get("Subnet")]


def overlapping(body: Json, others: Mapping[str, Json]) -> str:
    """Return the network that has some of the same addresses, if one has."""
    mine = [ip_network(one, strict=False) for one in subnets(body)]
    for name, other in others.items():
        theirs = [ip_network(one, strict=False) for one in subnets(other)]
        if any(a.version == b.version and a.overlaps(b) for a in mine for b in theirs):
            return name
    return ""


def registries(
    manifest: Manifest, wanted: Wanted, target: Target, warnings: list[str]
) -> Iterator[Item]:
    """Plan the registries, whose passwords lie with the secrets."""
    environment = environment_of(manifest)
    kept = any(
        (one.spec.get("Labels") or {}).get("medstack.kind") == "registries" and one.restorable
        for one in environment.secrets
    )
    for one in wanted.registries:
        address, username = one["address"], one.get("username", "")
        if address in target.registries:
            same = target.registries[address] == username
            detail = (
                f"as {username}"
                if same
                else (
                    f"It is used as {target.registries[address]} here, not as {username}. "
                    "Change or delete it first."
                )
            )
            yield Item("registry", address, "present" if same else "conflict", detail)
            continue
        if not kept and username:
            warnings.append(
                f"The password of the registry {address} is not in the snapshot; type it on the "
                "registry's page afterwards."
            )
        yield Item("registry", address, detail=f"as {username}" if username else "")


def secrets(wanted: Wanted, target: Target, warnings: list[str]) -> Iterator[Item]:
    """Plan the secrets; nobody can compare the values of those that are there."""
    for spec in wanted.secrets:
        name = spec["Name"]
        if name in target.secrets and name not in target.restored_secrets:
            warnings.append(
                f"A secret “{name}” is there already and stays; its value cannot be compared."
            )
        yield Item("secret", name, "present" if name in target.secrets else "create")


def configs(wanted: Wanted, target: Target) -> Iterator[Item]:
    """Plan the configs, whose content is known."""
    for spec in wanted.configs:
        name, data = spec["Name"], spec.get("Data") or ""
        size = f"{len(base64.b64decode(data))} bytes"
        if name not in target.configs:
            yield Item("config", name, detail=size)
        elif target.configs[name] == data:
            yield Item("config", name, "present", size)
        else:
            detail = "A config of this name has another content. Delete it first."
            yield Item("config", name, "conflict", detail)


def volumes(wanted: Wanted, target: Target, warnings: list[str]) -> Iterator[Item]:
    """Plan the volumes; the data of one that is there is never touched."""
    times = Counter(volume.key for volume in wanted.volumes)
    for volume in wanted.volumes:
        name, place = volume.part.volume, volume.place.name
        words = f"{shown(volume.part.bytes)} on {place}" if volume.has_data else f"on {place}"
        if times[volume.key] > 1:
            detail = f"Two volumes of this name would meet on {place}. Map their nodes apart."
            yield Item("volume", name, "conflict", detail)
        elif volume.key in target.filled:
            yield Item("volume", name, "present", f"{words}, restored before")
        elif volume.key in target.volumes and volume.key not in target.begun:
            yield existing(volume, warnings)
        else:
            yield Item("volume", name, detail=words)


def shown(size: int) -> str:
    """Return a size in the largest unit of which there is at least one."""
    for unit, bytes_of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_of:
            return f"{size / bytes_of:,.1f} {unit}"
    return f"{size} bytes"


def existing(volume: WantedVolume, warnings: list[str]) -> Item:
    """Plan a volume that is on its new node already."""
    name, place = volume.part.volume, volume.place.name
    if volume.has_data:
        hint = " Remove the load balancer first." if name == CERTIFICATES else ""
        detail = (
            f"{place} has a volume of this name, and its data is not touched.{hint} Delete the "
            "volume, or choose another node."
        )
        return Item("volume", name, "conflict", detail)
    warnings.append(f"The volume “{name}” of {place} stays as it is.")
    return Item("volume", name, "present", f"on {place}, as it is")
