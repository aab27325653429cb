"""A real certificate authority beside the local nodes: Pebble, and the name server it asks."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
STARTS_WITHIN = 20
# Pebble validates at once and takes every nonce; it never spares a client the validation.
FULL_SPEED = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}


@dataclass(frozen=True)
class Pebble:
    """A running ACME server, its own authority, and the name server that leads to the node."""

    directory: str
    ca: str
    management: str
    name_server: str
    names: str
    log: Path

    def root(self) -> str:
        """Return the root of the certificates that it issues."""
        trusted = ssl.create_default_context(cadata=self.ca)
        connection = http.client.HTTPSConnection(self.management, timeout=10, context=trusted)
        return answer(connection, "GET", "/roots/0")

    def orders(self) -> int:
        """Return how many certificates have been ordered so far."""
        return len(re.findall(r"Added order ", self.log.read_text()))

    def issued(self) -> int:
        """Return how many certificates it has issued so far."""
        return len(re.findall(r"Issued certificate ", self.log.read_text()))

    def asked_over_http(self, domain: str) -> bool:
        """Say whether it has asked for a domain's challenge on port 80."""
        return f"http://{domain}:80/.well-known/acme-challenge/" in self.log.read_text()

    def point(self, name: str, addresses: Iterable[str]) -> None:
        """Let a name lead somewhere of its own; to nowhere without addresses."""
        self.tell("/clear-a", {"host": f"{name}."})
        if found := list(addresses):
            self.tell("/add-a", {"host": f"{name}.", "addresses": found})

    def tell(self, path: str, values: dict[str, object]) -> None:
        """Tell the name server what it shall answer."""
        connection = http.client.HTTPConnection(self.names, timeout=10)
        answer(connection, "POST", path, json.dumps(values))


@contextlib.contextmanager
def pebble(
    folder: Path, gateway: str, address: str, *, certificate_days: int = 90
) -> Iterator[Pebble]:
    """Run Pebble where local nodes reach it; every name leads to the given node at first.

    The gateway's address is there as soon as one node of the network runs.
    """
    authority = issue("Pebble's own authority", None)
    certificate, key = issue(gateway, authority)
    (folder / "server.pem").write_text(pem(certificate))
    (folder / "server.key").write_text(private(key))
    acme, management, names, questions = (f"{gateway}:{port}" for port in free_ports(gateway, 4))
    settings = {
        "listenAddress": acme,
        "managementListenAddress": management,
        "certificate": f"{folder}/server.pem",
        "privateKey": f"{folder}/server.key",
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "certificateValidityPeriod": certificate_days * 24 * 3600,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    log = folder / "pebble.log"
    server = Pebble(f"https://{acme}/dir", pem(authority[0]), management, questions, names, log)
    # Node addresses are IPv4 only, so no name has an IPv6 address.
    resolver = ["pebble-challtestsrv", "-defaultIPv4", address, "-defaultIPv6", ""]
    resolver += ["-dns01", questions, "-management", names]
    resolver += ["-http01", "", "-https01", "", "-tlsalpn01", ""]
    issuer = ["pebble", "-config", f"{folder}/pebble.json", "-dnsserver", questions]
    with (
        running(resolver, folder / "names.log", names),
        running(issuer, log, acme),
    ):
        yield server


@contextlib.contextmanager
def running(command: list[str], log: Path, listens: str) -> Iterator[None]:
    """Run a server from when it listens until it is no longer needed."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | FULL_SPEED
        )
    try:
        until = time.monotonic() + STARTS_WITHIN
        while not listening(listens):
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()}"
            assert time.monotonic() < until, f"{command[0]} does not listen: {log.read_text()}"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answer(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None
) -> str:
    """Ask once and return the whole answer, which must be a good one."""
    with contextlib.closing(connection):
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200, (path, response.status, text)
        return text


def listening(place: str) -> bool:
    """Say whether somebody listens at an address and port."""
    address, _, port = place.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, int(port))) == 0


def free_ports(address: str, count: int) -> list[int]:
    """Return different ports that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def issue(
    name: str, authority: Authority | None, *, days: float = 1, names: Iterable[str] = ()
) -> Authority:
    """Return a certificate and its key; without an authority it becomes one itself.

    With negative days it has expired. The name is among its names unless others are given.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority[0].subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
    )
    if authority:
        named = [general_name(each) for each in names or [name]]
        builder = builder.add_extension(x509.SubjectAlternativeName(named), False)
    return builder.sign(authority[1] if authority else key, hashes.SHA256()), key


def general_name(name: str) -> x509.GeneralName:
    """Return a domain or an address as a certificate holds it."""
    try:
        address = ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    assert isinstance(address, IPv4Address)
    return x509.IPAddress(address)


def pem(certificate: x509.Certificate) -> str:
    """Return a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key as text."""
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, none).decode()
