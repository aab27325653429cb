"""The certificate of the repository server, and the authority that nodes trust for it."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS, SERVER_DAYS = 3650, 397
RENEW_BEFORE = timedelta(days=30)
AUTHORITY, SERVER = "authority", "server"


def ensure(folder: Path, names: Iterable[str]) -> Path:
    """Make what is missing or about to expire; return the path of the authority's certificate.

    The server's certificate is renewed when it expires within a month or lacks a name; the
    authority stays, for every node knows it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = sorted(set(names))
    authority = folder / f"{AUTHORITY}.crt"
    if not authority.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write(folder, AUTHORITY, key, signed_by_itself(key))
    if not is_good(folder / f"{SERVER}.crt", wanted):
        issue(folder, wanted)
    return authority


def signed_by_itself(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return the authority's own certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MedStack repository authority")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def issue(folder: Path, names: list[str]) -> None:
    """Issue the server's certificate for all its names and addresses."""
    authority = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.crt").read_bytes())
    issuer = serialization.load_pem_private_key((folder / f"{AUTHORITY}.key").read_bytes(), None)
    assert isinstance(issuer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MedStack repository")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=SERVER_DAYS))
        .add_extension(x509.SubjectAlternativeName([general(name) for name in names]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(issuer, hashes.SHA256())
    )
    write(folder, SERVER, key, certificate)


def general(name: str) -> x509.GeneralName:
    """Return a name or an address as certificates hold it."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def is_good(path: Path, names: list[str]) -> bool:
    """Say whether a certificate holds all these names for a while."""
    if not path.exists():
        return False
    found = x509.load_pem_x509_certificate(path.read_bytes())
    held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = found.not_valid_after_utc - datetime.now(UTC)
    return left > RENEW_BEFORE and all(general(name) in held for name in names)


def write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    """Write a key, for its owner only, and then the certificate."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / f"{name}.key"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
