"""What the console finds outside: where domains lead, and what answers there."""

import socket
import ssl
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from clusters.ingress import lookups
from clusters.ingress.lookups import LookupFailed, Probe, probe
from tests.authorities import DAY, NOW, Signed, issue
from tests.outside import (
    Answer,
    NameServer,
    listener,
    name_server,
    say_nothing,
    server_context,
    site,
)

HERE = "127.0.0.1"
ROOT = issue("Test Root", authority=True)
APP = issue("app", by=ROOT, domains=("app.example.com", "*.wild.example.com"))
EXPIRED = issue(
    "old", by=ROOT, domains=("app.example.com",), first=NOW - 9 * DAY, last=NOW - 2 * DAY
)
EARLY = issue("early", by=ROOT, domains=("app.example.com",), first=NOW + DAY)


@pytest.fixture
def names() -> Iterator[NameServer]:
    records = {
        ("app.example.com.", "A"): ["192.0.2.10", "192.0.2.9"],
        ("app.example.com.", "AAAA"): ["2001:db8::1"],
        ("old.example.com.", "A"): ["192.0.2.7"],
        ("six.example.com.", "AAAA"): ["2001:db8::6"],
        ("www.example.com.", "CNAME"): ["web.example.com."],
        ("web.example.com.", "CNAME"): ["app.example.com."],
        ("lost.example.com.", "CNAME"): ["gone.example.com."],
        ("one.example.com.", "CNAME"): ["two.example.com."],
        ("two.example.com.", "CNAME"): ["one.example.com."],
        ("mail.example.com.", "MX"): ["10 app.example.com."],
    }
    with name_server(records) as server:
        yield server


@pytest.mark.parametrize(
    ("domain", "addresses"),
    [
        ("app.example.com", ["192.0.2.9", "192.0.2.10", "2001:db8::1"]),
        ("old.example.com", ["192.0.2.7"]),
        ("six.example.com", ["2001:db8::6"]),
        ("www.example.com", ["192.0.2.9", "192.0.2.10", "2001:db8::1"]),
        ("lost.example.com", []),
        ("one.example.com", []),
        ("mail.example.com", []),
        ("unknown.example.com", []),
    ],
)
def test_a_domain_is_followed_to_its_addresses(
    names: NameServer, domain: str, addresses: list[str]
) -> None:
    assert lookups.addresses(domain, server=names.address) == addresses


def test_a_silent_name_server_is_not_taken_for_no_domain(names: NameServer) -> None:
    names.silent = ("app.example.com.",)
    started = monotonic()

    with pytest.raises(LookupFailed, match="in time"):
        lookups.addresses("app.example.com", server=names.address, timeout=0.4)

    assert monotonic() - started < 2


def test_a_broken_name_server_is_not_taken_for_no_domain(names: NameServer) -> None:
    names.broken = ("app.example.com.",)

    with pytest.raises(LookupFailed, match="could not answer"):
        lookups.addresses("app.example.com", server=names.address)


def test_a_name_server_that_fails_for_ipv6_is_enough(names: NameServer) -> None:
    names.broken = ("AAAA",)

    assert lookups.addresses("old.example.com", server=names.address) == ["192.0.2.7"]


def test_nobody_is_asked_for_this_machines_own_names() -> None:
    assert lookups.addresses("app.localhost") == [HERE, "::1"]


def probed(signed: Signed, answer: Answer, *, ca_pem: str = ROOT.pem, path: str = "/") -> Probe:
    with site(answer, signed) as port:
        return probe("app.example.com", HERE, port=port, path=path, ca_pem=ca_pem)


