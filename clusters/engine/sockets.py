"""Sockets that keep a deadline for a whole exchange, not only for each single read."""

import ipaddress
import queue
import socket
import ssl
import threading
import time
from typing import Any

from clusters.engine.errors import Refused, Unreachable
from clusters.reach import forbidden

# What getaddrinfo answers.
Found = list[tuple[Any, ...]]


def remaining(deadline: float) -> float:
    """Return the seconds that are left; none left is a time-out."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("The time is over.")
    return left


class PlainSocket(socket.socket):
    """A socket with a deadline: an Engine that drips single bytes cannot hold its caller."""

    deadline: float | None = None

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read, but not beyond the deadline."""
        if self.deadline is not None:
            self.settimeout(remaining(self.deadline))
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Write everything, but not beyond the deadline."""
        if self.deadline is not None:
            self.settimeout(remaining(self.deadline))
        super().sendall(data, flags)


class TlsSocket(ssl.SSLSocket):
    """The same for TLS."""

    deadline: float | None = None

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Read, but not beyond the deadline."""
        if self.deadline is not None:
            self.settimeout(remaining(self.deadline))
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        """Write, but not beyond the deadline; sendall comes through here."""
        if self.deadline is not None:
            self.settimeout(remaining(self.deadline))
        return super().send(data, flags)


Socket = PlainSocket | TlsSocket


def connect_unix(path: str, deadline: float) -> PlainSocket:
    """Connect to a socket in the file system."""
    connection = PlainSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(remaining(deadline))
        connection.connect(path)
        connection.deadline = deadline
    except BaseException:
        connection.close()
        raise
    return connection


def connect_tls(host: str, port: int, context: ssl.SSLContext, deadline: float) -> TlsSocket:
    """Connect and shake hands; the name in the certificate must be the host's."""
    context.sslsocket_class = TlsSocket
    last: OSError | None = None
    for family, kind, protocol, _, address in resolve(host, port, deadline):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(remaining(deadline))
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            last = error
            continue
        try:
            wrapped = context.wrap_socket(
                plain, server_hostname=host, do_handshake_on_connect=False
            )
        except BaseException:
            plain.close()
            raise
        return shake_hands(wrapped, deadline)
    raise last or OSError(f"“{host}” has no address.")


def shake_hands(wrapped: ssl.SSLSocket, deadline: float) -> TlsSocket:
    """Finish the TLS handshake before the deadline."""
    assert isinstance(wrapped, TlsSocket)
    try:
        wrapped.settimeout(remaining(deadline))
        wrapped.do_handshake()
        wrapped.deadline = deadline
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def resolve(host: str, port: int, deadline: float) -> Found:
    """Look up a host's addresses, and refuse one that no Engine has.

    The system's resolver knows no time-out, so a thread asks it.
    """
    if is_address(host):
        return judged(host, list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    answers: queue.SimpleQueue[Found | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name=f"resolve-{host}").start()
    try:
        answer = answers.get(timeout=remaining(deadline))
    except queue.Empty:
        raise Unreachable(f"The name “{host}” cannot be looked up in time.") from None
    if isinstance(answer, OSError):
        raise Unreachable(f"The name “{host}” cannot be found.")
    return judged(host, answer)


def judged(host: str, found: Found) -> Found:
    """Refuse addresses by which somebody would make the console ask for a cloud's credentials."""
    for *_, address in found:
        if forbidden(str(address[0]), allow_private=True):
            raise Refused(f"“{host}” is at {address[0]}, where the console connects to nothing.")
    return found


def is_address(host: str) -> bool:
    """Say whether a host is written as an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
