"""One connection to one Engine: bounded requests, the negotiated version, our own errors."""

import json
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import urllib3
from docker.constants import DEFAULT_DOCKER_API_VERSION

from clusters.engine import errors, reasons
from clusters.engine.dial import dialer_for
from clusters.engine.endpoint import Endpoint
from clusters.engine.session import Pool
from clusters.engine.wire import Wire

Json = dict[str, Any]
OLDEST_API = "1.41"
OLDEST_ENGINE = "20.10"
# More than any answer we ask for; a server that never stops must not fill the memory.
LARGEST_ANSWER = 64 * 1024 * 1024
CHUNK = 64 * 1024


class Client:
    """Send requests to an Engine; every failure is one of our four exceptions."""

    def __init__(self, endpoint: Endpoint, *, timeout: float = 10) -> None:
        self.url = endpoint.url
        self.timeout = timeout
        # The agreed version, or nothing before there is one.
        self.api_version = ""
        self._dialer = dialer_for(endpoint)
        try:
            self._pool = Pool(self._dialer.dial, timeout)
            self.version_answer = self._negotiate()
        except BaseException:
            self._dialer.close()
            raise

    def close(self) -> None:
        """Close every connection and forget the credentials; open streams end, too."""
        self._pool.close()
        self._dialer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def get(self, pattern: str, *names: str, **params: Any) -> Any:
        """Read something."""
        return decoded(self.send("GET", path_of(pattern, names), params=params), self.url)

    def post(
        self,
        pattern: str,
        *names: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        hide: Iterable[str] = (),
    ) -> Any:
        """Write something; what is in `hide` never shows in an error."""
        data = json.dumps({} if body is None else body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        path = path_of(pattern, names)
        answer = self.send("POST", path, params=params, data=data, headers=sent, hide=hide)
        return decoded(answer, self.url) if answer.strip() else None

    def delete(self, pattern: str, *names: str, **params: Any) -> None:
        """Remove something."""
        self.send("DELETE", path_of(pattern, names), params=params)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        hide: Iterable[str] = (),
    ) -> bytes:
        """Send one request and return the whole answer, all within the time-out."""
        seconds = self.timeout if timeout is None else timeout
        try:
            target = self._versioned(path, params)
            sent = headers or {}
            response = self._pool.ask(method, target, data=data, headers=sent, seconds=seconds)
            with response:
                status, answer = response.status, read_all(response, self.url)
        except errors.EngineError:
            raise
        except reasons.CAUSES as error:
            failure = self.explain(error, seconds)
        else:
            if 200 <= status < 300:
                return answer
            failure = errors.from_answer(status, answer, source=self.url, hide=hide)
        # Raised out here, so that no request with its headers and body hangs on the exception.
        raise failure

    def open(self, method: str, path: str, *, body: Any = None, upgrade: bool = False) -> Wire:
        """Open a connection of its own that stays: a stream or a terminal."""
        deadline = time.monotonic() + self.timeout
        try:
            wire = Wire(self._dialer.dial(deadline))
            try:
                status = wire.ask(method, self._versioned(path), body=body, upgrade=upgrade)
                if status < 300:
                    return wire
                failure = errors.from_answer(status, wire.read_all(), source=self.url)
            except BaseException:
                wire.close()
                raise
            wire.close()
        except errors.EngineError:
            raise
        except reasons.CAUSES as error:
            failure = self.explain(error, self.timeout)
        raise failure

    def explain(self, error: BaseException, seconds: float) -> errors.EngineError:
        """Return our exception for a transport's."""
        failure = reasons.explain(error, self.url, seconds)
        if isinstance(failure, errors.Unreachable):
            return self._dialer.complaint() or failure
        return failure

    def _versioned(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        query = urlencode({key: text(value) for key, value in (params or {}).items()})
        prefix = f"/v{self.api_version}" if self.api_version else ""
        return f"{prefix}{path}?{query}" if query else f"{prefix}{path}"

    def _negotiate(self) -> Json:
        """Agree on the newest API version that both sides know."""
        try:
            answer = json.loads(self.send("GET", "/version"))
            newest = str(answer["ApiVersion"])
            oldest = str(answer.get("MinAPIVersion") or OLDEST_API)
            too_old = version_key(newest) < version_key(OLDEST_API)
            ours = min(newest, DEFAULT_DOCKER_API_VERSION, key=version_key)
            agreed = max(ours, oldest, key=version_key)
        except (ValueError, TypeError, KeyError, AttributeError, errors.NotFound):
            raise errors.Refused(f"{self.url} is not a Docker Engine.") from None
        if too_old:
            raise errors.Refused(
                f"{self.url} is too old: Docker Engine {OLDEST_ENGINE} or newer is needed "
                f"(it offers API {newest})."
            )
        self.api_version = agreed
        return dict(answer)


def version_key(version: str) -> tuple[int, ...]:
    """Order API versions: 1.9 comes before 1.10."""
    return tuple(int(part) for part in version.split("."))


def path_of(pattern: str, names: Iterable[str]) -> str:
    """Return a path with names in it; a name can never change which path it is."""
    quoted = []
    for name in names:
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise errors.NotFound(f"Nothing is called “{name}”.")
        quoted.append(quote(name, safe="/:@"))
    return pattern.format(*quoted)


def text(value: Any) -> str:
    """Return a query parameter as the Engine reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict) else str(value)


def decoded(answer: bytes, url: str) -> Any:
    """Return the JSON of an answer."""
    try:
        return json.loads(answer)
    except ValueError:
        raise errors.Refused(f"{url} answers something that no Docker Engine would.") from None


def read_all(raw: urllib3.BaseHTTPResponse, url: str) -> bytes:
    """Read an answer to its end; the socket's deadline bounds the time, this the size."""
    parts, size = [], 0
    while part := raw.read(CHUNK, decode_content=True):
        size += len(part)
        if size > LARGEST_ANSWER:
            raise errors.Refused(f"{url} answers more than {LARGEST_ANSWER >> 20} MiB.")
        parts.append(part)
    return b"".join(parts)
