"""Read and judge certificates that people upload: chain, key and domains must fit together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

# Linear even on hostile text: a block ends at the first row of dashes.
BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(?:[^-]|-(?!----))*+-----END \1-----")
# What the extensions of a malformed certificate raise.
UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
WEAK_HASHES = ("md2", "md4", "md5", "sha1")
SMALLEST_RSA, SMALLEST_CURVE = 2048, 256
# Ordering compares every certificate with every other; real chains have two to four.
LONGEST_CHAIN = 10
LONGEST_TEXT = 100_000
LONGEST_NAME = 200


class InvalidCertificate(ValueError):
    """Say in plain words what is wrong, and in which field: the chain or the key."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


@dataclass(frozen=True)
class Chain:
    """A certificate with what signed it, leaf first; good while all of it is."""

    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    pem: str


def read_chain(pem: str) -> Chain:
    """Return what a chain says, in order; whether it is good now is not asked."""
    members = in_order(certificates_in(pem))
    return Chain(
        names=domains_of(members[0]),
        issuer=name_of(members[0].issuer),
        not_before=max(member.not_valid_before_utc for member in members),
        not_after=min(member.not_valid_after_utc for member in members),
        pem="".join(member.public_bytes(Encoding.PEM).decode() for member in members),
    )


def check_pair(chain_pem: str, key_pem: str, *, now: datetime) -> Chain:
    """Return the chain if it can serve TLS now with this key."""
    chain = read_chain(chain_pem)
    members = certificates_in(chain.pem)
    if not chain.names:
        raise InvalidCertificate(
            "chain",
            f"{title(members[0])} names no domain: it has no DNS name among its subject "
            "alternative names.",
        )
    check_purpose(members[0])
    for member in members:
        check_dates(member, now)
        check_strength(member, is_anchor=len(members) > 1 and member.subject == member.issuer)
    check_key(members, key_pem)
    return chain


def certificates_in(pem: str) -> list[x509.Certificate]:
    """Return the certificates of a text, each once."""
    if len(pem) > LONGEST_TEXT:
        raise InvalidCertificate("chain", "This is too long for a certificate chain.")
    blocks = list(BLOCK.finditer(pem))
    if any(block[1].endswith("PRIVATE KEY") for block in blocks):
        # The chain is stored where everybody may read it.
        raise InvalidCertificate("chain", "The chain holds a private key; it goes into its field.")
    texts = [block[0] for block in blocks if block[1].endswith("CERTIFICATE")]
    if not texts:
        raise InvalidCertificate(
            "chain", "There is no certificate in it: it begins with -----BEGIN CERTIFICATE-----."
        )
    try:
        found = [x509.load_pem_x509_certificate(text.encode()) for text in texts]
        # Parts are parsed when they are read; what is malformed shows here.
        _ = [(one.subject, one.issuer, one.not_valid_after_utc) for one in found]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidCertificate("chain", "A certificate in it cannot be read.") from None
    unique = list(dict.fromkeys(found))
    if len(unique) > LONGEST_CHAIN:
        raise InvalidCertificate("chain", f"A chain has at most {LONGEST_CHAIN} certificates.")
    return unique


