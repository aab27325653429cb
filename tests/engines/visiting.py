"""Visit domains at an address, as a browser would that trusts one root and asks no name server."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

PATIENCE = 10
# What clients of 2013 and older offer, and the strict profile refuses.
CBC = "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"


@dataclass(frozen=True)
class Answer:
    """What a visit brought back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def secure(
    domain: str, address: str, root: str, path: str = "/", headers: Mapping[str, str] | None = None
) -> Answer:
    """Visit https://domain at an address; raise ssl.SSLError where its certificate is no good."""
    client = Connection(domain, address, ssl.create_default_context(cadata=root))
    return asked(client, path, headers)


def plain(domain: str, address: str, path: str = "/") -> Answer:
    """Visit http://domain at an address; redirections are not followed."""
    client = http.client.HTTPConnection(address, timeout=PATIENCE)
    return asked(client, path, {"Host": domain})


def certificate(domain: str, address: str, root: str) -> bytes:
    """Return the certificate for a domain, as it was sent."""
    client = Connection(domain, address, ssl.create_default_context(cadata=root))
    with contextlib.closing(client):
        client.connect()
        assert isinstance(client.sock, ssl.SSLSocket)
        sent = client.sock.getpeercert(binary_form=True)
    assert sent
    return sent


def alert(domain: str | None, address: str, context: ssl.SSLContext) -> str:
    """Return why a server breaks the handshake off; nothing if it does not."""
    with socket.create_connection((address, 443), PATIENCE) as wire:
        try:
            context.wrap_socket(wire, server_hostname=domain).close()
        except ssl.SSLError as error:
            return error.reason or str(error)
    return ""


def trusting() -> ssl.SSLContext:
    """Return a context that takes any certificate, so that only the server can refuse."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def asked(
    client: http.client.HTTPConnection, path: str, headers: Mapping[str, str] | None
) -> Answer:
    """Ask once and close the connection."""
    with contextlib.closing(client):
        client.request("GET", path, headers=dict(headers or {}))
        response = client.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read().decode(errors="replace"))


class Connection(http.client.HTTPSConnection):
    """A connection to a domain at an address that no name server is asked for."""

    def __init__(self, domain: str, address: str, trusted: ssl.SSLContext) -> None:
        super().__init__(domain, 443, timeout=PATIENCE, context=trusted)
        self._address, self._trusted = address, trusted

    def connect(self) -> None:
        """Connect to the address, and ask for the domain."""
        wire = socket.create_connection((self._address, self.port), PATIENCE)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = self._trusted.wrap_socket(wire, server_hostname=self.host)
        except BaseException:
            wire.close()
            raise
