"""Ask a domain steadily, as many times a second as wanted, and count what came back."""

import contextlib
import fcntl
import http.client
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.visiting import PATIENCE, Connection

ONE_AT_A_TIME = Path("/tmp/medstack-steady-load.lock")


@dataclass
class Load:
    """What a load has met so far; complete once it has ended."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def bad(self) -> int:
        """Return how many requests got no answer, or one that is no success."""
        refused = sum(count for status, count in self.statuses.items() if not 200 <= status < 300)
        return refused + self.failures.total()

    @property
    def rate(self) -> float:
        """Return how many requests there were a second."""
        return self.sent / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return (
            f"{self.sent} requests in {self.seconds:.1f} s ({self.rate:.0f}/s): {self.bad} bad, "
            f"statuses {dict(self.statuses)}, failures {dict(self.failures)}, "
            f"slowest {self.slowest * 1000:.0f} ms"
        )

    def count(self, outcome: int | str, body: str, took: float) -> None:
        """Add the outcome of one request."""
        with self._lock:
            self.sent += 1
            self.slowest = max(self.slowest, took)
            if isinstance(outcome, int):
                self.statuses[outcome] += 1
                self.bodies[body] += 1
            else:
                self.failures[outcome] += 1


@contextlib.contextmanager
def steady_load(
    domain: str,
    address: str,
    root: str,
    *,
    rate: int = 200,
    connections: int = 8,
    path: str = "/",
    within: float = 300,
) -> Iterator[Load]:
    """Ask https://domain at an address while the block runs; the load is complete after it.

    Each connection is kept and trusts nothing but the root. A request that fails is never tried
    again: what a person would have lost is counted. It ends by itself after `within` seconds.
    """
    load, ended = Load(), threading.Event()
    turn = ONE_AT_A_TIME.open("w")
    # Two suites may run side by side; two such loads at once would only measure each other.
    fcntl.flock(turn, fcntl.LOCK_EX)
    trusted = ssl.create_default_context(cadata=root)
    began = time.monotonic()

    def ask(number: int) -> None:
        client = Connection(domain, address, trusted)
        pause = connections / rate
        due = began + number / rate
        while not ended.wait(max(0.0, due - time.monotonic())) and due < began + within:
            ask_once(client, path, load)
            # After a slow answer the next ones follow at once, so that the rate is kept.
            due += pause
        client.close()

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE * 2)
        turn.close()
        load.seconds = time.monotonic() - began


def ask_once(client: Connection, path: str, load: Load) -> None:
    """Ask once and count the outcome; the connection is kept unless it broke."""
    outcome: int | str
    started, body = time.monotonic(), ""
    try:
        client.request("GET", path)
        response = client.getresponse()
        body = response.read().decode(errors="replace")
        outcome = response.status
    except (OSError, http.client.HTTPException) as error:
        outcome = f"{type(error).__name__}: {error}"
        client.close()
    load.count(outcome, body, time.monotonic() - started)