def in_order(found: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return the certificates from leaf to root; each must have signed the one before."""
    leaves = [
        one for one in found if not any(signed(other, by=one) for other in found if other != one)
    ]
    # A self-signed certificate may be an authority and a leaf at once.
    ordered = [next((one for one in leaves if not is_authority(one)), (leaves or found)[0])]
    rest = [one for one in found if one != ordered[0]]
    while rest:
        last = ordered[-1]
        signer = next((one for one in rest if signed(last, by=one)), None)
        if signer is None:
            raise InvalidCertificate("chain", f"{title(rest[0])} did not sign {title(last)}.")
        if not is_authority(signer):
            raise InvalidCertificate(
                "chain", f"{title(signer)} signed {title(last)}, but is no authority's certificate."
            )
        ordered.append(signer)
        rest.remove(signer)
    return ordered


def signed(certificate: x509.Certificate, *, by: x509.Certificate) -> bool:
    """Say whether a certificate was signed with the key of another."""
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether a certificate may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def domains_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names that a certificate is good for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE:
        raise InvalidCertificate(
            "chain", f"The extensions of {title(certificate)} cannot be read."
        ) from None
    lower = (name.lower().removesuffix(".") for name in names.get_values_for_type(x509.DNSName))
    return tuple(dict.fromkeys(lower))


def check_purpose(leaf: x509.Certificate) -> None:
    """Refuse a certificate that browsers do not take from a server."""
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    allowed = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if not any(purpose in allowed for purpose in purposes):
        raise InvalidCertificate("chain", f"{title(leaf)} is not made for servers.")


def check_dates(certificate: x509.Certificate, now: datetime) -> None:
    """Refuse a certificate that is not good now."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        raise InvalidCertificate("chain", f"{title(certificate)} expired on {day(last)}.")
    if now < first:
        raise InvalidCertificate("chain", f"{title(certificate)} is not valid before {day(first)}.")


def check_strength(certificate: x509.Certificate, *, is_anchor: bool) -> None:
    """Refuse keys and signatures that can be broken; nobody checks an anchor's own signature."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA:
            raise InvalidCertificate(
                "chain",
                f"{title(certificate)} has an RSA key of {key.key_size} bits; "
                f"at least {SMALLEST_RSA} are needed.",
            )
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.key_size < SMALLEST_CURVE:
            raise InvalidCertificate("chain", f"{title(certificate)} has a weak key.")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidCertificate(
            "chain", f"{title(certificate)} has a key that is neither RSA nor elliptic curve."
        )
    weak = weak_hash(certificate)
    if weak and not is_anchor:
        raise InvalidCertificate(
            "chain", f"{title(certificate)} is signed with {weak}, which can be forged."
        )


def weak_hash(certificate: x509.Certificate) -> str:
    """Return the name of the hash under a weak signature."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "an unknown algorithm"
    weak = algorithm is not None and algorithm.name in WEAK_HASHES
    return algorithm.name.upper().replace("SHA1", "SHA-1") if algorithm and weak else ""


def check_key(members: Sequence[x509.Certificate], key_pem: str) -> None:
    """Refuse a key that does not belong to the leaf; errors never show any of it."""
    blocks = list(BLOCK.finditer(key_pem[:LONGEST_TEXT]))
    own = next((block for block in blocks if block[1].endswith("PRIVATE KEY")), None)
    if own is None:
        raise InvalidCertificate(
            "key", "There is no private key in it: it begins with -----BEGIN PRIVATE KEY-----."
        )
    if own[1].startswith("ENCRYPTED") or "Proc-Type: 4,ENCRYPTED" in own[0]:
        raise InvalidCertificate("key", "The key is encrypted; upload it without its password.")
    try:
        key = load_pem_private_key(own[0].encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidCertificate("key", "The key cannot be read.") from None
    wanted = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    owner = next((one for one in members if public_part(one) == wanted), None)
    if owner is None:
        raise InvalidCertificate("key", f"The key does not belong to {title(members[0])}.")
    if owner is not members[0]:
        raise InvalidCertificate(
            "key", f"The key belongs to {title(owner)}, not to {title(members[0])}."
        )


def public_part(certificate: x509.Certificate) -> bytes:
    """Return a certificate's public key; nothing when its kind is unknown."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def title(certificate: x509.Certificate) -> str:
    """Return how people recognise a certificate."""
    subject = name_of(certificate.subject)
    if not subject:
        try:
            subject = ", ".join(domains_of(certificate)[:2])
        except InvalidCertificate:
            subject = ""
    return f"“{subject or 'the certificate without a name'}”"


def name_of(name: x509.Name) -> str:
    """Return a subject or an issuer in a few words: its common name and its organisation."""
    common, organisation = part(name, NameOID.COMMON_NAME), part(name, NameOID.ORGANIZATION_NAME)
    both = f"{common} ({organisation})" if common and organisation else common or organisation
    return both[:LONGEST_NAME]


def part(name: x509.Name, kind: ObjectIdentifier) -> str:
    """Return one part of a name, as text that any page can show."""
    values = [str(attribute.value) for attribute in name.get_attributes_for_oid(kind)]
    return "".join(letter for letter in (values or [""])[0] if letter.isprintable()).strip()


def day(moment: datetime) -> str:
    """Return a date as pages show it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")
