"""Serve hundreds of Engines on unix sockets from one process, each answer late by so much.

The delay stands for the way to an Engine and its work; meanwhile this process is free for the
others, so it takes no more of the machine than hundreds of Engines elsewhere would.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]
# Method, path without the API's version, query, body: status and answer.
Reply = Callable[[str, str, dict[str, str], Any], tuple[int, Any]]
UPGRADE = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class Exchange(asyncio.Protocol):
    """One connection: requests come one after the other, answers after the delay."""

    def __init__(self, reply: Reply, delay: float) -> None:
        self.reply, self.delay = reply, delay
        self.buffer = b""
        self.is_stream = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Wait for a whole request, then answer it late."""
        if self.is_stream:
            return
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, target, _ = line.split(" ")
        later = asyncio.get_running_loop().call_later
        if "upgrade" in headers:
            self.is_stream = True
            later(self.delay, self.write, UPGRADE)
        else:
            later(self.delay, self.answer, method, target, rest[:length])

    def answer(self, method: str, target: str, sent: bytes) -> None:
        """Ask the Engine and write what it says."""
        parts = urlsplit(target)
        path = unquote(parts.path)
        if path.startswith("/v1."):
            path = path[path.index("/", 1) :]
        body = json.loads(sent) if sent[:1] in (b"{", b"[") else None
        status, said = self.reply(method, path, dict(parse_qsl(parts.query)), body)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        head = (
            f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        self.write(head.encode() + data)

    def write(self, data: bytes) -> None:
        """Write, unless nobody listens any more."""
        if not self.transport.is_closing():
            self.transport.write(data)


async def serve(folder: Path, replies: dict[str, Reply], delay: float) -> None:
    """Serve an Engine at each socket until the standard input ends."""
    loop = asyncio.get_running_loop()
    for name, reply in replies.items():
        await loop.create_unix_server(
            lambda reply=reply: Exchange(reply, delay),  # type: ignore[misc]
            folder / f"{name}.sock",
            backlog=100,
        )
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
