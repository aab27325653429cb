"""Encrypt text at rest with the field keys; the first key encrypts, all of them decrypt."""

import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


@cache
def cipher() -> MultiFernet:
    """Return the cipher over all field keys, newest first."""
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])


class EncryptedTextField(models.TextField[str, str]):
    """Text that the database only ever holds encrypted; the empty text stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way to the database."""
        if not value:
            return ""
        return cipher().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str:
        """Decrypt on the way back."""
        if not value:
            return ""
        return cipher().decrypt(value.encode()).decode()


class EncryptedSerializer:
    """Write sessions encrypted: until it is confirmed, a new factor's secret stands in one."""

    def dumps(self, obj: Any) -> bytes:
        """Return a session as the database holds it."""
        return cipher().encrypt(json.dumps(obj, separators=(",", ":")).encode())

    def loads(self, data: bytes) -> Any:
        """Read a session back."""
        return json.loads(cipher().decrypt(data))
