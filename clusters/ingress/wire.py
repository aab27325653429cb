"""HTTP to one given address, bounded as a whole: what answers may be hostile, or just slow."""

import http.client
import io
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from time import monotonic
from typing import Any

AGENT = "MedStack-Check/1.0"


class UnreadableAuthority(Exception):
    """A text that should hold an authority's certificate does not."""


class Bounded(io.RawIOBase):
    """A connection that ends at a deadline, however slowly the other side sends.

    A socket's own time-out starts again with every byte.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        super().__init__()
        self.connection, self.deadline = connection, deadline

    def readable(self) -> bool:
        """Say that http.client may read from it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what comes before the deadline."""
        self.connection.settimeout(remaining(self.deadline))
        return self.connection.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        """Send a request."""
        self.connection.settimeout(remaining(self.deadline))
        self.connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what the answer is read from; it stays open when http.client lets go of us."""
        return io.BufferedReader(Bounded(self.connection, self.deadline))


def remaining(deadline: float) -> float:
    """Return the seconds until a deadline; after it, nothing more is waited for."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("The deadline is over.")
    return left


@contextmanager
def connected(address: str, port: int, deadline: float) -> Iterator[socket.socket]:
    """Connect to an address, which is never a name: names are looked up and judged before."""
    ip_address(address)
    connection = socket.create_connection((address, port), timeout=remaining(deadline))
    with connection:
        yield connection


@contextmanager
def secured(
    address: str, port: int, host: str, context: ssl.SSLContext, deadline: float
) -> Iterator[ssl.SSLSocket]:
    """Connect to an address and shake hands for a host."""
    with connected(address, port, deadline) as connection:
        connection.settimeout(remaining(deadline))
        with context.wrap_socket(connection, server_hostname=host) as secure:
            yield secure


def get(
    connection: socket.socket, host: str, path: str, deadline: float
) -> http.client.HTTPResponse:
    """Ask for a path and return the answer's head; redirects are not followed."""
    client = http.client.HTTPConnection(host)
    client.sock = Bounded(connection, deadline)
    headers = {"Host": host, "User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
    client.request("GET", path, headers=headers)
    return client.getresponse()


def trusting(ca_pem: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and these."""
    context = ssl.create_default_context()
    if ca_pem.strip():
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError, TypeError):
            raise UnreadableAuthority from None
    return context


def describing() -> ssl.SSLContext:
    """Return a context that trusts everybody: to read a certificate, never to send anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