def test_a_probe_describes_a_good_site() -> None:
    answer = Answer()

    found = probed(APP, answer, path="/up")

    assert found.latency_ms is not None
    assert found == Probe(
        problem="",
        status_code=200,
        latency_ms=found.latency_ms,
        tls_version="TLSv1.3",
        issuer="Test Root (Northside Clinic)",
        not_after=APP.certificate.not_valid_after_utc,
    )
    assert answer.asked == [("app.example.com", "/up")]


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (204, ""),
        (302, ""),
        (401, ""),
        (403, ""),
        (404, "status 404"),
        (500, "status 500"),
        (502, "status 502"),
    ],
)
def test_a_probe_judges_the_status(status: int, problem: str) -> None:
    found = probed(APP, Answer(status))

    assert (found.status_code, found.problem) == (status, problem)


@pytest.mark.parametrize(
    ("signed", "problem"),
    [
        (EXPIRED, "certificate has expired"),
        (EARLY, "certificate is not yet valid"),
        (
            issue("other", by=ROOT, domains=("other.example.com",)),
            "certificate is not valid for the domain",
        ),
        (issue("self", domains=("app.example.com",)), "certificate is self-signed"),
    ],
)
def test_an_invalid_certificate_is_described_but_nothing_is_sent(
    signed: Signed, problem: str
) -> None:
    answer = Answer()

    found = probed(signed, answer)

    assert found.problem == problem
    assert found.not_after == signed.certificate.not_valid_after_utc
    assert found.issuer.endswith("(Northside Clinic)")
    assert found.status_code is None
    assert answer.asked == []


def test_an_unknown_authority_is_named_so() -> None:
    assert (
        probed(APP, Answer(), ca_pem="").problem == "certificate is signed by an unknown authority"
    )


def test_an_authority_that_cannot_be_read_is_named_so() -> None:
    assert "cannot be read" in probed(APP, Answer(), ca_pem="nonsense").problem
    assert "cannot be read" in probed(APP, Answer(), ca_pem="é").problem


def test_a_wildcard_is_probed_by_a_name_below_it() -> None:
    answer = Answer()
    with site(answer, APP) as port:
        found = probe("*.wild.example.com", HERE, port=port, ca_pem=ROOT.pem)

    assert found.problem == ""
    assert answer.asked == [("medstack-check.wild.example.com", "/")]


def test_a_closed_port_is_named() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]

    assert probe("app.example.com", HERE, port=port) == Probe(f"nothing answers on port {port}")


def refuse_name(connection: socket.socket) -> None:
    context = server_context(APP, "")
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with context.wrap_socket(connection, server_side=True):
        pass


def speak_plainly(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def answer_badly(connection: socket.socket) -> None:
    with server_context(APP, "").wrap_socket(connection, server_side=True) as secure:
        secure.recv(1000)
        secure.sendall(b"220 mail.example.com ESMTP\r\n")


def hang_up(connection: socket.socket) -> None:
    with server_context(APP, "").wrap_socket(connection, server_side=True) as secure:
        secure.recv(1000)


@pytest.mark.parametrize(
    ("speak", "words"),
    [
        (
            refuse_name,
            "there is no certificate for the domain yet (the load balancer's log tells why)",
        ),
        (speak_plainly, "the TLS handshake failed"),
        (say_nothing, "no answer on port"),
        (answer_badly, "the answer is no HTTP"),
        (hang_up, "the connection was broken off"),
    ],
)
def test_whatever_else_answers_is_described(
    speak: Callable[[socket.socket], None], words: str
) -> None:
    with listener(speak) as port:
        found = probe("app.example.com", HERE, port=port, ca_pem=ROOT.pem, timeout=1)

    assert words in found.problem


def drip(connection: socket.socket) -> None:
    with server_context(APP, "").wrap_socket(connection, server_side=True) as secure:
        secure.recv(1000)
        secure.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        secure.settimeout(0.1)
        while True:
            secure.sendall(b".")
            try:
                if not secure.recv(1):
                    return
            except TimeoutError:
                continue


def test_an_answer_that_never_ends_is_given_up() -> None:
    started = monotonic()
    with listener(drip) as port:
        found = probe("app.example.com", HERE, port=port, ca_pem=ROOT.pem, timeout=0.8)

    assert "within 0.8 s" in found.problem
    assert found.tls_version == "TLSv1.3"
    assert monotonic() - started < 3
