"""Back the console up: its database, then what the backup says about itself."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from backups import restic
from backups.console import database, target
from backups.models import Repository, Snapshot
from backups.restic.process import Source
from backups.retention import reasons_to_keep
from backups.server import serving
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Company, Event, User
from medstack.models.events import SYSTEM

HOST = "console"
KIND, DATABASE = "kind:console", "kind:console-database"
FILE, MANIFEST = "database", "console.json"
# Written by the server of the embedded repositories once: every node trusts it by them.
AUTHORITY = ("authority.crt", "authority.key")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup of the console holds."""

    made: str
    vendor: str
    sha256: str
    bytes: int
    # Digests of the field keys without which nothing encrypted in it can be read.
    keys: list[str]
    migrations: list[str]
    counts: Mapping[str, int]
    authority: Mapping[str, str] = field(default_factory=dict, repr=False)


class Summed:
    """A source that is measured while it is read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.digest = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int) -> bytes:
        """Return the source's next bytes."""
        data = self.source.read(size)
        self.digest.update(data)
        self.bytes += len(data)
        return data


def back_up(now: datetime) -> Manifest:
    """Store the console as it is now; only what has its manifest counts as a backup."""
    if is_empty():
        raise Failure("This console has no company yet, so there is nothing to back up.")
    repository = target.repository_of(target.configured())
    if not restic.exists(repository):
        restic.initialise(repository)
    made = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    # Counted before: what comes while it is dumped can only add to it.
    described: dict[str, Any] = {"counts": counts(), "migrations": migrations()}
    with database.dumped() as source:
        summed = Summed(source)
        restic.backup_stdin(
            repository, summed, FILE, host=HOST, tags=[DATABASE, f"made:{made}"], timeout=None
        )
    manifest = Manifest(
        made=made,
        vendor=database.vendor(),
        sha256=summed.digest.hexdigest(),
        bytes=summed.bytes,
        keys=target.fingerprints(),
        authority=authority(),
        **described,
    )
    content = Content(json.dumps(asdict(manifest), sort_keys=True, indent=1).encode())
    restic.backup_stdin(repository, content, MANIFEST, host=HOST, tags=[KIND, f"made:{made}"])
    Event.objects.record(
        "console.backed_up",
        None,
        by=SYSTEM,
        company=None,
        after={"made": made, "bytes": manifest.bytes, "sha256": manifest.sha256},
    )
    return manifest


def is_empty() -> bool:
    """Say whether nothing is lost with this console.

    One that waits to be brought back is new and stores in the lost one's repository: its own backup
    would be the newest there, and would be restored instead.
    """
    return not Company.objects.exists()


class Content:
    """Bytes as a source."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        part, self.content = self.content[:size], self.content[size:]
        return part


def forget_old(now: datetime) -> int:
    """Forget what the snapshots' own retention would not keep; say how many backups that were."""
    repository = target.repository_of(target.configured())
    found = restic.snapshots(repository)
    taken = {made_of(one): one.time for one in found if KIND in one.tags}
    kept = reasons_to_keep(taken, now=now, zone=ZoneInfo(settings.POLICY_ZONE))
    # A database without its manifest is what a killed backup has left; the newest may be at work.
    newest = max((one.time for one in found), default=now)
    old = [
        one.id for one in found if made_of(one) and made_of(one) not in kept and one.time < newest
    ]
    if old:
        restic.forget(repository, old)
        restic.prune(repository)
    return len(taken.keys() - kept.keys())


def made_of(snapshot: restic.Snapshot) -> str:
    """Return which backup a part belongs to."""
    return next((tag[5:] for tag in snapshot.tags if tag.startswith("made:")), "")


def counts() -> dict[str, int]:
    """Return how much there is, for whoever compares what came back."""
    return {
        "companies": Company.objects.count(),
        "people": User.objects.count(),
        "clusters": Cluster.objects.count(),
        "repositories": Repository.objects.count(),
        "snapshots": Snapshot.objects.count(),
        "events": Event.objects.count(),
    }


def migrations() -> list[str]:
    """Return which migrations the database has seen."""
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def authority() -> dict[str, str]:
    """Return the authority of the embedded repositories' server, if it has one yet."""
    paths = [serving.inner() / name for name in AUTHORITY]
    if not all(path.exists() for path in paths):
        return {}
    try:
        return {path.name: path.read_text() for path in paths}
    except OSError as error:
        raise Failure(f"The repository server's authority cannot be read: {error}") from None
