"""Look at this machine as the tests of local nodes need it: links, processes, pages, leftovers."""

import http.client
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker

from clusters import local
from clusters.local.processes import started

FOLDER = Path(tempfile.gettempdir())


def network_of(process: int) -> local.LocalNetwork:
    """Return the network of a test run; what its process number names can be found again."""
    subnet = f"10.{100 + process // 256 % 16}.{process % 256}.0/24"
    return local.LocalNetwork(
        root=FOLDER / f"medstack-test-{process}",
        bridge=f"mlp{process}",
        subnet=IPv4Network(subnet),
    )


def sweep_after_killed_runs() -> None:
    """Clear away what test runs have left that were killed."""
    for folder in FOLDER.iterdir():
        found = re.fullmatch(r"medstack-test-(\d+)(-\w+)?", folder.name)
        if found and started(int(found[1])) is None:
            own = network_of(int(found[1]))
            local.sweep(set(), network=replace(own, root=folder))


@contextmanager
def client(engine: local.LocalEngine) -> Iterator[Any]:
    """Open an Engine."""
    connection = docker.APIClient(engine.endpoint_url, version="1.41", timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def engine_process(network: local.LocalNetwork, name: str) -> int:
    """Return the process of a node's Engine."""
    return int((network.root / name / "engine.pid").read_text().split()[0])


def kill_engine(network: local.LocalNetwork, name: str) -> None:
    """Kill an Engine without letting it clean up; its containers and containerd stay."""
    process = engine_process(network, name)
    os.kill(process, 9)
    eventually(lambda: started(process) is None)
    assert not local.is_running(name, network=network)


def eventually(question: Callable[[], Any], *, seconds: float = 40) -> Any:
    """Ask until the answer is yes."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, "It did not come true."
        time.sleep(0.1)
    return answer


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def page(engine: local.LocalEngine, port: int) -> str:
    """Return the page that a node serves; empty while it serves none."""
    connection = http.client.HTTPConnection(engine.address, port, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else ""
    except OSError:
        return ""
    finally:
        connection.close()


def reachable(engine: local.LocalEngine) -> bool:
    """Say whether a node's address answers at once, though nothing listens on the port."""
    try:
        socket.create_connection((engine.address, 1), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def traces(network: local.LocalNetwork, name: str = "") -> list[str]:
    """Return everything on this machine that still belongs to a node, or to the whole root."""
    bridge, folder = network.bridge, str(network.root / name)
    seen = [
        *output("ip", "netns").splitlines(),
        *Path("/proc/self/mounts").read_text().splitlines(),
        *map(str, Path("/sys/fs/cgroup").glob(f"**/medstack-{bridge}/{name}")),
    ]
    marks = [rf"\b{bridge}-{name}\b", rf"{folder}\b", rf"medstack-{bridge}/{name}\b"]
    if not name:
        seen += output("ip", "-o", "link").splitlines()
        seen += output("iptables-save").splitlines()
        marks = [rf"\b{bridge}(v\d+)?\b", rf"{folder}\b"]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if started(int(entry.name)):
                command = (entry / "cmdline").read_text().replace("\0", " ")
                seen.append(f"{entry.name} {command} {(entry / 'cgroup').read_text()}")
        except OSError:
            continue
    left = [line for line in seen if any(re.search(mark, line) for mark in marks)]
    return left + [folder] * Path(folder).exists()
