"""Create the keys of a new installation: secret key, field keys and signing key."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from medstack.sheet import BadSheet, parse_console

NAMES = ("secret_key", "field_keys", "signing_key")
# Of a sheet: what MEDSTACK_CONSOLE_BACKUP_FILE held.
BACKUP = "console_backup"


class Command(BaseCommand):
    """Create the key files that are missing; existing ones are never touched.

    With `--sheet` they are those of a console that was lost. With `--print` one key goes to the
    standard output instead, for a store of secrets other than files.
    With `--new-field-key`, put a new key before the others; `encrypt_anew` then makes use of it.
    """

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the sheet of a lost console, what to print, and whether to begin a rotation."""
        parser.add_argument("--sheet", type=Path, help="the console's recovery sheet; - reads it")
        parser.add_argument("--print", choices=(*NAMES, BACKUP), dest="printed", help="this alone")
        parser.add_argument(
            "--new-field-key", action="store_true", help="put a new field key before the others"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write each missing key so that only its owner can read it."""
        keys = keys_on(options["sheet"]) if options["sheet"] else new_keys()
        if options["printed"] == BACKUP and not options["sheet"]:
            raise CommandError("Only a sheet says where a console was backed up.")
        if options["printed"]:
            self.stdout.write(keys[options["printed"]])
            return
        for name, path in key_files().items():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(handle, "w") as file:
                file.write(keys[name].strip() + "\n")
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


def key_files() -> dict[str, Path]:
    """Return where each key stands."""
    return {
        "secret_key": settings.SECRET_KEY_FILE,
        "field_keys": settings.FIELD_KEYS_FILE,
        "signing_key": settings.SIGNING_KEY_FILE,
    }


def new_keys() -> dict[str, str]:
    """Return keys that nobody has yet."""
    return {
        "secret_key": secrets.token_urlsafe(64),
        "field_keys": Fernet.generate_key().decode(),
        "signing_key": signing_key(),
    }


def keys_on(path: Path) -> dict[str, str]:
    """Return the keys that a console's recovery sheet holds."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        sheet = parse_console(text)
    except (BadSheet, OSError) as error:
        raise CommandError(str(error)) from None
    found = {**sheet.keys, BACKUP: json.dumps(sheet.backup)}
    if missing := set(NAMES) - found.keys():
        raise CommandError(f"The sheet lacks {', '.join(sorted(missing))}.")
    return found


def signing_key() -> str:
    """Return a new Ed25519 key in PEM, as openssl reads it."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
