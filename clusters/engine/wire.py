"""A raw HTTP exchange whose body is a stream: logs that follow, terminals that go both ways."""

import contextlib
import http.client
import io
import json
import socket
import threading
from typing import Any

from clusters.engine.sockets import Socket, remaining

LONGEST_HEAD = 64 * 1024
CHUNK = 32 * 1024


class Wire:
    """Own one connection; another thread may close it while this one reads."""

    def __init__(self, connection: Socket) -> None:
        self._socket = connection
        self._deadline = connection.deadline
        # The socket's own deadline is for answers that end; this body may never end.
        connection.deadline = None
        self._chunks: Chunks | None = None
        self._left: int | None = None
        self._buffer = b""
        self._closed = threading.Event()

    def ask(self, method: str, path: str, *, body: Any = None, upgrade: bool = False) -> int:
        """Send the request and return the answer's status; the body comes by receive()."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            "User-Agent: medstack",
            f"Content-Length: {len(data)}",
            *(["Content-Type: application/json"] if data else []),
            *(["Connection: Upgrade", "Upgrade: tcp"] if upgrade else ["Connection: close"]),
        ]
        self.send(("\r\n".join(headers) + "\r\n\r\n").encode() + data)
        return self._read_head()

    def _read_head(self) -> int:
        head = b""
        while b"\r\n\r\n" not in head:
            part = self._read(None)
            if not part:
                raise http.client.RemoteDisconnected("closed before the answer")
            head += part
            if len(head) > LONGEST_HEAD or not b"HTTP/1.".startswith(head[:7]):
                raise http.client.BadStatusLine("not HTTP")
        head, _, rest = head.partition(b"\r\n\r\n")
        status_line, _, lines = head.partition(b"\r\n")
        headers = http.client.parse_headers(io.BytesIO(lines + b"\r\n\r\n"))
        status = int(status_line.split()[1])
        if "chunked" in headers.get("Transfer-Encoding", "").lower():
            self._chunks = Chunks()
        elif status != http.HTTPStatus.SWITCHING_PROTOCOLS and "Content-Length" in headers:
            self._left = int(headers["Content-Length"])
        self._buffer = self._body(rest) if rest else b""
        return status

    def receive(self, *, wait: float | None = None, bounded: bool = False) -> bytes | None:
        """Return what comes next, b"" at the end, or None if nothing came in `wait` seconds.

        With `bounded` the deadline of the request holds for the body, too.
        """
        while True:
            if self._buffer:
                found, self._buffer = self._buffer, b""
                return found
            if self._closed.is_set() or self._ended():
                return b""
            try:
                data = self._read(None if bounded else wait, bounded=bounded)
            except TimeoutError:
                if bounded:
                    raise
                return None
            except (OSError, ValueError):
                if self._closed.is_set():
                    return b""
                raise
            if not data:
                if self._closed.is_set() or not self._expects_more():
                    return b""
                raise EOFError("broken off")
            self._buffer = self._body(data)

    def read_all(self) -> bytes:
        """Return the rest of an answer that ends."""
        parts = []
        while part := self.receive(bounded=True):
            parts.append(part)
            if sum(map(len, parts)) > LONGEST_HEAD:
                break
        return b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Keep what was received for the next receive()."""
        self._buffer = data + self._buffer

    def send(self, data: bytes, *, timeout: float | None = None) -> None:
        """Write everything; whoever does not read cannot hold us."""
        if timeout is None and self._deadline is not None:
            timeout = remaining(self._deadline)
        self._socket.settimeout(timeout)
        self._socket.sendall(data)

    def close(self) -> None:
        """Close; a thread that reads sees the end of the stream. Safe to call again."""
        self._closed.set()
        with contextlib.suppress(OSError):
            # Not the TLS socket's own shutdown: that pulls the rug from under a reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read(self, wait: float | None, *, bounded: bool = True) -> bytes:
        if bounded and self._deadline is not None:
            wait = remaining(self._deadline)
        self._socket.settimeout(wait)
        return self._socket.recv(CHUNK)

    def _body(self, data: bytes) -> bytes:
        if self._chunks is not None:
            return self._chunks.feed(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def _ended(self) -> bool:
        return self._left == 0 or (self._chunks is not None and self._chunks.ended)

    def _expects_more(self) -> bool:
        return self._chunks is not None or self._left is not None


class Chunks:
    """Take the chunked transfer coding off, however the pieces arrive."""

    def __init__(self) -> None:
        self.ended = False
        self._buffer = b""
        self._left = 0
        self._after_data = False

    def feed(self, data: bytes) -> bytes:
        """Return the content in the pieces so far."""
        self._buffer += data
        out = []
        while not self.ended:
            if self._left:
                part, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                out.append(part)
                self._left -= len(part)
                if self._left:
                    break
                self._after_data = True
            if self._after_data:
                if len(self._buffer) < 2:
                    break
                self._buffer, self._after_data = self._buffer[2:], False
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                break
            self._left, self._buffer = int(line.partition(b";")[0], 16), rest
            self.ended = self._left == 0
        return b"".join(out)
