"""Whether a service finds a node among those that there will be; pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from backups.wanted import Place, constraints_of
from clusters.spec.constraints import Constraint, readable

Json = dict[str, Any]
LABEL = "node.labels."


def unplaceable(
    spec: Json, places: Iterable[Place], labels: Mapping[str, Mapping[str, str]]
) -> str:
    """Say why no node can run a service; nothing where one can.

    `labels` come to the nodes' own ones with the restore. What only the node itself knows, such as
    its platform, is left to the swarm.
    """
    constraints = readable(constraints_of(spec))
    for place in places:
        values = values_of(place, labels.get(place.name, {}))
        if all(allowed(one, values) for one in constraints):
            return ""
    words = ", ".join(str(one) for one in constraints)
    return f"No node meets its placement ({words}). Map its node, or label one."


def values_of(place: Place, more: Mapping[str, str]) -> dict[str, str]:
    """Return what constraints may ask of a node."""
    found = {f"{LABEL}{key}": text for key, text in {**place.labels, **more}.items()}
    return {**found, "node.id": place.id, "node.hostname": place.hostname, "node.role": place.role}


def allowed(constraint: Constraint, values: Mapping[str, str]) -> bool:
    """Say whether a constraint lets a node be chosen, as far as it can be known."""
    if constraint.key not in values and not constraint.key.startswith(LABEL):
        return True
    return constraint.allows(constraint.key, values.get(constraint.key, ""))
