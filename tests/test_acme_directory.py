"""Where the console connects on behalf of people, and which ACME directories it takes."""

import json
import socket
from collections.abc import Iterator

import pytest

from clusters.ingress.lookups import directory_problem, probe
from clusters.reach import forbidden
from tests.authorities import issue
from tests.outside import Answer, NameServer, listener, name_server, say_nothing, site

HERE = "127.0.0.1"
ROOT = issue("Test Root", authority=True)
DIRECTORY = {
    name: f"https://acme.example.com/{name}" for name in ("newNonce", "newAccount", "newOrder")
}
ACME = issue("acme", by=ROOT, domains=("acme.example.com",))


@pytest.fixture
def names() -> Iterator[NameServer]:
    records = {
        ("acme.example.com.", "A"): [HERE],
        ("metadata.example.com.", "A"): ["192.0.2.9", "169.254.169.254"],
    }
    with name_server(records) as server:
        yield server


@pytest.mark.parametrize(
    ("address", "is_private"),
    [
        ("127.0.0.1", True),
        ("10.0.0.1", True),
        ("192.168.1.1", True),
        ("100.64.0.1", True),
        ("::1", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("1.1.1.1", False),
        ("2606:4700::1", False),
    ],
)
def test_private_addresses_are_asked_only_where_that_is_allowed(
    address: str, is_private: bool
) -> None:
    assert forbidden(address, allow_private=False) is is_private
    assert not forbidden(address, allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "240.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
    ],
)
def test_metadata_and_other_special_addresses_are_never_asked(address: str) -> None:
    assert forbidden(address, allow_private=True)
    assert probe("app.example.com", address).problem == f"{address} is no address to connect to"


def judged(names: NameServer, answer: Answer, *, url: str = "", ca_pem: str = ROOT.pem) -> str:
    with site(answer, ACME) as port:
        return directory_problem(
            url or f"https://acme.example.com:{port}/dir?a=1",
            ca_pem=ca_pem,
            allow_private=True,
            server=names.address,
        )


def test_a_good_directory_has_no_problem(names: NameServer) -> None:
    answer = Answer(body=json.dumps(DIRECTORY).encode())

    assert judged(names, answer) == ""
    host, path = answer.asked[0]
    assert host.startswith("acme.example.com:")
    assert path == "/dir?a=1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(404), "status 404"),
        (Answer(302, {"Location": "http://169.254.169.254/"}), "redirects"),
        (Answer(body=b"<html>"), "no ACME directory"),
        (Answer(body=b"[]"), "no ACME directory"),
        (Answer(body=b"[" * 50_000), "no ACME directory"),
        (Answer(body=b"\xff"), "no ACME directory"),
        (Answer(body=b'{"newNonce": "https://a"}'), "no ACME directory"),
        (Answer(body=json.dumps(DIRECTORY | {"newOrder": 1}).encode()), "no ACME directory"),
        (Answer(body=json.dumps(DIRECTORY).encode() + b" " * 70_000), "no ACME directory"),
    ],
)
def test_what_is_no_directory_is_told(names: NameServer, answer: Answer, words: str) -> None:
    assert words in judged(names, answer)


def test_a_directory_whose_certificate_is_unknown_is_not_trusted(names: NameServer) -> None:
    answer = Answer(body=json.dumps(DIRECTORY).encode())

    assert "unknown authority" in judged(names, answer, ca_pem="")
    assert "CA's certificate cannot be read" in judged(names, answer, ca_pem="nonsense")
    assert answer.asked == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://acme.example.com/dir", "begins with https://"),
        ("ftp://acme.example.com/dir", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("acme.example.com", "begins with https://"),
        ("https://", "no URL"),
        ("https://[::1", "no URL"),
        ("https://acme.example.com:70000/", "no URL"),
        ("https://acme.example.com/a b", "no URL"),
        ("https://acme.example.com/a\r\nHost: b", "no URL"),
        ("https://user:pass@acme.example.com/", "no user name"),
        ("https://unknown.example.com/", "does not resolve"),
        ("https://metadata.example.com/", "169.254.169.254"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
        ("https://[fe80::1]/", "fe80::1"),
        ("https://[::ffff:169.254.169.254]/", "does not connect"),
        ("https://0.0.0.0/", "does not connect"),
    ],
)
def test_a_directorys_url_is_judged_before_it_is_asked(
    names: NameServer, url: str, words: str
) -> None:
    assert words in judged(names, Answer(), url=url)


@pytest.mark.parametrize("host", ["acme.example.com", HERE, "localhost"])
def test_a_private_directory_needs_permission(names: NameServer, host: str) -> None:
    answer = Answer(body=json.dumps(DIRECTORY).encode())
    with site(answer, ACME) as port:
        problem = directory_problem(
            f"https://{host}:{port}/dir",
            ca_pem=ROOT.pem,
            server="" if host == "localhost" else names.address,
        )

    assert problem.endswith("which the console does not connect to.")
    assert answer.asked == []


def test_a_silent_directory_is_given_up(names: NameServer) -> None:
    with listener(say_nothing) as port:
        problem = directory_problem(
            f"https://acme.example.com:{port}/",
            timeout=0.5,
            allow_private=True,
            server=names.address,
        )

    assert problem == "The ACME directory did not answer within 0.5 s."


def test_a_directory_where_nothing_listens_is_told(names: NameServer) -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    url = f"https://acme.example.com:{port}/"

    problem = directory_problem(url, allow_private=True, server=names.address)

    assert problem == "Nothing answers at the ACME directory's address."


def test_a_directory_is_not_judged_without_a_name_server(names: NameServer) -> None:
    names.silent = ("acme.example.com.",)

    problem = directory_problem("https://acme.example.com/", timeout=0.4, server=names.address)

    assert problem.startswith("The ACME directory's host could not be looked up")
