"""Where the console is backed up, and the sheet that brings it back."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from backups.restic import Repository
from medstack.failures import Failure
from medstack.sheet import ConsoleSheet

KEYS = {
    "secret_key": "SECRET_KEY_FILE",
    "field_keys": "FIELD_KEYS_FILE",
    "signing_key": "SIGNING_KEY_FILE",
}
FIELDS = {"url", "password", "environment", "ca", "ssh_key", "ssh_host_key", "by_command"}


def configured() -> dict[str, Any]:
    """Return what MEDSTACK_CONSOLE_BACKUP_FILE holds."""
    if not settings.CONSOLE_BACKUP_FILE:
        raise Failure("MEDSTACK_CONSOLE_BACKUP_FILE does not say where the console is backed up.")
    try:
        found = json.loads(Path(settings.CONSOLE_BACKUP_FILE).read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"MEDSTACK_CONSOLE_BACKUP_FILE: {error}") from None
    repository_of(found)
    return dict(found)


def repository_of(values: Any) -> Repository:
    """Return the repository that such a file describes, or say what is wrong with it."""
    if not isinstance(values, dict) or not {"url", "password"} <= values.keys() <= FIELDS:
        known = ", ".join(sorted(FIELDS))
        raise Failure(f"The console's backups need url and password, and may have: {known}.")
    try:
        return Repository(**values)
    except (TypeError, ValueError) as error:
        raise Failure(f"The console's backups: {error}") from None


def sheet(now: datetime) -> ConsoleSheet:
    """Return the console's recovery sheet: its keys as they are now, and its repository."""
    keys = {name: Path(getattr(settings, setting)).read_text() for name, setting in KEYS.items()}
    backup = configured() if settings.CONSOLE_BACKUP_FILE else {}
    return ConsoleSheet(made=now.strftime("%Y-%m-%d %H:%M UTC"), keys=keys, backup=backup)


def fingerprints() -> list[str]:
    """Return digests of the field keys, by which a backup knows whether it can be read here."""
    return [hashlib.sha256(key.encode()).hexdigest()[:16] for key in settings.FIELD_KEYS]
