"""Choose address ranges that overlap nothing the host already uses."""

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_interface, ip_network
from pathlib import Path
from typing import Any

from medstack.failures import Failure

# Private ranges that cloud providers and offices use least come first.
POOLS = tuple(
    IPv4Network(text)
    for text in ("10.201.0.0/16", "10.211.0.0/16", "10.221.0.0/16", "10.231.0.0/16")
) + tuple(IPv4Network(f"172.{second}.0.0/16") for second in range(20, 32))
SUBNET_PREFIX = 20


def used_by(
    info: dict[str, Any], networks: Iterable[dict[str, Any]], address: str
) -> list[IPv4Network]:
    """Return the ranges that an Engine's host is known to use."""
    texts = [
        part["Subnet"]
        for network in networks
        for part in (network.get("IPAM") or {}).get("Config") or []
        if part.get("Subnet")
    ]
    texts += [pool["Base"] for pool in info.get("DefaultAddressPools") or []]
    if address:
        # The netmask of the host's own network is not known here; /16 is a wide guess.
        texts.append(str(ip_interface(f"{address}/16").network))
    return [net for text in texts if isinstance(net := ip_network(text, strict=False), IPv4Network)]


def free_pool(used: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first pool that overlaps none of the used ranges."""
    taken = list(used)
    for pool in POOLS:
        if not any(pool.overlaps(net) for net in taken):
            return pool
    raise Failure("No private address range is free on this host for the cluster's networks.")


def first_subnet(pool: str) -> IPv4Network:
    """Return the second subnet of a pool; Docker takes the first for its ingress network."""
    subnets = IPv4Network(pool).subnets(new_prefix=SUBNET_PREFIX)
    next(subnets)
    return next(subnets)


def of_routes(table: str) -> list[IPv4Network]:
    """Return the destinations in a Linux routing table (the text of /proc/net/route)."""
    networks = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        destination, mask = (int(columns[i], 16).to_bytes(4, "little") for i in (1, 7))
        if any(mask):
            networks.append(IPv4Network((destination, int.from_bytes(mask).bit_count())))
    return networks


def of_this_machine() -> list[IPv4Network]:
    """Return the networks that the console's own machine routes to, where Linux shows them."""
    table = Path("/proc/net/route")
    return of_routes(table.read_text()) if table.exists() else []
