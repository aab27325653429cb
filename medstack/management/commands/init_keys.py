"""Create the secret key and the field keys of a new installation."""

import os
import secrets
from typing import Any

from cryptography.fernet import Fernet
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
