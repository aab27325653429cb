"""The Docker SDK's client on connections of our own, deaf to this machine's configuration."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import docker
import requests
from docker.auth import AuthConfig
from docker.transport.basehttpadapter import BaseHTTPAdapter
from docker.utils.proxy import ProxyConfig
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from clusters.engine.sockets import Socket

Dial = Callable[[float], Socket]
BASE_URL = "http+docker://engine"


class Session(docker.APIClient):
    """Send requests, and never what ~/.docker/config.json, .netrc or a proxy variable says."""

    def __init__(self, dial: Dial, *, timeout: float) -> None:
        # The SDK's own constructor reads this machine's docker configuration and credentials.
        requests.Session.__init__(self)
        self.trust_env = False
        self.base_url = BASE_URL
        self.headers["User-Agent"] = "medstack"
        self.credstore_env = None
        self._general_configs: dict[str, Any] = {}
        self._proxy_configs = ProxyConfig()
        self._auth_configs = AuthConfig({})
        self._version = ""
        self._custom_adapter = Adapter(dial, timeout)
        self.adapters.clear()
        self.mount("http+docker://", self._custom_adapter)

    @property
    def api_version(self) -> str:
        """Return the agreed version, or nothing before there is one."""
        return self._version

    @api_version.setter
    def api_version(self, version: str) -> None:
        self._version = version


class Adapter(BaseHTTPAdapter):
    """Let requests use connections that we dial."""

    def __init__(self, dial: Dial, timeout: float) -> None:
        self._pool = Pool(dial, timeout)
        super().__init__()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        proxies: Mapping[str, str] | None = None,
        cert: Any = None,
    ) -> HTTPConnectionPool:
        """Return the one pool; TLS is the dialer's business."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return the path: there is never a proxy in between."""
        return request.path_url

    def close(self) -> None:
        """Close the kept connections."""
        super().close()
        self._pool.close()


class Pool(HTTPConnectionPool):
    """Keep connections for the next request: through ssh a new one costs a second."""

    def __init__(self, dial: Dial, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=4)
        self._dial = dial

    def _new_conn(self) -> HTTPConnection:
        return Connection(self._dial)


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
