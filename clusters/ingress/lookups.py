"""Ask the outside: where a domain leads, what answers there, and whether an ACME CA does."""

import http.client
import json
import ssl
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from time import monotonic
from typing import Any
from urllib.parse import SplitResult, urlsplit

import dns.exception
import dns.name
import dns.resolver
from cryptography import x509

from clusters.ingress import wire
from clusters.ingress.certificates import name_of
from clusters.ingress.domains import reachable
from clusters.reach import forbidden

LONGEST_ALIAS_CHAIN = 8
# An ACME directory has some hundred bytes.
LARGEST_DIRECTORY = 64 * 1024
DIRECTORY_URLS = ("newNonce", "newAccount", "newOrder")
# OpenSSL's numbers (X509_V_ERR_*) for what is wrong with a certificate.
PROBLEMS = {
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "certificate is self-signed",
    19: "certificate is signed by an unknown authority",
    20: "certificate is signed by an unknown authority",
    21: "certificate is signed by an unknown authority",
    62: "certificate is not valid for the domain",
}


class LookupFailed(Exception):
    """The name servers did not answer; nothing is known about the domain."""


@dataclass(frozen=True)
class Probe:
    """How a domain was found at an address; without a problem, all of it is well."""

    problem: str = ""
    status_code: int | None = None
    latency_ms: int | None = None
    tls_version: str = ""
    issuer: str = ""
    not_after: datetime | None = None


def addresses(domain: str, *, timeout: float = 2.0, server: str = "") -> list[str]:
    """Return the addresses of a domain, IPv4 first; none if there is no such domain.

    The system's name servers are asked, or the one at server ("address:port").
    """
    if not server and (domain == "localhost" or domain.endswith(".localhost")):
        # RFC 6761: these names never leave the machine.
        return ["127.0.0.1", "::1"]
    deadline = monotonic() + timeout
    found: set[str] = set()
    problem = ""
    try:
        resolver = resolver_at(server)
        # Half the time for a name server, so that a lost packet is sent again.
        resolver.timeout = timeout / 2
        for kind in ("A", "AAAA"):
            found |= resolved(resolver, domain, kind, deadline)
    except dns.resolver.NXDOMAIN:
        pass
    except (dns.exception.Timeout, TimeoutError):
        problem = "the name servers did not answer in time."
    except dns.exception.DNSException:
        problem = "the name servers could not answer."
    # Some servers know IPv4 only and fail when asked for IPv6.
    if problem and not found:
        raise LookupFailed(problem)
    return sorted(found, key=lambda text: (ip_address(text).version, ip_address(text).packed))


def resolver_at(server: str) -> dns.resolver.Resolver:
    """Return the system's resolver, or one that asks a single server."""
    if not server:
        return dns.resolver.Resolver()
    host, _, port = server.rpartition(":")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [host.strip("[]")]
    resolver.port = int(port)
    return resolver


def resolved(resolver: dns.resolver.Resolver, domain: str, kind: str, deadline: float) -> set[str]:
    """Return a domain's addresses of one kind; aliases are followed if the server does not."""
    name = dns.name.from_text(domain)
    for _ in range(LONGEST_ALIAS_CHAIN):
        answer = resolver.resolve(
            name, kind, raise_on_no_answer=False, lifetime=wire.remaining(deadline), search=False
        )
        if answer.rrset is not None:
            return {record.to_text() for record in answer}
        if answer.canonical_name == name:
            return set()
        name = answer.canonical_name
    return set()


def probe(
    domain: str,
    address: str,
    *,
    port: int = 443,
    path: str = "/",
    ca_pem: str = "",
    timeout: float = 5.0,
) -> Probe:
    """Ask for a path of a domain at an address, as a browser would."""
    deadline = monotonic() + timeout
    host = reachable(domain)
    if forbidden(address, allow_private=True):
        return Probe(problem=f"{address} is no address to connect to")
    found, started = Probe(), monotonic()
    try:
        context = wire.trusting(ca_pem)
        with wire.secured(address, port, host, context, deadline) as connection:
            found = described(connection)
            response = wire.get(connection, host, path or "/", deadline)
            passed = round((monotonic() - started) * 1000)
            found = replace(found, status_code=response.status, latency_ms=passed)
    except wire.UnreadableAuthority:
        return Probe(problem="the authority's certificate cannot be read")
    except ssl.SSLCertVerificationError as error:
        return replace(
            unverified(address, port, host, deadline), problem=certificate_problem(error)
        )
    except ssl.SSLError as error:
        return replace(found, problem=handshake_problem(error))
    except TimeoutError:
        return replace(found, problem=f"no answer on port {port} within {timeout:g} s")
    except OSError:
        broken = "the connection was broken off" if found.tls_version else ""
        return replace(found, problem=broken or f"nothing answers on port {port}")
    except (http.client.HTTPException, ValueError):
        return replace(found, problem="the answer is no HTTP")
    return replace(found, problem=status_problem(found.status_code or 0))


