"""A whole installation, started with `make up` as anybody would start it, for tests to shake."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import psycopg
import requests

from clusters import local
from clusters.engine import Endpoint, Engine, connect
from clusters.local import processes
from clusters.local.configuration import LocalNetwork
from clusters.local.node import LocalNode
from tests.engines.repository_server import free_port
from tests.engines.workers import ROOT, until
from tests.product.postgresql import PostgreSQL

PROGRAMS = ("web", "worker", "clock", "repository")


class Installation:
    """The console's processes, its database, and the Engines of its local nodes."""

    def __init__(self, folder: Path, network: LocalNetwork) -> None:
        self.folder, self.network = folder, network
        self.state = folder / "state"
        self.database = PostgreSQL(folder / "postgresql")
        self.port = free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MEDSTACK_")},
            "DATABASE_URL": self.database.url,
            "MEDSTACK_STATE": str(self.state),
            "MEDSTACK_PORT": str(self.port),
            "MEDSTACK_LOCAL_ROOT": str(network.root),
            "MEDSTACK_LOCAL_BRIDGE": network.bridge,
            "MEDSTACK_LOCAL_SUBNET": str(network.subnet),
            "MEDSTACK_REPOSITORY_PORT": str(free_port()),
            "MEDSTACK_DEMO_PORT": str(free_port()),
        }
        self.output = folder / "up.log"
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                ["make", "up"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> str:
        """Return all that the installation has logged or printed."""
        paths = [self.output, *self.state.glob("logs/*"), self.folder / "postgresql" / "log"]
        return "\n".join(path.read_text(errors="replace") for path in paths if path.is_file())

    def says(self, words: str) -> bool:
        """Say whether `make up` has printed some words; fail where it has ended."""
        said = self.output.read_text(errors="replace")
        assert self.process.poll() is None, said
        return re.search(words, said) is not None

    def printed_password(self) -> str:
        """Return the first password, which is printed once."""
        found = re.search(r"Password: +(\S+)", self.output.read_text())
        assert found
        return found[1]

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the console's commands."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def sql(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database itself, behind the console's back."""
        with psycopg.connect(self.database.dsn, autocommit=True) as connection:
            return connection.execute(question, values).fetchall()

    def active(self) -> list[str]:
        """Return the operations that have not ended."""
        rows = self.sql(
            "SELECT kind, target_name, step, detail FROM medstack_operation"
            " WHERE state IN ('queued', 'running') ORDER BY id"
        )
        return [f"{kind} {target} step {step}: {detail}" for kind, target, step, detail in rows]

    def settle(self, *, within: float = 600) -> None:
        """Wait until every operation has ended by itself."""
        give_up = time.monotonic() + within
        while found := self.active():
            assert time.monotonic() < give_up, found
            time.sleep(0.2)

    def is_well(self) -> bool:
        """Say whether the console answers."""
        with suppress(requests.RequestException):
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        return False

    def process_of(self, program: str) -> int | None:
        """Return the process of one of the supervised programs."""
        supervisor = (self.state / "run" / "supervisord.pid").read_text().strip()
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        word = {"web": "gunicorn", "repository": "rclone"}.get(program, program)
        for child in children:
            with suppress(OSError):
                line = Path(f"/proc/{child}/cmdline").read_text().split("\0")
                if any(part.endswith(word) for part in line):
                    return int(child)
        return None

    def kill_program(self, program: str) -> None:
        """Kill one of the supervised programs; the supervisor starts it again by itself."""
        until(lambda: self.process_of(program), what=f"{program} runs")
        process = self.process_of(program)
        assert process
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        alive = [Path(f"/proc/{child}/cmdline") for child in children]
        # One that lives on would hold the port, or take tasks beside its successor.
        until(lambda: not any(map(is_alive, alive)), what=f"the children of {program} end")

    def kill_engine(self, name: str) -> None:
        """Kill the Engine of a local node, as a machine that loses its power would."""
        process = processes.engine_process(LocalNode(name, self.network))
        assert process, f"The Engine of {name} does not run."
        os.kill(process, signal.SIGKILL)

    def nodes(self, cluster: str) -> dict[str, str]:
        """Return the Engines of a cluster's local nodes by the nodes' names, managers first."""
        rows = self.sql(
            "SELECT n.id, n.name, n.created_at FROM clusters_node n"
            " JOIN clusters_cluster c ON c.id = n.cluster_id"
            " WHERE n.removed_at IS NULL AND n.provider = 'local' AND c.slug = %s"
            " ORDER BY n.role, n.name",
            cluster,
        )
        return {name: f"node-{pk}-{int(made.timestamp())}" for pk, name, made in rows}

    def wait_for_image(self, image: str, cluster: str) -> None:
        """Wait until the console has seen an image on a node of a cluster."""
        question = (
            "SELECT 1 FROM clusters_node n JOIN clusters_cluster c ON c.id = n.cluster_id"
            " WHERE c.slug = %s AND n.images::text LIKE %s"
        )
        eventually(lambda: self.sql(question, cluster, f"%{image}%"), within=60, what=image)

    def engine(self, name: str) -> Engine:
        """Open a local node's Engine."""
        socket = LocalNode(name, self.network).socket
        return connect(Endpoint(f"unix://{socket}"), timeout=30)

    def stop(self) -> None:
        """End everything and remove every trace."""
        self.process.terminate()
        try:
            self.process.wait(timeout=120)
        finally:
            local.sweep(set(), network=self.network)
            self.database.stop()


def is_alive(path: Path) -> bool:
    """Say whether a process lives: one that only waits to be noticed has no command line."""
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def network_of(root: Path, number: int) -> LocalNetwork:
    """Return a bridge and a subnet that no console and no other test uses."""
    return LocalNetwork(root, f"msp{number}", IPv4Network(f"10.85.{number}.0/24"))


def eventually(condition: Callable[[], object], *, within: float, what: str) -> None:
    """Wait as long as a person would, looking twice a second."""
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, f"Not within {within} s: {what}"
        time.sleep(0.5)
