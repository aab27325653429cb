"""A real worker and a real clock as processes of their own, on the tests' database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).parents[2]
# The main process, the one that guards, four that work, one that pushes, one that monitors.
PROCESSES = 8


def environment() -> dict[str, str]:
    """Return what makes a process use the tests' database and the tests' local nodes."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "MEDSTACK_STATE": str(settings.STATE_DIR),
        # What the workers do here is about something else.
        "MEDSTACK_BACKUPS": "0",
        "MEDSTACK_LOCAL_ROOT": str(settings.LOCAL_NODES_ROOT),
        "MEDSTACK_LOCAL_BRIDGE": str(settings.LOCAL_NODES_BRIDGE),
        "MEDSTACK_LOCAL_SUBNET": str(settings.LOCAL_NODES_SUBNET),
    }


def database_url() -> str:
    """Return where the tests' database is."""
    chosen = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{chosen['NAME']}"
    user, password, host = (quote(chosen[key], safe="") for key in ("USER", "PASSWORD", "HOST"))
    port = f":{chosen['PORT']}" if chosen["PORT"] else ""
    secret = f":{password}" if password else ""
    return f"postgresql://{user}{secret}@{host}{port}/{chosen['NAME']}"


class Worker:
    """The worker as an operator starts it; it can be killed at any moment."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it in a session of its own, so that all of it can be found and killed."""
        self.process = launch("worker", self.log)

    def members(self) -> list[int]:
        """Return the processes of the worker that are alive."""
        return [pid for pid in processes() if session_of(pid) == self.pid]

    def wait_until_it_works(self) -> None:
        """Return when all of its processes are there."""
        until(lambda: len(self.members()) >= PROCESSES, what="the worker is complete")

    def kill(self) -> None:
        """Kill all of it at once."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self.members(), what="the worker is gone")

    def words(self) -> str:
        """Return what it has logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@contextmanager
def clock(log: Path) -> Iterator[None]:
    """Run the clock for as long as the block runs."""
    process = launch("clock", log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def launch(command: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start one of the console's processes."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "manage.py", command],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def processes() -> list[int]:
    """Return every process of this machine."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def session_of(pid: int) -> int:
    """Return the session of a process that is alive; 0 for one that is not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[3])


def until(condition: Callable[[], object], *, within: float = 60, what: str = "") -> None:
    """Return when the condition holds."""
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, f"Not within {within} s: {what or condition}"
        time.sleep(0.05)
