"""Sign evidence with Ed25519, and find out what is wrong with a file.

The last line of every file is its seal; all that stands before it is what was signed. The seal
looks like a comment of the file's own format, so that spreadsheets, JSON and PDF readers take the
file as it is, and openssl alone verifies it: docs/evidence.md.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.conf import settings

from medstack.failures import Failure

BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
FIELDS = "medstack-evidence sha256={digest} key={key} signature={signature}"
# What stands around the fields, by format.
AROUND = {
    "csv": ("# ", ""),
    "json": ('"seal":"', '"}'),
    "pdf": ("% ", ""),
}
SEAL = re.compile(
    rb"medstack-evidence sha256=([0-9a-f]{64}) key=([0-9a-f]{64}) signature=([A-Za-z0-9+/]{86}==)"
)
# A seal is shorter; what is longer is none.
LONGEST = 512
PIECE = 1024 * 1024


class BadEvidence(Exception):
    """A file that is not what the console signed; the text says why."""


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies."""

    key: Ed25519PublicKey

    @cached_property
    def pem(self) -> str:
        """Return the key as openssl reads it."""
        form = PublicFormat.SubjectPublicKeyInfo
        return self.key.public_bytes(Encoding.PEM, form).decode()

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the key's DER form."""
        form = PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(self.key.public_bytes(Encoding.DER, form)).hexdigest()


@dataclass(frozen=True)
class SigningKeys:
    """The key that signs now, and those that verify."""

    current: Ed25519PrivateKey
    known: tuple[PublicKey, ...]

    @property
    def public(self) -> PublicKey:
        """Return the public half of the key that signs now."""
        return self.known[0]

    def seal(self, form: str, digest: str) -> tuple[bytes, str]:
        """Return the last line of a file with this digest, and the signature in it."""
        signature = base64.b64encode(self.current.sign(statement(digest))).decode()
        return line_of(form, digest, self.public.fingerprint, signature), signature


@dataclass(frozen=True)
class Verified:
    """What a file turned out to be: its format, its digest, and the key that signed it."""

    form: str
    digest: str
    key: PublicKey


def statement(digest: str) -> bytes:
    """Return what is signed for a file with this digest: a file of any size is signed at once."""
    return f"medstack-evidence:sha256:{digest}\n".encode()


def line_of(form: str, digest: str, key: str, signature: str) -> bytes:
    """Return a seal as the last line of a file."""
    before, after = AROUND[form]
    fields = FIELDS.format(digest=digest, key=key, signature=signature)
    return f"{before}{fields}{after}\n".encode()


def signing_keys(path: Path | None = None) -> SigningKeys:
    """Read the key file: its first key signs, all of them verify."""
    path = path or settings.SIGNING_KEY_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(
            f"The signing key {path} cannot be read ({error.strerror}). "
            "`python manage.py init_keys` creates it."
        ) from None
    private = [found for found in map(_private, _blocks(content)) if found]
    if not private:
        raise Failure(f"The signing key {path} holds no Ed25519 key in PEM.")
    return SigningKeys(private[0], tuple(PublicKey(key.public_key()) for key in private))


def public_keys(path: Path) -> tuple[PublicKey, ...]:
    """Read the public keys of a PEM file that somebody downloaded."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadEvidence(f"The key {path} cannot be read: {error.strerror}.") from None
    keys = tuple(PublicKey(key) for key in map(_public, _blocks(content)) if key)
    if not keys:
        raise BadEvidence(f"{path} holds no public Ed25519 key in PEM.")
    return keys


def verify(path: Path, keys: Iterable[PublicKey]) -> Verified:
    """Say what a file is, or raise BadEvidence with what is wrong with it."""
    try:
        with path.open("rb") as file:
            return _verify(file, {key.fingerprint: key for key in keys})
    except OSError as error:
        raise BadEvidence(f"{path} cannot be read: {error.strerror}.") from None


def _verify(file: BinaryIO, keys: dict[str, PublicKey]) -> Verified:
    """Verify an open file in pieces, however large it is."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - LONGEST))
    tail = file.read()
    at = tail.rfind(b"\n", 0, len(tail) - 1) + 1
    line = tail[at:]
    found = SEAL.search(line)
    if not found:
        raise BadEvidence(
            "There is no seal at its end: it was cut off, its download was broken off, "
            "or something was added."
        )
    written, fingerprint, signature = (part.decode() for part in found.groups())
    raw = base64.b64decode(signature)
    # One way to write a seal: nothing in it can be changed unseen.
    form = next((f for f in AROUND if line_of(f, written, fingerprint, signature) == line), "")
    if not form or base64.b64encode(raw).decode() != signature:
        raise BadEvidence("Its seal was changed.")
    key = keys.get(fingerprint)
    if key is None:
        raise BadEvidence(f"It was signed with another key: {fingerprint}.")
    digest = digest_of(file, size - len(line))
    if digest != written:
        raise BadEvidence("Its content was changed: it has not the digest that its seal names.")
    try:
        key.key.verify(raw, statement(digest))
    except InvalidSignature:
        raise BadEvidence("Its signature is wrong: the seal was not made with this key.") from None
    return Verified(form, digest, key)


def digest_of(file: BinaryIO, length: int) -> str:
    """Return the SHA-256 of the first bytes of a file."""
    file.seek(0)
    digest, left = hashlib.sha256(), length
    while left and (piece := file.read(min(PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()


def _blocks(content: bytes) -> list[bytes]:
    """Return the PEM blocks of a file."""
    return [found.group() + b"\n" for found in BLOCK.finditer(content)]


def _private(block: bytes) -> Ed25519PrivateKey | None:
    """Read a private key, if that is what it is."""
    try:
        key = load_pem_private_key(block, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _public(block: bytes) -> Ed25519PublicKey | None:
    """Read a public key, if that is what it is."""
    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None