def status_problem(status: int) -> str:
    """Return what is wrong with a status; an application that asks to sign in is well."""
    return f"status {status}" if status == 404 or status >= 500 else ""


def certificate_problem(error: ssl.SSLCertVerificationError) -> str:
    """Say in plain words why a certificate was not believed."""
    return PROBLEMS.get(error.verify_code, f"certificate is not valid: {error.verify_message}")


def handshake_problem(error: ssl.SSLError) -> str:
    """Say in plain words why TLS did not come about."""
    if "UNRECOGNIZED_NAME" in (error.reason or ""):
        return "there is no certificate for the domain yet (the load balancer's log tells why)"
    reason = (error.reason or "it was broken off").replace("_", " ").lower()
    return f"the TLS handshake failed: {reason}"


def unverified(address: str, port: int, host: str, deadline: float) -> Probe:
    """Return what an invalid certificate says; nothing is sent over such a connection."""
    try:
        with wire.secured(address, port, host, wire.describing(), deadline) as connection:
            return described(connection)
    except OSError:
        return Probe()


def described(connection: ssl.SSLSocket) -> Probe:
    """Return what a TLS connection and its certificate say about themselves."""
    version = connection.version() or ""
    try:
        certificate = x509.load_der_x509_certificate(connection.getpeercert(True) or b"")
        issuer, not_after = name_of(certificate.issuer), certificate.not_valid_after_utc
    except ValueError:
        return Probe(tls_version=version)
    return Probe(tls_version=version, issuer=issuer, not_after=not_after)


def directory_problem(
    url: str,
    *,
    ca_pem: str = "",
    timeout: float = 2.5,
    allow_private: bool = False,
    server: str = "",
) -> str:
    """Say in plain words why an ACME directory cannot be used; nothing when it can.

    The address that was judged is the one that is asked, so no second lookup can change it.
    """
    deadline = monotonic() + timeout
    try:
        parts, port = checked_url(url)
        host = parts.hostname or ""
        context = wire.trusting(ca_pem)
        address = allowed_address(host, deadline, allow_private=allow_private, server=server)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with wire.secured(address, port, host, context, deadline) as connection:
            response = wire.get(connection, parts.netloc, path, deadline)
            return answer_problem(response, response.read(LARGEST_DIRECTORY + 1))
    except UnusableDirectory as error:
        return str(error)
    except LookupFailed as error:
        return f"The ACME directory's host could not be looked up: {error}"
    except wire.UnreadableAuthority:
        return "The CA's certificate cannot be read."
    except ssl.SSLCertVerificationError as error:
        return f"The ACME directory cannot be trusted: its {certificate_problem(error)}."
    except ssl.SSLError as error:
        return f"The ACME directory cannot be reached: {handshake_problem(error)}."
    except TimeoutError:
        return f"The ACME directory did not answer within {timeout:g} s."
    except OSError:
        return "Nothing answers at the ACME directory's address."
    except (http.client.HTTPException, ValueError):
        return "There is no ACME directory at this URL."


class UnusableDirectory(Exception):
    """Say why an ACME directory cannot be used."""


def checked_url(url: str) -> tuple[SplitResult, int]:
    """Return the parts of an ACME directory's URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise UnusableDirectory("This is no URL.") from None
    if parts.scheme != "https":
        raise UnusableDirectory("An ACME directory's URL begins with https://.")
    if not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        raise UnusableDirectory("This is no URL.")
    if parts.username is not None or parts.password is not None:
        raise UnusableDirectory("An ACME directory's URL has no user name and no password.")
    return parts, port


def allowed_address(host: str, deadline: float, *, allow_private: bool, server: str) -> str:
    """Return an address of a host, if all of them may be asked."""
    try:
        found = [str(ip_address(host))]
    except ValueError:
        found = addresses(host, timeout=wire.remaining(deadline), server=server)
    if not found:
        raise UnusableDirectory(f"The ACME directory's host {host} does not resolve.")
    for address in found:
        if forbidden(address, allow_private=allow_private):
            raise UnusableDirectory(
                f"The ACME directory leads to {address}, which the console does not connect to."
            )
    return found[0]


def answer_problem(response: http.client.HTTPResponse, body: bytes) -> str:
    """Return why an answer is no ACME directory."""
    if 300 <= response.status < 400:
        return "The ACME directory's URL redirects; give the one that it leads to."
    if response.status != 200:
        return f"The ACME directory answers with status {response.status}."
    try:
        found: Any = json.loads(body) if len(body) <= LARGEST_DIRECTORY else None
    except (ValueError, RecursionError):
        found = None
    values = [found.get(key) for key in DIRECTORY_URLS] if isinstance(found, dict) else [None]
    if not all(isinstance(value, str) and value.startswith("https://") for value in values):
        return "There is no ACME directory at this URL."
    return ""
