"""A real repository with a short history in it, made once and copied for each test."""

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backups import opening, restic
from backups.models import Protection, Repository, Snapshot, VolumeBackup
from backups.restic import keys
from clusters.models import Cluster

# As long as a generated one, whose key opens quickly.
PASSWORD = "a-password-as-long-as-a-generated-one-is-here"
# Far ahead, so that no run on the real clock is over before it began.
NOW = datetime(2030, 6, 18, 12, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EXPIRED = datetime(2030, 4, 17, 9, tzinfo=UTC)
# One that no rule keeps, the final one of its month, and a new one.
DUES = (EXPIRED, EXPIRED + HOUR, NOW - HOUR)
LARGE = 1 << 20


@dataclass(frozen=True)
class Store:
    """A repository's folder, and restic's ids of a volume and a report for each due time."""

    folder: Path
    volumes: dict[datetime, str]
    reports: dict[datetime, str]


def empty_store(folder: Path) -> restic.Repository:
    """Make an empty repository there, as the product makes its own."""
    cache = {"RESTIC_CACHE_DIR": f"{folder}-cache"}
    repository = restic.Repository(str(folder), PASSWORD, environment=cache)
    restic.initialise(repository)
    keys.ease(folder, PASSWORD)
    return repository


def make_store(folder: Path) -> Store:
    """Store a volume, which is large the first time, and a report for each due time."""
    repository = empty_store(folder / "store")
    for number, _ in enumerate(DUES):
        for kind in ("volume", "report"):
            path = folder / kind
            path.write_bytes(os.urandom(LARGE if (kind, number) == ("volume", 0) else 1000))
            restic.backup(repository, [path], host="one", tags=[kind, str(number)])
    found = {one.tags: one.id for one in restic.snapshots(repository)}
    return Store(
        folder / "store",
        {due: found["volume", str(number)] for number, due in enumerate(DUES)},
        {due: found["report", str(number)] for number, due in enumerate(DUES)},
    )


def put(store: Store, cluster: Cluster, root: Path) -> Repository:
    """Give a cluster a copy of the store, with the rows of all that is in it."""
    row = Repository.objects.create(
        cluster=cluster, folder="f", password=PASSWORD, initialised_at=NOW
    )
    shutil.copytree(store.folder, root / "f")
    Protection.objects.create(cluster=cluster, since=NOW - 900 * DAY)
    for due in DUES:
        snapshot = Snapshot.objects.create(
            cluster=cluster,
            repository=row,
            due=due,
            state=Snapshot.State.COMPLETE,
            part_ids=[store.reports[due]],
            adopted_at=due,
        )
        VolumeBackup.objects.create(
            snapshot=snapshot,
            cluster=cluster,
            due=due,
            node_name="one",
            volume_name="data",
            state=VolumeBackup.State.CAPTURED,
            restic_id=store.volumes[due],
            finished_at=due,
        )
    return row


def size(row: Repository) -> int:
    """Return the bytes that a repository takes."""
    return sum(f.stat().st_size for f in opening.folder(row).rglob("*") if f.is_file())


def listed(row: Repository) -> set[str]:
    """Return the ids of what a repository lists."""
    return {file.name for file in (opening.folder(row) / "snapshots").iterdir()}


def backup_of(due: datetime) -> VolumeBackup:
    """Return the row of the volume at a due time."""
    return VolumeBackup.objects.select_related("snapshot").get(due=due)
