"""Create the keys of a new installation: secret key, field keys and signing key."""

import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Create the key files that are missing; existing ones are never touched.

    With --new-field-key, put a new key before the others; `encrypt_anew` then makes use of it.
    """

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer to begin a rotation."""
        parser.add_argument(
            "--new-field-key", action="store_true", help="put a new field key before the others"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write each missing key so that only its owner can read it."""
        keys = {
            settings.SECRET_KEY_FILE: secrets.token_urlsafe(64),
            settings.FIELD_KEYS_FILE: Fernet.generate_key().decode(),
            settings.SIGNING_KEY_FILE: signing_key(),
        }
        for path, key in keys.items():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(handle, "w") as file:
                file.write(key + "\n")
            self.stdout.write(f"Created {path}")
        if options["new_field_key"]:
            put_before(settings.FIELD_KEYS_FILE, Fernet.generate_key().decode())
            self.stdout.write(f"A new key is the first in {settings.FIELD_KEYS_FILE}")


def put_before(path: Path, key: str) -> None:
    """Put a key before those in a file; a crash leaves the old file or the new one, never half."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{key}\n{path.read_text()}")
        file.flush()
        os.fsync(file.fileno())
    owner = path.stat()
    os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.replace(path)


def signing_key() -> str:
    """Return a new Ed25519 key in PEM, as openssl reads it."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
