"""Where an Engine listens, and what is needed to be let in."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from clusters.engine.errors import Refused

# Neither may begin with a dash: the ssh client would read it as an option.
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
SSH_PORT = 22
Scheme = Literal["unix", "ssh", "tcp"]


@dataclass(frozen=True)
class Address:
    """The parts of an endpoint's URL."""

    scheme: Scheme
    path: str = ""
    host: str = ""
    port: int = 0
    user: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Name an Engine: unix:///path, ssh://user@host[:port] or tcp://host:port."""

    url: str
    # From here on by keyword only, and never in a repr: these are credentials.
    ssh_key: str = field(default="", repr=False, kw_only=True)
    ssh_host_key: str = field(default="", repr=False, kw_only=True)
    tls_ca: str = field(default="", repr=False, kw_only=True)
    tls_cert: str = field(default="", repr=False, kw_only=True)
    tls_key: str = field(default="", repr=False, kw_only=True)

    def address(self) -> Address:
        """Return the parts of the URL; raise Refused, in plain words, if something is missing."""
        address = parse(self.url)
        if address.scheme == "ssh" and not (self.ssh_key.strip() and self.ssh_host_key.strip()):
            raise Refused("An ssh:// endpoint needs a private key and the host's public key.")
        certificates = (self.tls_ca, self.tls_cert, self.tls_key)
        if address.scheme == "tcp" and not all(text.strip() for text in certificates):
            raise Refused("A tcp:// endpoint needs a CA, a client certificate and its key.")
        return address


def parse(url: str) -> Address:
    """Return the parts of an endpoint's URL; raise Refused, in plain words, if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused(f"“{url}” is not a valid endpoint.") from None
    if parts.password is not None:
        raise Refused("An endpoint's URL must not hold a password.")
    if parts.scheme == "unix" and not parts.netloc and len(parts.path) > 1:
        return Address("unix", path=parts.path)
    if parts.scheme not in ("ssh", "tcp"):
        raise Refused("An endpoint is unix:///path, ssh://user@host[:port] or tcp://host:port.")
    return network_address(parts, port)


def network_address(parts: SplitResult, port: int | None) -> Address:
    """Return the parts of an ssh:// or tcp:// URL."""
    host, user = parts.hostname or "", parts.username or ""
    if not HOST.fullmatch(host):
        raise Refused(f"“{host}” is not a valid host.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise Refused("Nothing may follow the host and port of an endpoint.")
    if port == 0:
        raise Refused("A port is between 1 and 65535.")
    if parts.scheme == "ssh":
        if not USER.fullmatch(user):
            raise Refused("An ssh:// endpoint needs a valid user: ssh://user@host.")
        return Address("ssh", host=host, port=port or SSH_PORT, user=user)
    if port is None or user:
        raise Refused("A tcp:// endpoint is tcp://host:port.")
    return Address("tcp", host=host, port=port)
