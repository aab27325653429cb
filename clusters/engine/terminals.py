"""Terminals: a command in a running container, with both directions open."""

from types import TracebackType
from typing import Self

from clusters.engine.client import Client, Json, path_of
from clusters.engine.frames import Frames
from clusters.engine.reasons import CAUSES
from clusters.engine.wire import Wire


def exec_open(
    client: Client,
    container_id: str,
    command: list[str],
    *,
    tty: bool = True,
    user: str = "",
) -> "ExecSession":
    """Start a command in a container of this Engine's own node."""
    body: Json = {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": tty,
        "Cmd": command,
        "User": user,
    }
    exec_id = str(client.post("/containers/{0}/exec", container_id, body=body)["Id"])
    start = {"Detach": False, "Tty": tty}
    path = path_of("/exec/{0}/start", [exec_id])
    wire = client.open("POST", path, body=start, upgrade=True)
    return ExecSession(client, exec_id, wire, tty=tty)


class ExecSession:
    """One command's input and output; one thread may read while another writes or closes."""

    def __init__(self, client: Client, exec_id: str, wire: Wire, *, tty: bool) -> None:
        self._client = client
        self._wire = wire
        self._frames = None if tty else Frames()
        self._output = b""
        self._ended = False
        self.id = exec_id

    def ready(self, seconds: float) -> bool:
        """Say whether recv() would return at once, waiting for that up to so many seconds."""
        return bool(self._output) or self._ended or self._fetch(seconds)

    def recv(self, size: int = 65536) -> bytes:
        """Return what the command wrote, waiting for it; nothing means that it has ended."""
        while not self._output and not self._ended:
            self._fetch(None)
        found, self._output = self._output[:size], self._output[size:]
        return found

    def send(self, data: bytes) -> None:
        """Write to the command's input."""
        try:
            self._wire.send(data, timeout=self._client.timeout)
            return
        except CAUSES as error:
            failure = self._client.explain(error, self._client.timeout)
        raise failure

    def resize(self, rows: int, cols: int) -> None:
        """Tell the terminal its size."""
        self._client.post("/exec/{0}/resize", self.id, params={"h": rows, "w": cols})

    def exit_code(self) -> int | None:
        """Return the command's exit code, or None while it runs."""
        found = self._client.get("/exec/{0}/json", self.id)
        return None if found.get("Running") else found.get("ExitCode")

    def close(self) -> None:
        """Close both directions; a thread in recv() sees the end. Safe to call again."""
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

    def _fetch(self, wait: float | None) -> bool:
        try:
            data = self._wire.receive(wait=wait)
        except CAUSES as error:
            failure = self._client.explain(error, self._client.timeout)
        else:
            self._take(data)
            return data is not None
        raise failure

    def _take(self, data: bytes | None) -> None:
        if data == b"":
            self._ended = True
        elif data and self._frames is not None:
            self._output += b"".join(payload for _, payload in self._frames.feed(data))
        elif data:
            self._output += data
