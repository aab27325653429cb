"""Certificate authorities for tests: they sign what is asked, good or bad."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def locked_key_pem(self, layout: PrivateFormat = PrivateFormat.PKCS8) -> str:
        secret = BestAvailableEncryption(b"a password")
        return self.key.private_bytes(Encoding.PEM, layout, secret).decode()


@cache
def short_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def issue(
    name: str,
    *,
    by: Signed | None = None,
    domains: tuple[str, ...] = (),
    authority: bool = False,
    first: datetime = NOW - DAY,
    last: datetime = NOW + 90 * DAY,
    key: Key | None = None,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Signed:
    """Sign a certificate; without an authority, with its own key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Northside Clinic"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if domains:
        names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
        builder = builder.add_extension(names, critical=False)
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return Signed(builder.sign(by.key if by else key, hashes.SHA256()), key)
