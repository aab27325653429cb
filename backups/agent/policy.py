"""What an operator decided about the backups of a cluster, as the agents read it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backups.agent.messages import Json

FILE = Path("/medstack/policy.json")


@dataclass(frozen=True)
class Handling:
    """How one volume is captured."""

    excluded: str = ""
    before: str = ""
    after: str = ""
    freeze: bool = False
    stop: bool = False

    @property
    def is_plain(self) -> bool:
        """Say whether nothing has to happen around its capture."""
        return not (self.before or self.after or self.freeze or self.stop)


@dataclass(frozen=True)
class Policy:
    """The nodes' names, how each volume is handled, and whether snapshots are taken at all."""

    nodes: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, Handling] = field(default_factory=dict)
    is_active: bool = True
    image: str = ""

    def node_name(self, swarm_id: str, host_name: str) -> str:
        """Return a node's name; one that joined a moment ago is known by its host's."""
        return self.nodes.get(swarm_id, host_name)

    @property
    def stopping(self) -> frozenset[str]:
        """Return the volumes ("node/volume") whose services are stopped while they are read."""
        found = self.volumes.items()
        return frozenset(key for key, one in found if one.stop and not one.excluded)

    def handling(self, node: str, volume: str) -> Handling:
        """Return how a volume of a node is captured."""
        return self.volumes.get(f"{node}/{volume}", Handling())


def from_json(value: Json) -> Policy:
    """Read a policy as the console writes it."""
    volumes = {key: Handling(**one) for key, one in value.get("volumes", {}).items()}
    return Policy(
        nodes=dict(value.get("nodes", {})),
        volumes=volumes,
        is_active=bool(value.get("active", True)),
        image=str(value.get("image", "")),
    )


def read(path: Path = FILE) -> Policy:
    """Read the policy that the Swarm config brings; without one, everything is captured."""
    return from_json(json.loads(path.read_text())) if path.exists() else Policy()
