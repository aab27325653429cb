"""Bring a console back from one of its backups, into a database that nobody has used yet."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from backups import restic
from backups.console import database, saving, target
from backups.console.saving import DATABASE, FILE, KIND, MANIFEST, Manifest
from backups.restic import Repository
from backups.server import serving
from medstack.failures import Failure
from medstack.models import Event, User
from medstack.models.events import SYSTEM


@dataclass(frozen=True)
class Backup:
    """One backup of the console: the snapshots of its parts."""

    made: str
    database: str
    manifest: str


def backups_in(repository: Repository) -> list[Backup]:
    """Return the backups of the console that are whole, the newest last."""
    found = restic.snapshots(repository, timeout=None)
    databases = {saving.made_of(one): one.id for one in found if DATABASE in one.tags}
    manifests = {saving.made_of(one): one.id for one in found if KIND in one.tags}
    both = sorted(databases.keys() & manifests.keys())
    return [Backup(made, databases[made], manifests[made]) for made in both]


def chosen(repository: Repository, made: str = "") -> Backup:
    """Return the backup of that moment, or the newest."""
    found = backups_in(repository)
    if not found:
        raise Failure("There is no backup of a console in this repository.")
    fitting = [one for one in found if one.made == made] if made else found[-1:]
    if not fitting:
        listed = ", ".join(one.made for one in found[-20:])
        raise Failure(f"There is no backup of {made}. The newest are: {listed}.")
    return fitting[0]


def restore(repository: Repository, backup: Backup, *, replace: bool = False) -> Manifest:
    """Put a backup in the place of this console's database and bring it up to this version."""
    manifest = read(repository, backup)
    refuse_what_cannot_be(manifest, replace=replace)
    database.load(verified(repository, backup, manifest))
    connection.close()
    # The backup may be of an older version.
    call_command("migrate", verbosity=0)
    put_authority_back(manifest)
    Event.objects.record(
        "console.restored", None, by=SYSTEM, company=None, after={"made": manifest.made}
    )
    return manifest


def read(repository: Repository, backup: Backup) -> Manifest:
    """Return what a backup says about itself."""
    content = b"".join(restic.dump(repository, backup.manifest, f"/{MANIFEST}"))
    try:
        return Manifest(**json.loads(content))
    except (TypeError, ValueError):
        raise Failure("The backup is of another version, which this one cannot read.") from None


def refuse_what_cannot_be(manifest: Manifest, *, replace: bool) -> None:
    """Refuse before anything is changed: another kind of database, other keys, a console in use."""
    if manifest.vendor != database.vendor():
        raise Failure(
            f"The backup is of a {manifest.vendor} database and this console has "
            f"{database.vendor()}: set DATABASE_URL."
        )
    if not set(manifest.keys) <= set(target.fingerprints()):
        raise Failure(
            "This console has other field keys than the one that was backed up, so nothing "
            "encrypted could be read. Put the keys of the recovery sheet in place first: "
            "manage.py init_keys --sheet FILE."
        )
    unknown = set(manifest.migrations) - known_migrations()
    if unknown:
        raise Failure(f"The backup is of a newer version: it has seen {min(unknown)}.")
    if not replace and is_in_use():
        raise Failure(
            "This console has people already. --replace takes everything away that it holds, "
            "its audit record as well."
        )


def known_migrations() -> set[str]:
    """Return the migrations that this version has, and those that they replaced."""
    loader = MigrationLoader(None)
    return {f"{app}.{name}" for app, name in loader.disk_migrations or {}}


def is_in_use() -> bool:
    """Say whether anybody has an account here; a database without tables has nobody."""
    try:
        return User.objects.exists()
    except DatabaseError:
        return False


def verified(repository: Repository, backup: Backup, manifest: Manifest) -> Iterator[bytes]:
    """Yield the database as it was stored; raise before its end where it is not the same."""
    digest, last = hashlib.sha256(), b""
    for chunk in restic.dump(repository, backup.database, f"/{FILE}"):
        digest.update(chunk)
        # One behind: who is given the last bytes has been given a whole database.
        if last:
            yield last
        last = chunk
    if digest.hexdigest() != manifest.sha256:
        raise Failure("The backup is damaged: its database is not the one that was stored.")
    yield last


def put_authority_back(manifest: Manifest) -> None:
    """Let the repository server be the one that nodes trust; it must be started again."""
    if not manifest.authority:
        return
    folder = serving.inner()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in manifest.authority.items():
        path = folder / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    (folder / "server.crt").unlink(missing_ok=True)
