"""`make up` with nothing but this machine: start, Ctrl-C, start as nobody, be killed half-way."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import requests

from clusters import local
from clusters.local import LocalNetwork
from tests.engines.repository_server import free_port
from tests.engines.workers import ROOT
from tests.product.installation import eventually

pytestmark = [pytest.mark.engines, pytest.mark.no_database]
# The last one becomes rclone.
PROGRAMS = ("gunicorn", "manage.py worker", "manage.py clock", "rclone|manage.py repository_server")


class Console:
    """One folder of state, and whatever `make` starts and stops there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.output = folder / "up.log"
        self.port = free_port()
        number = os.getpid() % 250
        self.network = LocalNetwork(
            folder / "nodes", f"msu{number}", IPv4Network(f"10.87.{number}.0/24")
        )
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("MEDSTACK_", "DATABASE_"))},
            "DEMO": "0",
            "MEDSTACK_STATE": str(self.state),
            "MEDSTACK_PORT": str(self.port),
            "MEDSTACK_LOCAL_ROOT": str(self.network.root),
            "MEDSTACK_LOCAL_BRIDGE": self.network.bridge,
            "MEDSTACK_LOCAL_SUBNET": str(self.network.subnet),
            "MEDSTACK_REPOSITORY_PORT": str(free_port()),
            "MEDSTACK_DEMO_PORT": str(free_port()),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def up(self, *, by: Sequence[str] = (), **environment: str) -> None:
        """Start it as in a terminal, in a session of its own, and wait until it serves."""
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                [*by, "make", "up"],
                cwd=ROOT,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def is_up() -> bool:
            assert self.process and self.process.poll() is None, self.said
            return f"is running at {self.url}" in self.said

        eventually(is_up, within=300, what="the console starts")

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal tells every process in its foreground."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=120)

    def kill(self) -> None:
        """Kill all that the terminal started at one stroke, so that nothing can tidy up."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def make(self, what: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the commands to its end."""
        return subprocess.run(
            ["make", what],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def processes(self) -> dict[int, str]:
        """Return all that runs for this folder, and with which command line."""
        found = {}
        mark = f"MEDSTACK_STATE={self.state}\0".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                    if line:
                        found[int(entry.name)] = line
        return found

    def engines(self) -> list[Path]:
        """Return the processes of the local nodes, which know nothing of the console."""
        root = str(self.network.root).encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if root in (entry / "cmdline").read_bytes():
                    found.append(entry)
        return found

    def interfaces(self) -> list[str]:
        """Return what the local nodes have of the machine's network."""
        folders = (Path("/run/netns"), Path("/sys/class/net"))
        names = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
        rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
        own = self.network.bridge
        return [one for one in [*names, *rules.stdout.splitlines()] if own in one]

    def is_over(self) -> bool:
        """Say whether nothing runs any more and the port is free."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return False
        return not self.processes()


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    folder = Path(tempfile.mkdtemp(prefix="msu"))
    found = Console(folder)
    yield found
    for process in found.processes():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    # What a failed test has left running.
    local.sweep(set(), network=found.network)
    shutil.rmtree(folder, ignore_errors=True)


def sign_in(console: Console, email: str, password: str) -> str:
    """Fill in the form to sign in; return where it leads."""
    session = requests.Session()
    page = session.get(console.url, timeout=60)
    typed = {"login": email, "password": password}
    token = {"csrfmiddlewaretoken": session.cookies["csrftoken"]}
    return session.post(page.url, {**typed, **token}, timeout=60).text


def test_the_first_start_prints_where_it_is_and_a_login_that_works(console: Console) -> None:
    console.up()
    found = re.search(r"First login: (\S+)\s+Password: +(\S+)", console.said)
    assert found, console.said
    assert "Sign in" in sign_in(console, found[1], "another-password")
    assert "Change your password" in sign_in(console, found[1], found[2])
    lines = list(console.processes().values())
    assert not [name for name in PROGRAMS if not any(re.search(name, line) for line in lines)]
    assert "The demo cluster is left out (DEMO=0)." in console.said
    assert found[2] not in "".join(path.read_text() for path in console.state.glob("logs/*"))


def test_a_second_start_beside_it_leaves_it_alone(console: Console) -> None:
    before = console.processes()
    again = console.make("up")
    assert again.returncode == 0 and "already running" in again.stdout
    elsewhere = str(console.folder / "other")
    taken = console.make("up", MEDSTACK_STATE=elsewhere)
    assert taken.returncode != 0
    assert f"Port {console.port} is used by another program." in taken.stderr
    assert console.processes().keys() >= before.keys()


def test_ctrl_c_stops_all_of_it(console: Console) -> None:
    if console.is_over():
        console.up()
    console.interrupt()
    assert "Stopping …" in console.said and "Stopped." in console.said
    assert "ended; " not in console.said
    eventually(console.is_over, within=30, what="nothing of it runs")


def test_without_root_it_says_what_is_missing_and_starts_all_the_same(console: Console) -> None:
    # The process is nobody here, and owns what it finds all the same.
    console.up(by=["unshare", "--user", "--map-user=65534", "--map-group=65534"])
    assert "No local nodes and no demo cluster here. Local nodes need root." in console.said
    assert "An Engine that runs anywhere else can be attached by its endpoint." in console.said
    assert requests.get(f"{console.url}/healthz", timeout=60).ok
    down = console.make("down")
    assert down.returncode == 0 and "Stopping the console" in down.stdout
    eventually(console.is_over, within=30, what="nothing of it runs")


def test_a_start_that_is_killed_half_way_is_followed_by_one_that_works(console: Console) -> None:
    console.up(DEMO="1")
    # The worst moment: an Engine is about to run, and nothing of its cluster is made.
    eventually(console.engines, within=120, what="the demo's first Engine starts")
    assert "the cluster runs" not in console.said
    console.kill()
    assert console.interfaces(), "Nobody was left to tidy up."
    console.up(DEMO="1")
    eventually(lambda: "the cluster runs" in console.said, within=400, what="the demo runs")
    assert console.engines()


def test_make_down_stops_all_of_it_whoever_started_it(console: Console) -> None:
    down = console.make("down")
    assert down.returncode == 0, down.stderr
    assert "node-1: stopped" in console.said + down.stdout
    eventually(console.is_over, within=30, what="nothing of it runs")
    assert not console.engines()
    assert not console.interfaces(), "The machine's network is as it was."
