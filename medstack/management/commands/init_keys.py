"""Create the keys of a new installation: secret key, field keys and signing key."""

import os
import secrets
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Create the key files that are missing; existing ones are never touched."""

    help = __doc__
    requires_system_checks = ()

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


def signing_key() -> str:
    """Return a new Ed25519 key in PEM, as openssl reads it."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
