"""Choose the name servers of a node: the machine's where they answer, else a prompt refusal."""

import sys
from ipaddress import ip_address
from pathlib import Path

from clusters.local.commands import succeeds
from clusters.local.node import LocalNode
from clusters.local.processes import NAMESPACES

# Nothing listens there inside a node, so every question is refused at once. A server that never
# answers would cost each start of a task 20 seconds, because the image's registry is asked first.
REFUSAL = "127.0.0.1"
CANDIDATES = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
# Run inside the node's namespace; any answer will do, even that the name does not exist.
QUESTION = """
import socket, sys
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.settimeout(1)
asked.connect((sys.argv[1], 53))
asked.send(bytes.fromhex("4d4401000001000000000000") + b"\\x07example\\x03com\\0\\0\\x01\\0\\x01")
asked.recv(512)
"""


def name_servers(node: LocalNode) -> list[str]:
    """Return the machine's name servers that answer from inside the node, else the refusal."""
    if not node.network.outside:
        return [REFUSAL]
    return [server for server in of_this_machine() if answers(node, server)] or [REFUSAL]


def of_this_machine() -> list[str]:
    """Return the first two name servers that are not on the machine's own loopback."""
    for path in map(Path, CANDIDATES):
        if not path.is_file():
            continue
        lines = [line.split() for line in path.read_text().splitlines()]
        servers = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
        reachable = [server for server in servers if is_elsewhere(server)]
        if reachable:
            return reachable[:2]
    return []


def is_elsewhere(server: str) -> bool:
    """Say whether a name server is an IPv4 address beyond loopback; nodes have no IPv6."""
    try:
        address = ip_address(server)
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def answers(node: LocalNode, server: str) -> bool:
    """Ask a name server from inside the node."""
    inside = ("nsenter", f"--net={NAMESPACES / node.namespace}")
    return succeeds(*inside, sys.executable, "-I", "-S", "-c", QUESTION, server)
