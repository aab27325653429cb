"""What the service form offers: the view reads it, the form does no query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clusters.ingress.domains import covers


@dataclass(frozen=True)
class VolumeChoice:
    """A volume of one node."""

    name: str
    node_id: str
    node_name: str

    @property
    def value(self) -> str:
        """Return what the form sends: the node decides where the service runs."""
        return f"{self.node_id}/{self.name}"

    def __str__(self) -> str:
        return f"{self.name} on {self.node_name}"


@dataclass(frozen=True)
class ServiceChoices:
    """All that a cluster has to offer to a service."""

    # Keys and addresses.
    registries: Sequence[tuple[int, str]] = ()
    # The Engine's names, and the names that people gave.
    secrets: Sequence[tuple[str, str]] = ()
    configs: Sequence[tuple[str, str]] = ()
    volumes: Sequence[VolumeChoice] = ()
    # Names and the Engine's ids.
    networks: Sequence[tuple[str, str]] = ()
    # The swarm's ids and host names.
    nodes: Sequence[tuple[str, str]] = ()
    # The lowest among the cluster's Engines; empty if none is known.
    api_version: str = ""
    # Names of the cluster's services.
    taken: frozenset[str] = frozenset()
    # Whether domains can be mapped, and the domains that other services have, with whose they are.
    has_load_balancer: bool = False
    claimed: Mapping[str, str] = field(default_factory=dict)
    # The names that the uploaded certificates are good for.
    certified: Sequence[str] = ()
    # Whether the load balancer can prove to the ACME directory that a wildcard is the company's.
    has_dns_challenge: bool = False
    # Only an Owner may put off the check that a domain resolves to the load balancer.
    may_postpone: bool = False

    def has_certificate(self, domain: str) -> bool:
        """Say whether an uploaded certificate covers a domain."""
        return any(covers(name, domain) for name in self.certified)

    def can_prove(self, wildcard: str) -> bool:
        """Say whether there is, or will be, a certificate for a wildcard."""
        return self.has_dns_challenge or self.has_certificate(wildcard)

    def node_name(self, node_id: str) -> str:
        """Return a node's host name, or its id where that is all there is."""
        return dict(self.nodes).get(node_id, node_id) or "whichever node runs it"

    def has_api(self, wanted: str) -> bool:
        """Say whether every Engine of the cluster knows this version of the API."""
        return bool(self.api_version) and version(self.api_version) >= version(wanted)


def version(written: str) -> tuple[int, ...]:
    """Return a version's numbers, which compare as versions do."""
    return tuple(int(number) for number in written.split("."))
