"""Ask a node's host which networks it routes to; the Engine's API does not tell."""

import io
import logging
from collections.abc import Iterable
from ipaddress import IPv4Network

from clusters import addresses, engine
from clusters.local.images import busybox_tar
from medstack.failures import Failure

logger = logging.getLogger(__name__)
IMAGE = ("medstack/busybox", "1")
# Whoever is second finds the first one's container and removes it; both answers are the same.
NAME = "medstack-host-networks"
MOST_LINES = 1000


def of_host(connection: engine.Engine) -> list[IPv4Network]:
    """Return the host's networks; none where they cannot be read, such as on another processor.

    A container without any right reads the host's routing table and ends.
    """
    try:
        return addresses.of_routes(read_routes(connection))
    except (Failure, LookupError, ValueError) as error:
        logger.warning("The routes of %s cannot be read: %s", connection.url, error)
        return []


def read_routes(connection: engine.Engine) -> str:
    """Return the text of the host's /proc/net/route."""
    image = connection.image_import(io.BytesIO(busybox_tar()), *IMAGE)
    connection.container_remove(NAME)
    body = {
        "Image": image,
        "Cmd": ["busybox", "cat", "/proc/net/route"],
        "HostConfig": {
            "NetworkMode": "host",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            # The node's own driver may keep nothing that could be read back.
            "LogConfig": {"Type": "json-file", "Config": {}},
        },
    }
    container = connection.container_create(NAME, body)
    try:
        connection.container_start(container)
        return "\n".join(output_of(connection, container))
    finally:
        connection.container_remove(container)
        connection.image_remove(image)


def output_of(connection: engine.Engine, container: str) -> list[str]:
    """Return the lines that a container has written when it ends, which must be at once."""
    found = []
    with connection.container_logs(container, tail=MOST_LINES, follow=True) as lines:
        for line in lines:
            if line is None:
                raise Failure("what reads them does not end.")
            found.append(line.text)
    return found


def overlapping(pool: str, networks: Iterable[IPv4Network]) -> list[str]:
    """Return the networks that a cluster's address pool overlaps."""
    own = IPv4Network(pool)
    return [str(network) for network in networks if network.overlaps(own)]
