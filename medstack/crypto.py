"""Encrypt text at rest with the field keys; the first key encrypts, all of them decrypt."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction


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


def encrypt_anew() -> Iterator[tuple[str, int]]:
    """Encrypt everything at rest with the first key; yield each model and how many rows it had.

    Safe to run any number of times, also while the console works: each row is locked meanwhile.
    """
    for model in apps.get_models():
        fields = [one.name for one in model._meta.fields if isinstance(one, EncryptedTextField)]
        if model._meta.label == "mfa.Authenticator":
            fields.append("data")
        if fields:
            yield str(model._meta.verbose_name_plural), renewed(model, fields)


def renewed(model: type[models.Model], fields: list[str]) -> int:
    """Write the fields of all rows that hold something again; return how many rows there were."""
    rows, count = model._base_manager.all(), 0
    holding = models.Q()
    for field in fields:
        holding |= ~models.Q(**{field: ""})
    for pk in rows.filter(holding).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            for row in rows.select_for_update().filter(pk=pk):
                if "data" in fields:
                    row.data = turned(row.data)  # type: ignore[attr-defined]
                row.save(update_fields=fields)
                count += 1
    return count


def turned(value: Any) -> Any:
    """Return JSON in which every encrypted text is encrypted with the first key."""
    if isinstance(value, dict):
        return {name: turned(part) for name, part in value.items()}
    if isinstance(value, list):
        return [turned(part) for part in value]
    try:
        return cipher().rotate(value.encode()).decode() if isinstance(value, str) else value
    except InvalidToken:
        # A passkey's name, for example.
        return value
