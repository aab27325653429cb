"""Read logs: the last lines, or the last lines and then whatever follows."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import NotRequired, Self, TypedDict, Unpack
from urllib.parse import urlencode

from clusters.engine.client import Client, path_of
from clusters.engine.errors import EngineError
from clusters.engine.frames import Lines, LogLine
from clusters.engine.reasons import CAUSES
from clusters.engine.workloads import container, service, task

HEARTBEAT = 5.0


class LogOptions(TypedDict):
    """What may be asked of a log; the number of lines before now must be."""

    tail: int
    since: NotRequired[datetime | None]
    follow: NotRequired[bool]
    timestamps: NotRequired[bool]
    # How often a log that follows yields None while nothing is written.
    heartbeat: NotRequired[float]


def service_logs(client: Client, service_id: str, **options: Unpack[LogOptions]) -> "LogStream":
    """Return the lines of all tasks of a service."""
    template = service(client, service_id)["Spec"]["TaskTemplate"]
    tty = bool((template.get("ContainerSpec") or {}).get("TTY"))
    path = path_of("/services/{0}/logs", [service_id])
    return LogStream(client, path, options, tty=tty, details=True)


def task_logs(client: Client, task_id: str, **options: Unpack[LogOptions]) -> "LogStream":
    """Return the lines of one task."""
    tty = bool((task(client, task_id)["Spec"].get("ContainerSpec") or {}).get("TTY"))
    path = path_of("/tasks/{0}/logs", [task_id])
    return LogStream(client, path, options, tty=tty, details=True)


def container_logs(client: Client, container_id: str, **options: Unpack[LogOptions]) -> "LogStream":
    """Return the lines of one container; its own node's Engine must be asked."""
    tty = bool(container(client, container_id)["Config"].get("Tty"))
    path = path_of("/containers/{0}/logs", [container_id])
    return LogStream(client, path, options, tty=tty, details=False)


class LogStream(Iterator[LogLine | None]):
    """Yield lines; when following, also None at every heartbeat in which nothing came.

    Another thread may close it: the iteration then ends. It ends with its Engine, too.
    """

    def __init__(
        self, client: Client, path: str, options: LogOptions, *, tty: bool, details: bool
    ) -> None:
        self._client = client
        self._follow = options.get("follow", False)
        self._heartbeat = options.get("heartbeat", HEARTBEAT)
        self._lines = Lines(tty=tty, details=details)
        self._ready: deque[LogLine | EngineError] = deque()
        self._ended = False
        self._wire = client.open("GET", f"{path}?{query(options, details=details)}")

    def __next__(self) -> LogLine | None:
        while not self._ready:
            if self._ended:
                raise StopIteration
            data = self._receive()
            if data is None:
                return None
            self._ready.extend(self._lines.feed(data) if data else self._lines.finish())
            self._ended = not data
        line = self._ready.popleft()
        if isinstance(line, EngineError):
            self.close()
            raise line
        return line

    def _receive(self) -> bytes | None:
        try:
            return self._wire.receive(wait=self._heartbeat, bounded=not self._follow)
        except CAUSES as error:
            failure = self._client.explain(error, self._client.timeout)
        self.close()
        raise failure

    def close(self) -> None:
        """End the stream; safe to call again."""
        self._ended = True
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def query(options: LogOptions, *, details: bool) -> str:
    """Return the query for the options."""
    asked = {
        "stdout": "1",
        "stderr": "1",
        "tail": str(max(0, int(options["tail"]))),
        "timestamps": "1" if options.get("timestamps", True) else "0",
        "follow": "1" if options.get("follow", False) else "0",
        "details": "1" if details else "0",
    }
    if since := options.get("since"):
        asked["since"] = f"{since.timestamp():.6f}"
    return urlencode(asked)
