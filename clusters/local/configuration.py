"""Where local nodes live: their folder, their bridge and their addresses."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from django.conf import settings

from medstack.failures import Failure

# The kernel allows 15 characters for a link's name, and a node's link is BRIDGE + "v" + number.
BRIDGE = re.compile(r"[a-z][a-z0-9]{0,10}")
# A node lays its own folders over these, so whatever the host keeps there is hidden from it.
HIDDEN = (Path("/run"), Path("/var/run"), Path("/var/lib/docker"), Path("/etc/docker"))


@dataclass(frozen=True)
class LocalNetwork:
    """The nodes of one root folder; roots with different bridges and subnets can coexist."""

    root: Path
    bridge: str
    subnet: IPv4Network
    outside: bool = True  # Whether the Engines may reach networks beyond this machine.

    def __post_init__(self) -> None:
        """Refuse what could not work."""
        if not BRIDGE.fullmatch(self.bridge):
            raise Failure(
                f"The bridge name {self.bridge!r} must be at most 11 lower-case letters and "
                "digits, a letter first."
            )
        if not 16 <= self.subnet.prefixlen <= 29:
            raise Failure(f"The subnet {self.subnet} of local nodes must be a /16 to a /29.")
        if not self.root.is_absolute() or any(self.root.is_relative_to(path) for path in HIDDEN):
            raise Failure(f"Local nodes cannot live in {self.root}: it is hidden inside a node.")
        if len(str(self.root)) > 50:
            # A socket's path has room for 107 characters, the node's name included.
            raise Failure(f"The path {self.root} is too long for the Engines' sockets.")

    @property
    def gateway(self) -> IPv4Address:
        """Return the bridge's own address."""
        return self.subnet.network_address + 1

    @property
    def lock(self) -> Path:
        """Return the file whose lock guards addresses, links and rules."""
        return self.root / ".lock"


def configured() -> LocalNetwork:
    """Return the installation's own network of local nodes."""
    return LocalNetwork(
        root=Path(settings.LOCAL_NODES_ROOT),
        bridge=settings.LOCAL_NODES_BRIDGE,
        subnet=IPv4Network(settings.LOCAL_NODES_SUBNET),
    )
