"""Connect a node to its root's bridge, and the bridge to the world."""

import logging
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from clusters.addresses import of_routes
from clusters.local.commands import run, succeeds
from clusters.local.configuration import LocalNetwork
from clusters.local.node import LocalNode, Place, places
from clusters.local.processes import NAMESPACES
from medstack.failures import Failure

logger = logging.getLogger(__name__)
LINKS = Path("/sys/class/net")
Rule = tuple[str, ...]


def connect(node: LocalNode, place: Place) -> None:
    """Give a stopped node a fresh namespace with its address. Call it with the root's lock held."""
    disconnect(node, place)
    name = node.namespace
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    # With a new hardware address after each start, others would send to the one that they
    # remember, for half a minute.
    peer = ("name", "eth0", "address", hardware_address(place.address), "netns", name)
    run("ip", "link", "add", place.link, "type", "veth", "peer", *peer)
    attach(place)
    address = f"{place.address}/{node.network.subnet.prefixlen}"
    run("ip", "-n", name, "address", "add", address, "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "route", "add", "default", "via", str(node.network.gateway))


def attach(place: Place) -> None:
    """Put the node's link on the bridge; a bridge that was made anew has lost it."""
    run("ip", "link", "set", place.link, "master", place.network.bridge, "up")


def disconnect(node: LocalNode, place: Place | None) -> None:
    """Remove the node's namespace and link, in whatever state a crash left them."""
    if (path := NAMESPACES / node.namespace).exists():
        if path.stat().st_dev == NAMESPACES.stat().st_dev:
            path.unlink()  # Only the name is left: the namespace was never mounted on it.
        else:
            run("ip", "netns", "delete", node.namespace)
    if place and (LINKS / place.link).exists():
        # The namespace takes its end along, but a little later; the name must be free now.
        with suppress(Failure):
            run("ip", "link", "delete", place.link)


def ensure_bridge(network: LocalNetwork) -> None:
    """Make the root's bridge and its rules, or what is missing of them."""
    bridge, link = network.bridge, LINKS / network.bridge
    if not link.exists():
        refuse_overlap(network)
        # Without an address of its own the bridge's would change with each node that comes.
        own = hardware_address(network.gateway)
        run("ip", "link", "add", bridge, "address", own, "type", "bridge")
    if owner := stranger_on(network):
        raise Failure(
            f"The bridge {bridge} belongs to {owner}: choose another (MEDSTACK_LOCAL_BRIDGE)."
        )
    run("ip", "link", "set", bridge, "alias", str(network.root))
    address = f"{network.gateway}/{network.subnet.prefixlen}"
    run("ip", "address", "replace", address, "dev", bridge)
    run("ip", "link", "set", bridge, "up")
    for rule in required_rules(network):
        ensure_rule(rule)
    for rule in optional_rules(network):
        with suppress(Failure):
            ensure_rule(rule)
    if network.outside:
        allow_forwarding()


def hardware_address(address: IPv4Address) -> str:
    """Return a locally administered hardware address that follows from the IP address."""
    return "02:4d:" + ":".join(f"{byte:02x}" for byte in address.packed)


def stranger_on(network: LocalNetwork) -> str:
    """Return who else owns the bridge of this name, if anybody does."""
    link = LINKS / network.bridge
    if not link.exists():
        return ""
    owner = (link / "ifalias").read_text().strip()
    if not owner:
        # It is put up last, so one that is down may be ours from before a crash.
        return "something else" if int((link / "flags").read_text(), 16) & 1 else ""
    return "" if owner == str(network.root) else owner


def refuse_overlap(network: LocalNetwork) -> None:
    """Refuse a subnet that the machine already has a route to."""
    for route in of_routes(Path("/proc/net/route").read_text()):
        if route.overlaps(network.subnet):
            raise Failure(
                f"The subnet {network.subnet} of local nodes overlaps {route}, which this "
                "machine uses: choose another (MEDSTACK_LOCAL_SUBNET)."
            )


def required_rules(network: LocalNetwork) -> list[Rule]:
    """Return the rules without which nodes cannot talk: a host's Engine forwards nothing else."""
    return [("filter", "FORWARD", "-i", network.bridge, "-o", network.bridge, "-j", "ACCEPT")]


def optional_rules(network: LocalNetwork) -> list[Rule]:
    """Return the rules that let nodes out and nobody in; not every kernel can have them."""
    bridge, state = network.bridge, ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    incoming = ("filter", "FORWARD", "!", "-i", bridge, "-o", bridge)
    stranger = (*incoming, *state[:2], "!", *state[2:], "-j", "DROP")
    # A cloud's metadata service gives the machine's own credentials to whoever asks from it.
    metadata = ("filter", "FORWARD", "-i", bridge, "-d", "169.254.0.0/16", "-j", "DROP")
    outside = [
        (*incoming, *state, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-i", bridge, "!", "-o", bridge, "-j", "ACCEPT"),
        ("nat", "POSTROUTING", "-s", str(network.subnet), "!", "-o", bridge, "-j", "MASQUERADE"),
    ]
    # The last that is inserted is the first that is asked.
    return [stranger, *(outside if network.outside else ()), metadata]


def ensure_rule(rule: Rule) -> None:
    """Insert a firewall rule unless it is there."""
    table, *rest = rule
    if not succeeds("iptables", "-w", "10", "-t", table, "-C", *rest):
        run("iptables", "-w", "10", "-t", table, "-I", *rest)


def allow_forwarding() -> None:
    """Let the machine forward packets, as a Docker Engine on it would."""
    switch = Path("/proc/sys/net/ipv4/ip_forward")
    try:
        if switch.read_text().strip() == "0":
            switch.write_text("1")
    except OSError as error:
        logger.warning("Local nodes cannot reach other networks: %s", error)


def remove_bridge_if_unused(network: LocalNetwork) -> None:
    """Remove bridge and rules with the root's last node. Call it with the root's lock held."""
    if not places(network):
        remove_bridge(network)


def remove_bridge(network: LocalNetwork) -> None:
    """Remove bridge and rules, unless they are another's. Call it with the root's lock held."""
    if stranger_on(network):
        return
    if (LINKS / network.bridge).exists():
        run("ip", "link", "delete", network.bridge)
    for table, *rest in (*required_rules(network), *optional_rules(network)):
        while succeeds("iptables", "-w", "10", "-t", table, "-D", *rest):
            pass
