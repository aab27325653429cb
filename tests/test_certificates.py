"""Which uploaded certificates are taken, and what is said about the others."""

import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from clusters.ingress.certificates import Chain, InvalidCertificate, check_pair, read_chain
from tests.authorities import DAY, NOW, Signed, issue, short_rsa_key
from tests.strategies import ANY_TEXT

ROOT = issue("Northside Root", authority=True, last=NOW + 900 * DAY)
MIDDLE = issue("Northside Middle", by=ROOT, authority=True, last=NOW + 30 * DAY)
LEAF = issue("app", by=MIDDLE, domains=("App.example.com", "*.example.com"))
OTHER = issue("Other Root", authority=True)


def chain(*members: Signed) -> str:
    return "\n".join(member.pem for member in members)


def refusal(chain_pem: str, key_pem: str = LEAF.key_pem, now: datetime = NOW) -> InvalidCertificate:
    with pytest.raises(InvalidCertificate) as caught:
        check_pair(chain_pem, key_pem, now=now)
    shown = repr(caught.value) + str(caught.value.args)
    # No part of a key may reach a page or a log.
    for line in key_pem.splitlines():
        assert line.startswith("-----") or len(line) < 8 or line not in shown
    return caught.value


def refused_leaf(leaf: Signed) -> str:
    return str(refusal(chain(leaf, MIDDLE), leaf.key_pem))


def test_a_good_pair_is_described() -> None:
    found = check_pair(chain(LEAF, MIDDLE, ROOT), LEAF.key_pem, now=NOW)

    assert found == Chain(
        names=("app.example.com", "*.example.com"),
        issuer="Northside Middle (Northside Clinic)",
        not_before=NOW - DAY,
        # The intermediate ends first, and the chain with it.
        not_after=NOW + 30 * DAY,
        pem=LEAF.pem + MIDDLE.pem + ROOT.pem,
    )


@pytest.mark.parametrize(
    "shuffled",
    [(ROOT, LEAF, MIDDLE), (MIDDLE, ROOT, LEAF), (LEAF, ROOT, MIDDLE), (LEAF, LEAF, MIDDLE, ROOT)],
)
def test_a_shuffled_chain_is_put_in_order(shuffled: tuple[Signed, ...]) -> None:
    assert read_chain(chain(*shuffled)).pem == LEAF.pem + MIDDLE.pem + ROOT.pem


def test_words_around_the_certificates_do_not_matter() -> None:
    text = f"Bag Attributes\n  friendlyName: app\n{LEAF.pem}\r\n\n# the CA\n{MIDDLE.pem}"

    assert read_chain(text).pem == LEAF.pem + MIDDLE.pem


def test_a_self_signed_certificate_is_a_chain() -> None:
    alone = issue("app", domains=("app.example.com",))
    ca_too = issue("app", domains=("app.example.com",), authority=True)

    assert check_pair(alone.pem, alone.key_pem, now=NOW).names == ("app.example.com",)
    assert check_pair(ca_too.pem, ca_too.key_pem, now=NOW).names == ("app.example.com",)


def test_the_key_may_come_in_the_older_forms() -> None:
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    layout = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    old = LEAF.key.private_bytes(*layout).decode()

    assert "BEGIN EC PRIVATE KEY" in old
    assert check_pair(chain(LEAF, MIDDLE), parameters + old, now=NOW).names[0] == "app.example.com"


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----", LEAF.pem[:200]])
def test_a_chain_needs_a_certificate(text: str) -> None:
    error = refusal(text)

    assert error.field == "chain"
    assert "no certificate in it" in str(error)


def test_a_certificate_that_is_damaged_is_named_so() -> None:
    lines = LEAF.pem.splitlines()
    damaged = "\n".join([lines[0], *lines[2:]])

    assert "cannot be read" in str(refusal(damaged))


def test_a_private_key_in_the_chain_is_refused() -> None:
    error = refusal(chain(LEAF, MIDDLE) + LEAF.key_pem)

    assert error.field == "chain"
    assert "holds a private key" in str(error)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((LEAF, ROOT), "“Northside Root (Northside Clinic)” did not sign “app"),
        ((LEAF, MIDDLE, OTHER), "“Other Root (Northside Clinic)” did not sign “Northside Middle"),
        ((LEAF, issue("Northside Middle", by=ROOT, authority=True)), "did not sign “app"),
    ],
)
def test_every_member_must_have_signed_the_one_before(
    members: tuple[Signed, ...], words: str
) -> None:
    error = refusal(chain(*members))

    assert error.field == "chain"
    assert words in str(error)


