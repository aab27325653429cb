"""A local node: everything on this machine that belongs to it follows from its name."""

import json
import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from clusters.addresses import POOLS, of_routes
from clusters.local.configuration import LocalNetwork
from medstack.failures import Failure

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class LocalNode:
    """A node's name and the paths and names that follow from it."""

    name: str
    network: LocalNetwork

    def __post_init__(self) -> None:
        """Refuse a name that could leave the root folder or not be a host's name."""
        if not NAME.fullmatch(self.name):
            raise Failure(
                f"{self.name!r} is no name for a local node: up to 40 lower-case letters, "
                "digits and hyphens."
            )

    @property
    def folder(self) -> Path:
        """Return the folder that holds all of the node."""
        return self.network.root / self.name

    @property
    def lock(self) -> Path:
        """Return the file whose lock guards starting and stopping."""
        return self.network.root / f".{self.name}.lock"

    @property
    def socket(self) -> Path:
        """Return the Engine's socket as the host sees it."""
        return self.folder / "docker.sock"

    @property
    def log(self) -> Path:
        """Return the Engine's log."""
        return self.folder / "engine.log"

    @property
    def namespace(self) -> str:
        """Return the network namespace's name; the bridge keeps two roots apart."""
        return f"{self.network.bridge}-{self.name}"

    @property
    def cgroup(self) -> str:
        """Return the control group of the node's processes."""
        return f"medstack-{self.network.bridge}/{self.name}"


@dataclass(frozen=True)
class Place:
    """What a node was given once and keeps until it is destroyed."""

    index: int
    hostname: str
    pool: IPv4Network
    network: LocalNetwork

    @property
    def address(self) -> IPv4Address:
        """Return the node's address on the bridge."""
        return self.network.gateway + self.index

    @property
    def link(self) -> str:
        """Return the host's end of the node's link."""
        return f"{self.network.bridge}v{self.index}"


def place_of(node: LocalNode) -> Place | None:
    """Return the node's place, if it has one."""
    try:
        kept = json.loads((node.folder / "place.json").read_text())
    except FileNotFoundError:
        return None
    pool = IPv4Network(kept["pool"])
    return Place(kept["index"], kept["hostname"], pool, node.network)


def places(network: LocalNetwork) -> dict[str, Place]:
    """Return every node that has a place, by name."""
    if not network.root.is_dir():
        return {}
    found = {}
    for folder in network.root.iterdir():
        if NAME.fullmatch(folder.name) and (place := place_of(LocalNode(folder.name, network))):
            found[folder.name] = place
    return found


def give_place(node: LocalNode, *, hostname: str) -> Place:
    """Return the node's place, or give it the first free one. Call it with the root's lock held."""
    if place := place_of(node):
        return place
    if not HOSTNAME.fullmatch(hostname):
        raise Failure(f"{hostname!r} is no host name: letters, digits and hyphens, up to 63.")
    taken = {place.index for place in places(node.network).values()}
    free = set(range(1, node.network.subnet.num_addresses - 2)) - taken
    if not free:
        raise Failure(f"Every address of {node.network.subnet} has a local node.")
    place = Place(min(free), hostname, engine_pool(node.network), node.network)
    node.folder.mkdir(mode=0o700, exist_ok=True)
    unfinished = node.folder / "place.json.new"
    kept = {"index": place.index, "hostname": hostname, "pool": str(place.pool)}
    unfinished.write_text(json.dumps(kept))
    os.replace(unfinished, node.folder / "place.json")
    return place


def engine_pool(network: LocalNetwork) -> IPv4Network:
    """Return the range for an Engine's own bridges; the swarm takes its pool from the other end."""
    used = [network.subnet, *of_routes(Path("/proc/net/route").read_text())]
    for pool in reversed(POOLS):
        if not any(pool.overlaps(taken) for taken in used):
            return pool
    raise Failure("No private address range is free on this machine for the Engine's networks.")
