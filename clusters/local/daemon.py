"""Start a node's Engine as a machine of its own, and wait until it answers."""

import http.client
import json
import os
import shutil
import socket
import time
from pathlib import Path

from clusters.local.commands import attempt
from clusters.local.node import LocalNode, Place
from clusters.local.processes import NAMESPACES, engine_groups, engine_process
from clusters.local.resolver import REFUSAL, name_servers
from medstack.failures import Failure

START = """
set -e
folder=$1 name=$2 resolver=$3
shift 3
mount --make-rprivate /
echo "$name" >/proc/sys/kernel/hostname
[ -z "$resolver" ] || mount --bind "$folder/resolv.conf" "$resolver"
mount --bind "$folder/data" /var/lib/docker
mount --bind "$folder/etc" /etc/docker
mount --bind "$folder/run" /var/run
for group in "$@"; do echo $$ >"$group/cgroup.procs"; done
read -r boot </proc/sys/kernel/random/boot_id
read -r stat </proc/$$/stat
set -- $stat
echo "$$ ${22} $boot" >"$folder/engine.pid"
exec dockerd --config-file "$folder/daemon.json" >>"$folder/engine.log" 2>&1
"""


def start(node: LocalNode, place: Place) -> None:
    """Start the Engine in the node's namespace; it outlives the process that starts it."""
    folder = node.folder
    for path in (folder / "data", folder / "etc", Path("/var/lib/docker"), Path("/etc/docker")):
        path.mkdir(parents=True, exist_ok=True)
    # What a real machine keeps in memory is gone after its restart; so are stale sockets here.
    shutil.rmtree(folder / "run", ignore_errors=True)
    (folder / "run").mkdir()
    (folder / "engine.pid").unlink(missing_ok=True)
    if node.log.exists():
        node.log.replace(folder / "engine.log.1")
    groups = engine_groups(node)
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    servers = name_servers(node)
    (folder / "daemon.json").write_text(json.dumps(settings_of(node, place, servers), indent=1))
    resolver = place_resolver(node, servers)
    # Not `ip netns exec`: it mounts /sys anew and hides the control groups.
    enter = ("nsenter", f"--net={NAMESPACES / node.namespace}", "unshare", "--mount", "--uts")
    script = ("sh", "-c", START, "sh", str(folder), place.hostname, resolver, *map(str, groups))
    # The pipes are open until the script hands over to the Engine, so its complaints are seen.
    done = attempt("setsid", "--fork", *enter, *script, timeout=20)
    if not (folder / "engine.pid").exists():
        raise Failure(f"The node {node.name} could not be prepared: {done.stderr.strip()}")


def settings_of(node: LocalNode, place: Place, servers: list[str]) -> dict[str, object]:
    """Return the Engine's configuration; the paths mean what they mean on a real host."""
    chosen: dict[str, object] = {
        "hosts": [f"unix://{node.socket}", "unix:///var/run/docker.sock"],
        "data-root": "/var/lib/docker",
        "exec-root": "/var/run/docker",
        "pidfile": "/var/run/docker.pid",
        # The host's systemd cannot be asked from inside a node.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": f"/{node.cgroup}",
        "default-address-pools": [{"base": str(place.pool), "size": 24}],
        # A registry on this bridge is on this machine: nothing travels that TLS would protect.
        "insecure-registries": [str(node.network.subnet)],
        "live-restore": False,
    }
    if servers == [REFUSAL]:
        # Docker replaces a loopback server by public ones unless it is set here.
        chosen["dns"] = servers
    return chosen


def place_resolver(node: LocalNode, servers: list[str]) -> str:
    """Write the node's resolv.conf; return over which file to mount it ("" where none)."""
    text = "".join(f"nameserver {server}\n" for server in servers)
    (node.folder / "resolv.conf").write_text(text)
    target = Path("/etc/resolv.conf").resolve()
    if target.is_relative_to("/run"):
        # A link into /run (systemd-resolved) will lead into the node's own /run.
        own = node.folder / "run" / target.relative_to("/run")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(text)
        return ""
    return str(target) if target.exists() else ""


def becomes_ready(node: LocalNode, *, seconds: float = 60) -> bool:
    """Wait until the Engine answers, or say that it ended instead."""
    deadline = time.monotonic() + seconds
    while not answers(node):
        if engine_process(node) is None:
            return False
        if time.monotonic() > deadline:
            raise Failure(
                f"The Engine of {node.name} did not answer within {seconds:g} seconds. "
                f"{last_words(node)}"
            )
        time.sleep(0.1)
    return True


def answers(node: LocalNode) -> bool:
    """Ask the Engine whether it is there."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(os.fspath(node.socket))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def last_words(node: LocalNode, *, lines: int = 5) -> str:
    """Return the end of the Engine's log."""
    if not node.log.exists():
        return "It wrote no log."
    with node.log.open("rb") as log:
        log.seek(max(0, node.log.stat().st_size - 8192))
        text = log.read().decode(errors="replace")
    return "Its last words: " + " / ".join(text.splitlines()[-lines:])