def test_only_an_authority_may_sign() -> None:
    impostor = issue("plain", by=ROOT, domains=("plain.example.com",))
    leaf = issue("app", by=impostor, domains=("app.example.com",))

    assert "no authority" in str(refusal(chain(leaf, impostor), leaf.key_pem))


def test_an_expired_leaf_is_named_with_its_date() -> None:
    leaf = issue("app", by=MIDDLE, domains=("a.example.com",), last=NOW - DAY / 2)

    assert refused_leaf(leaf).endswith(f"expired on {(NOW - DAY / 2):%Y-%m-%d}.")


def test_an_expired_intermediate_is_named_with_its_date() -> None:
    middle = issue("Old Middle", by=ROOT, authority=True, first=NOW - 9 * DAY, last=NOW - 2 * DAY)
    leaf = issue("app", by=middle, domains=("a.example.com",))

    message = str(refusal(chain(leaf, middle), leaf.key_pem))

    assert message == f"“Old Middle (Northside Clinic)” expired on {(NOW - 2 * DAY):%Y-%m-%d}."


def test_a_chain_that_is_not_yet_valid_is_refused() -> None:
    leaf = issue("app", by=MIDDLE, domains=("a.example.com",), first=NOW + DAY)

    assert f"not valid before {(NOW + DAY):%Y-%m-%d}" in refused_leaf(leaf)


def test_a_short_rsa_key_is_refused() -> None:
    leaf = issue("app", by=MIDDLE, domains=("a.example.com",), key=short_rsa_key())

    assert "RSA key of 1024 bits; at least 2048" in refused_leaf(leaf)


@pytest.mark.parametrize(("digest", "name"), [("sha1", "SHA-1"), ("md5", "MD5")])
def test_a_weak_signature_is_refused(tmp_path: Path, digest: str, name: str) -> None:
    key = tmp_path / "key.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=app -days 9 -{digest}"
    names = ["-addext", "subjectAltName=DNS:app.example.com", "-keyout", str(key)]
    made = subprocess.run([*command.split(), *names], capture_output=True, text=True, check=True)

    error = refusal(made.stdout, key.read_text(), NOW + DAY)

    assert str(error) == f"“app” is signed with {name}, which can be forged."


def test_a_leaf_needs_a_domain() -> None:
    assert "names no domain" in refused_leaf(issue("app", by=MIDDLE))


def test_a_leaf_must_be_made_for_servers() -> None:
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH
    leaf = issue("app", by=MIDDLE, domains=("a.example.com",), purpose=purpose)

    assert "not made for servers" in refused_leaf(leaf)


@pytest.mark.parametrize(
    ("key_pem", "words"),
    [
        ("", "no private key in it"),
        (LEAF.pem, "no private key in it"),
        (OTHER.key_pem, "does not belong to “app (Northside Clinic)”"),
        (MIDDLE.key_pem, "belongs to “Northside Middle (Northside Clinic)”, not to “app"),
        (LEAF.locked_key_pem(), "is encrypted"),
        (LEAF.locked_key_pem(PrivateFormat.TraditionalOpenSSL), "is encrypted"),
        (LEAF.key_pem.replace("M", "A", 1), "cannot be read"),
    ],
)
def test_a_key_must_be_the_leafs_own(key_pem: str, words: str) -> None:
    error = refusal(chain(LEAF, MIDDLE), key_pem)

    assert error.field == "key"
    assert words in str(error)


def test_a_chain_has_a_largest_size() -> None:
    many = "".join(issue(f"ca{number}", authority=True).pem for number in range(11))

    assert "at most 10" in str(refusal(many))
    assert "too long" in str(refusal("-----BEGIN A-----\n" * 9000))


PIECES = st.sampled_from([LEAF.pem, MIDDLE.pem, LEAF.pem[:300], LEAF.pem[300:], LEAF.key_pem])


@given(st.lists(PIECES | ANY_TEXT | st.text("-BEGIN CRTF"), max_size=4).map("".join))
def test_whatever_is_uploaded_is_read_or_refused(text: str) -> None:
    try:
        check_pair(text, text, now=NOW)
    except InvalidCertificate as refused:
        error = refused
    else:
        error = InvalidCertificate("chain", "")
    assert error.field in ("chain", "key")
    assert len(str(error)) < 400
