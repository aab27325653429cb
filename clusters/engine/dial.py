"""Open connections to an endpoint, whatever way leads there."""

import ssl
from typing import Protocol

from clusters.engine.endpoint import Address, Endpoint
from clusters.engine.errors import EngineError, Refused
from clusters.engine.memory import MemoryFile
from clusters.engine.sockets import Socket, connect_tls, connect_unix
from clusters.engine.ssh import SshTunnel


class Dialer(Protocol):
    """Something that opens connections and knows why they failed."""

    def dial(self, deadline: float) -> Socket:
        """Open one connection."""

    def complaint(self) -> EngineError | None:
        """Return a better reason than the socket's own, if there is one."""

    def close(self) -> None:
        """Forget every credential."""


def dialer_for(endpoint: Endpoint) -> Dialer:
    """Return what opens connections to an endpoint; raise Refused if it cannot be used."""
    address = endpoint.address()
    if address.scheme == "ssh":
        return SshTunnel(address, key=endpoint.ssh_key, host_key=endpoint.ssh_host_key)
    if address.scheme == "tcp":
        return TlsDialer(address, endpoint)
    return UnixDialer(address.path)


class UnixDialer:
    """Connect to an Engine on this machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def dial(self, deadline: float) -> Socket:
        """Open one connection."""
        return connect_unix(self._path, deadline)

    def complaint(self) -> EngineError | None:
        """Return nothing: the socket's own error says it all."""
        return None

    def close(self) -> None:
        """Do nothing: there are no credentials."""


class TlsDialer:
    """Connect with a client certificate, and trust nothing but the endpoint's own CA."""

    def __init__(self, address: Address, endpoint: Endpoint) -> None:
        self._address = address
        self._context = context_for(endpoint)

    def dial(self, deadline: float) -> Socket:
        """Open one connection."""
        return connect_tls(self._address.host, self._address.port, self._context, deadline)

    def complaint(self) -> EngineError | None:
        """Return nothing: the socket's own error says it all."""
        return None

    def close(self) -> None:
        """Do nothing: the files are gone already, the key lives in the context."""


def context_for(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the TLS settings: mutual, verified, version 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with MemoryFile(endpoint.tls_cert) as certificate, MemoryFile(endpoint.tls_key) as key:
        try:
            # An encrypted key must fail, not ask for its password on a terminal.
            context.load_cert_chain(certificate.path, key.path, password=lambda: "")
            readable = True
        except (ssl.SSLError, OSError, ValueError):
            readable = False
    if not readable:
        raise Refused("The client certificate and its key cannot be read, or do not match.")
    try:
        context.load_verify_locations(cadata=endpoint.tls_ca)
    except (ssl.SSLError, OSError, ValueError):
        raise Refused("The CA certificate cannot be read.") from None
    return context
