"""What an environment is to be on other nodes: the manifest's objects with new places; pure."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from backups.fractions import within
from backups.manifest import Manifest
from backups.parts import Environment, VolumeKey, VolumePart
from clusters import spec as specs
from clusters.ingress.balancer import CERTIFICATES
from clusters.ingress.routes import NETWORK as INTERNAL_NETWORK
from clusters.ingress.routes import of_labels
from clusters.spec.constraints import readable
from medstack.failures import Failure

Json = dict[str, Any]
MANAGED, KIND = "medstack.managed", "medstack.kind"
# What stands for a share's password in a manifest, which people may see.
HIDDEN = "***"
# What the swarm itself adds to the options of a network.
GIVEN_BY_SWARM = "com.docker.network.driver.overlay.vxlanid_list"


@dataclass(frozen=True)
class Place:
    """A node that something is restored to."""

    name: str
    id: str
    hostname: str
    role: str = "worker"
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class OldNode:
    """A node of the snapshot, and why it has to be mapped to a new one; empty: it need not be."""

    name: str
    id: str = ""
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class WantedVolume:
    """A volume with the node that it goes to; `has_data` says whether a backup fills it."""

    part: VolumePart
    place: Place
    driver: str
    options: Mapping[str, str] = field(hash=False)
    labels: Mapping[str, str] = field(hash=False)
    has_data: bool

    @property
    def key(self) -> str:
        """Return what names it on its new node."""
        return f"{self.place.name}/{self.part.volume}"


@dataclass(frozen=True)
class Wanted:
    """Everything that is to be there in the end, as it is sent to the Engine but with names."""

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    networks: tuple[Json, ...] = ()
    registries: tuple[Json, ...] = ()
    secrets: tuple[Json, ...] = ()
    configs: tuple[Json, ...] = ()
    volumes: tuple[WantedVolume, ...] = ()
    services: tuple[Json, ...] = ()
    load_balancer: Json = field(default_factory=dict)


def environment_of(manifest: Manifest) -> Environment:
    """Return the environment of a snapshot, or say that it has none."""
    if manifest.environment is None:
        raise Failure("This snapshot holds no environment; its volumes can be restored one by one.")
    return manifest.environment


def old_nodes(manifest: Manifest) -> list[OldNode]:
    """Return the nodes of a snapshot; those with reasons need a new node each."""
    environment = environment_of(manifest)
    swarm = {one["ID"]: one for one in environment.node_labels}
    told = {one["ID"]: one["Name"] for one in environment.nodes}
    found: dict[str, OldNode] = {}
    for identity in {**swarm, **told}:
        member = swarm.get(identity, {})
        hostname = str(member.get("Hostname", ""))
        name = str(told.get(identity) or hostname)
        found[name] = OldNode(name, identity, hostname, own(member.get("Labels") or {}))
    for part in manifest.volumes:
        found.setdefault(part.node, OldNode(part.node))
    return [
        OldNode(one.name, one.id, one.hostname, one.labels, reasons_of(manifest, one))
        for one in sorted(found.values(), key=lambda one: one.name)
    ]


def reasons_of(manifest: Manifest, node: OldNode) -> tuple[str, ...]:
    """Say why a node of the snapshot needs a place on the new ones."""
    environment, reasons = environment_of(manifest), []
    volumes = [part.volume for part in manifest.volumes if part.node == node.name]
    if volumes:
        reasons.append(f"holds {', '.join(volumes[:5])}{' and others' * (len(volumes) > 5)}")
    bound = [
        str(item["Spec"]["Name"])
        for item in environment.services
        if not is_managed(item["Spec"]) and names_node(item["Spec"], node)
    ]
    if bound:
        reasons.append(f"runs {', '.join(bound[:5])}{' and others' * (len(bound) > 5)}")
    if environment.load_balancer.get("node") == node.name:
        reasons.append("has the load balancer")
    if node.labels:
        reasons.append(f"has the labels {', '.join(sorted(node.labels))}")
    return tuple(reasons)


def names_node(spec: Json, node: OldNode) -> bool:
    """Say whether a service's placement names a node."""
    values = {"node.id": node.id, "node.hostname": node.hostname}
    return any(
        values.get(one.key) and one.value.lower() == values[one.key].lower()
        for one in readable(constraints_of(spec))
    )


def constraints_of(spec: Json) -> list[str]:
    """Return the placement constraints of a service."""
    placement = (spec.get("TaskTemplate") or {}).get("Placement") or {}
    return list(placement.get("Constraints") or [])


def wanted(
    manifest: Manifest,
    nodes: Mapping[str, Place],
    *,
    purged: Iterable[VolumeKey] = (),
    options: Mapping[VolumeKey, Json] | None = None,
) -> Wanted:
    """Return what has to be there, with each old node's things on its new node.

    `options` are those of volumes whose share's password the console itself still knows.
    """
    environment = environment_of(manifest)
    known = {one["Id"]: one["Name"] for one in environment.networks}
    old = old_nodes(manifest)
    balancer = dict(environment.load_balancer)
    if balancer and balancer.get("node") in nodes:
        balancer["node"] = nodes[str(balancer["node"])].name
    gone = set(purged)
    return Wanted(
        labels=labels(old, nodes),
        networks=tuple(
            network(one)
            for one in environment.networks
            if one["Name"] != INTERNAL_NETWORK and (one.get("Labels") or {}).get(MANAGED) != "true"
        ),
        registries=tuple(environment.registries),
        secrets=tuple(
            within(one.spec)
            for one in environment.secrets
            if one.restorable and not is_managed(one.spec)
        ),
        configs=tuple(
            within(one["Spec"]) for one in environment.configs if not is_managed(one["Spec"])
        ),
        volumes=tuple(
            volume(part, nodes[part.node], is_gone=part.key in gone, options=options or {})
            for part in sorted(manifest.volumes, key=lambda one: one.volume != CERTIFICATES)
            if part.node in nodes
        ),
        services=in_order(
            service(within(one["Spec"]), known, old, nodes)
            for one in environment.services
            if not is_managed(one["Spec"])
        ),
        load_balancer=balancer,
    )


