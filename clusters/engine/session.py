"""Kept connections of our own to one Engine, deaf to this machine's configuration.

Straight on urllib3: the SDK's own session needs three times the processor for each question, and
a refresh asks hundreds of Engines at once. It would also read ~/.docker/config.json, .netrc and
proxy variables.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from clusters.engine.sockets import Socket

Dial = Callable[[float], Socket]
WHO = {"User-Agent": "medstack"}


class Pool(HTTPConnectionPool):
    """Keep connections for the next request: through ssh a new one costs a second."""

    def __init__(self, dial: Dial, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=4)
        self._dial = dial

    def _new_conn(self) -> HTTPConnection:
        return Connection(self._dial)

    def ask(
        self, method: str, target: str, *, data: Any, headers: Mapping[str, str], seconds: float
    ) -> BaseHTTPResponse:
        """Send one request; its answer is still to be read, and is never followed elsewhere."""
        return self.urlopen(
            method,
            target,
            body=data,
            headers={**WHO, **headers},
            timeout=seconds,
            retries=False,
            redirect=False,
            preload_content=False,
        )


class Connection(HTTPConnection):
    """A connection whose whole exchange, not each read, must end within the time-out."""

    def __init__(self, dial: Dial) -> None:
        super().__init__("localhost")
        self._dial = dial
        self._deadline = 0.0

    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,
        skip_accept_encoding: bool = False,
    ) -> None:
        """Begin an exchange: from here on its time runs."""
        self._deadline = time.monotonic() + float(self.timeout or 0)
        if self.sock is not None:
            assert isinstance(self.sock, Socket)
            self.sock.deadline = self._deadline
        super().putrequest(method, url, skip_host, skip_accept_encoding)

    def connect(self) -> None:
        """Connect, within the same time."""
        self.sock = self._dial(self._deadline)
