"""What about a node is not as production wants it; pure."""

import re
from dataclasses import dataclass

from clusters.models import Node

SAFE_ENGINE = (20, 10, 24)
SKEW_SECONDS = 5.0


@dataclass(frozen=True)
class Warning:
    """One thing to know about a node."""

    title: str
    text: str


def warnings(node: Node) -> list[Warning]:
    """Return what is amiss with a node, most serious first."""
    found = []
    if node.has_esp is False:
        found.append(
            Warning(
                "The kernel cannot encrypt between nodes",
                "It has no ESP (CONFIG_INET_ESP). The internal network stays encrypted, so its "
                "packets to and from other nodes are dropped. Keep what must talk to each other "
                "on one node, or use a kernel with ESP.",
            )
        )
    if node.engine_version and engine_number(node.engine_version) < SAFE_ENGINE:
        found.append(
            Warning(
                f"Docker Engine {node.engine_version} is old",
                "Before 20.10.24, encrypted networks could let through unencrypted packets "
                "(GHSA-232p-vwff-86mp). Upgrade the Engine.",
            )
        )
    if node.has_ipvs is False:
        found.append(
            Warning(
                "The kernel has no IPVS",
                "A service's virtual IP would answer nothing here. Services with the endpoint "
                "mode “automatic” use DNS round robin instead.",
            )
        )
    if node.clock_skew is not None and abs(node.clock_skew) > SKEW_SECONDS:
        ahead = "ahead of" if node.clock_skew > 0 else "behind"
        found.append(
            Warning(
                f"The clock is {abs(node.clock_skew):.0f} s {ahead} the console's",
                "Certificates, tokens and snapshots rely on the time. Synchronise it with NTP.",
            )
        )
    return found


def engine_number(version: str) -> tuple[int, ...]:
    """Return a version's three leading numbers, so that 20.10.24+dfsg1 compares."""
    numbers = [int(text) for text in re.findall(r"\d+", version)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))
