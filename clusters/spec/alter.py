"""Small changes of a whole service spec: each returns a new one."""

from copy import deepcopy
from typing import Any

from clusters.spec.constraints import pinned_node, readable
from clusters.spec.defaults import ENDPOINT_LABEL
from clusters.spec.mounts import KINDS
from clusters.spec.read import part
from medstack.failures import Failure

Json = dict[str, Any]


def scaled(spec: Json, replicas: int) -> Json:
    """Return the spec with another number of replicas."""
    if replicas < 0:
        raise Failure("A service cannot have fewer than 0 replicas.")
    mode = spec.get("Mode") or {"Replicated": {}}
    if "Replicated" not in mode:
        raise Failure("Only a replicated service has a number of replicas to change.")
    result = deepcopy(spec)
    result["Mode"] = {"Replicated": {**part(mode, "Replicated"), "Replicas": replicas}}
    return result


def forced(spec: Json) -> Json:
    """Return the spec with its restart counter advanced, so that every task is replaced."""
    result = deepcopy(spec)
    template = inner(result, "TaskTemplate")
    template["ForceUpdate"] = (template.get("ForceUpdate") or 0) + 1
    return result


def with_image(spec: Json, image: str) -> Json:
    """Return the spec with another image."""
    result = deepcopy(spec)
    container_of(result)["Image"] = image
    return result


def pinned(spec: Json, node_id: str) -> Json:
    """Return the spec with the constraint to run on this node only, unless it is there."""
    result = deepcopy(spec)
    placement = inner(inner(result, "TaskTemplate"), "Placement")
    constraints = list(placement.get("Constraints") or [])
    if pinned_node(constraints) != node_id:
        placement["Constraints"] = [*constraints, f"node.id=={node_id}"]
    return result


def may_run_on(spec: Json, node_id: str) -> bool:
    """Say whether the constraints on the node's id let tasks run on this node."""
    placement = part(part(spec, "TaskTemplate"), "Placement")
    constraints = readable(placement.get("Constraints") or [])
    return all(constraint.allows("node.id", node_id) for constraint in constraints)


def endpoint_mode(spec: Json, *, ipvs: bool) -> Json:
    """Return the spec with vip or dnsrr where it leaves that to the nodes' kernels.

    A published port needs the virtual IP, whatever the kernels can do.
    """
    if part(spec, "Labels").get(ENDPOINT_LABEL) != "auto":
        return deepcopy(spec)
    result = deepcopy(spec)
    endpoint = inner(result, "EndpointSpec")
    endpoint["Mode"] = "vip" if ipvs or has_ingress_ports(spec) else "dnsrr"
    return result


def has_ingress_ports(spec: Json) -> bool:
    """Say whether the service publishes ports through the swarm's routing mesh."""
    ports = part(spec, "EndpointSpec").get("Ports") or []
    return any(port.get("PublishMode", "ingress") == "ingress" for port in ports)


def repoint(spec: Json, kind: str, old_name: str, new_name: str) -> Json:
    """Return the spec with another version of a secret or config under the same file name."""
    result = deepcopy(spec)
    key = KINDS.get(f"{kind}s", kind.capitalize())
    for item in container_of(result).get(f"{key}s") or []:
        if item.get(f"{key}Name") == old_name:
            item[f"{key}Name"] = new_name
            # The id is the old version's; it is looked up anew when the spec is sent.
            item.pop(f"{key}ID", None)
    return result


def container_of(spec: Json) -> Json:
    """Return the container's part of a spec, to be changed in place."""
    return inner(inner(spec, "TaskTemplate"), "ContainerSpec")


def inner(whole: Json, key: str) -> Json:
    """Return an object inside another, to be changed in place; make it where it is missing."""
    if not isinstance(whole.get(key), dict):
        whole[key] = {}
    found: Json = whole[key]
    return found