def is_managed(spec: Json) -> bool:
    """Say whether the console makes an object by itself."""
    found = spec.get("Labels") or {}
    return found.get(MANAGED) == "true" or KIND in found


def own(found: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that operators set."""
    return {key: value for key, value in found.items() if not key.startswith("medstack.")}


def labels(old: Iterable[OldNode], nodes: Mapping[str, Place]) -> dict[str, dict[str, str]]:
    """Return the operators' labels that each new node gets."""
    found: dict[str, dict[str, str]] = {}
    for node in old:
        if node.labels and node.name in nodes:
            found.setdefault(nodes[node.name].name, {}).update(node.labels)
    return found


def network(item: Json) -> Json:
    """Return the body that creates a network again."""
    given = {k: v for k, v in (item.get("Options") or {}).items() if k != GIVEN_BY_SWARM}
    ipam = item.get("IPAM") or {}
    return {
        "Name": item["Name"],
        "Driver": item.get("Driver") or "overlay",
        "Attachable": bool(item.get("Attachable")),
        "Internal": bool(item.get("Internal")),
        "CheckDuplicate": True,
        "Options": given,
        "Labels": dict(item.get("Labels") or {}),
        "IPAM": {
            "Driver": ipam.get("Driver") or "default",
            "Config": [
                {key: one[key] for key in ("Subnet", "Gateway", "IPRange") if one.get(key)}
                for one in ipam.get("Config") or []
            ],
        },
    }


def volume(
    part: VolumePart, place: Place, *, is_gone: bool, options: Mapping[VolumeKey, Json]
) -> WantedVolume:
    """Return a volume in its new place."""
    made = part.spec
    given = dict(made.get("Options") or {})
    return WantedVolume(
        part=part,
        place=place,
        driver=str(made.get("Driver") or "local"),
        options=dict(options.get(part.key, given)) if hides(given) else given,
        labels=dict(made.get("Labels") or {}),
        # What lies in the memory of a node is gone with the container that mounted it.
        has_data=part.state == "captured" and not is_gone and given.get("type") != "tmpfs",
    )


def hides(options: Mapping[str, str]) -> bool:
    """Say whether a password was left out of a volume's options."""
    return any(HIDDEN in str(value) for value in options.values())


def service(
    spec: Json, networks: Mapping[str, str], old: Iterable[OldNode], nodes: Mapping[str, Place]
) -> Json:
    """Return a service's spec with names for ids, and its placement on the new nodes."""
    result = specs.named(spec, networks={name: key for key, name in networks.items()})
    template = result.get("TaskTemplate") or {}
    template.pop("ForceUpdate", None)
    placement = template.get("Placement") or {}
    if placement.get("Constraints"):
        changes = new_values(old, nodes)
        placement["Constraints"] = [moved(text, changes) for text in placement["Constraints"]]
    return result


def new_values(old: Iterable[OldNode], nodes: Mapping[str, Place]) -> dict[tuple[str, str], str]:
    """Return what stands in constraints for a node from now on."""
    found = {}
    for node in old:
        if node.name in nodes:
            found["node.id", node.id.lower()] = nodes[node.name].id
            found["node.hostname", node.hostname.lower()] = nodes[node.name].hostname
    return found


def moved(text: str, changes: Mapping[tuple[str, str], str]) -> str:
    """Return a constraint with the new node in place of the old one."""
    for one in readable([text]):
        new = changes.get((one.key, one.value.lower()))
        if new:
            return f"{one.key}{one.operator}{new}"
    return text


def in_order(found: Iterable[Json]) -> tuple[Json, ...]:
    """Return services in the order in which they start: with data first, published ones last."""

    def rank(spec: Json) -> tuple[bool, bool, str]:
        published = bool(of_labels(spec["Name"], spec.get("Labels") or {}))
        return published, not specs.uses(spec).volumes, str(spec["Name"])

    return tuple(sorted(found, key=rank))


def comparable(spec: Json) -> Json:
    """Return a spec in the form in which two are compared, once both have names for ids."""
    result = deepcopy(spec)
    (result.get("TaskTemplate") or {}).pop("ForceUpdate", None)
    if (result.get("Labels") or {}).get("medstack.endpoint-mode") == "auto":
        # The nodes' kernels decide it.
        (result.get("EndpointSpec") or {}).pop("Mode", None)
    found: Json = full(result)
    return found


def full(value: Any) -> Any:
    """Return a value without what says nothing: the Engine writes some of it, and some not."""
    if isinstance(value, dict):
        parts = {key: full(inner) for key, inner in value.items()}
        return {key: inner for key, inner in parts.items() if inner not in (None, {}, [], "")}
    if isinstance(value, list):
        return [full(inner) for inner in value]
    return value
