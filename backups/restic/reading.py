"""Looking into a repository."""

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backups.restic.errors import Damaged, NotFound, damage
from backups.restic.process import SHORT, lines, never
from backups.restic.repository import Repository
from backups.restic.running import output
from backups.restic.saving import message

SNAPSHOT_ID = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a repository."""

    id: str
    time: datetime
    host: str
    paths: tuple[str, ...]
    tags: tuple[str, ...]
    # SHA-256 over names, attributes and contents of everything in it.
    tree: str = ""


@dataclass(frozen=True)
class Entry:
    """One file, folder or other thing of a snapshot; bytes that are no UTF-8 show as �."""

    path: str
    kind: str
    size: int
    # Of the usual bits, set-user-id and sticky among them.
    mode: int
    uid: int
    gid: int
    modified: datetime
    # Where a link leads; restic 0.14 does not say it.
    target: str = ""


@dataclass(frozen=True)
class Stats:
    """How much there is: as restored or, for `stored`, as encrypted in the repository."""

    bytes: int
    files: int
    snapshots: int


def snapshots(
    repository: Repository,
    *,
    tags: Iterable[str] = (),
    despite_damage: bool = False,
    timeout: float | None = SHORT,
    cancelled: Callable[[], bool] = never,
) -> list[Snapshot]:
    """Return the snapshots that have all these tags, the oldest first.

    Raise Damaged if some cannot be read, which restic itself takes for a success; return the
    others `despite_damage`.
    """
    words: list[str] = []
    wanted = ",".join(tags)
    command = ["snapshots", "--json", *([f"--tag={wanted}"] if wanted else [])]
    found = output(repository, command, words=words, timeout=timeout, cancelled=cancelled)
    rows = json.loads(b"".join(found) or b"null") or []
    lost = damage([repository.hide(line) for line in words])
    if lost and not despite_damage:
        raise Damaged(f"The repository is damaged. restic snapshots: {'; '.join(lost)}", lost)
    return sorted((snapshot(row) for row in rows), key=lambda one: one.time)


def snapshot(row: dict[str, Any]) -> Snapshot:
    """Return restic's snapshot as ours."""
    return Snapshot(
        id=row["id"],
        time=datetime.fromisoformat(row["time"]),
        host=row.get("hostname", ""),
        paths=tuple(row["paths"]),
        tags=tuple(row.get("tags") or ()),
        tree=row.get("tree", ""),
    )


def listing(
    repository: Repository,
    snapshot_id: str,
    path: str = "/",
    *,
    recursive: bool = False,
    timeout: float | None = SHORT,
    cancelled: Callable[[], bool] = never,
) -> Iterator[Entry]:
    """Yield what a folder of a snapshot holds, as it comes; a file yields itself."""
    deep = ["--recursive"] if recursive else []
    command = ["ls", "--json", *deep, "--", identified(snapshot_id), path]
    seen = path == "/"
    chunks = output(repository, command, timeout=timeout, cancelled=cancelled)
    for line in lines(chunks):
        row = message(line)
        if "type" not in row or "path" not in row:
            continue
        seen = True
        if row["path"] != path or row["type"] != "dir":
            yield entry(row)
    # restic says nothing and is content.
    if not seen:
        raise NotFound(f"Snapshot {snapshot_id} has no {path}.")


def entry(row: dict[str, Any]) -> Entry:
    """Return restic's node as ours."""
    return Entry(
        path=row["path"],
        kind=row["type"],
        size=row.get("size", 0),
        mode=bits(row.get("mode", 0)),
        uid=row.get("uid", 0),
        gid=row.get("gid", 0),
        modified=datetime.fromisoformat(row["mtime"]),
        target=row.get("linktarget", ""),
    )


def bits(mode: int) -> int:
    """Return the usual bits of a mode that Go counts in its own way."""
    special = ((1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000))
    return mode & 0o777 | sum(usual for go, usual in special if mode & go)


def dump(
    repository: Repository,
    snapshot_id: str,
    path: str,
    *,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> Generator[bytes, None, None]:
    """Yield the bytes of a file (of a folder: as a tar archive); raise if they are not all.

    Nothing runs before the first bytes are asked for, nor after the generator is closed.
    """
    command = ["dump", "--", identified(snapshot_id), path]
    for chunk in output(repository, command, timeout=timeout, cancelled=cancelled):
        if chunk:
            yield chunk


def stats(
    repository: Repository,
    snapshot_id: str = "",
    *,
    stored: bool = False,
    timeout: float | None = SHORT,
    cancelled: Callable[[], bool] = never,
) -> Stats:
    """Return the size of a snapshot, or of all."""
    mode = "raw-data" if stored else "restore-size"
    chosen = ["--", identified(snapshot_id)] if snapshot_id else []
    command = ["stats", "--json", f"--mode={mode}", *chosen]
    said = json.loads(
        b"".join(output(repository, command, timeout=timeout, cancelled=cancelled)) or b"{}"
    )
    return Stats(
        bytes=said.get("total_size", 0),
        files=said.get("total_file_count", 0),
        snapshots=said.get("snapshots_count", 0),
    )


def identified(snapshot_id: str) -> str:
    """Return the id if it is one; "latest" and short prefixes could mean another tomorrow."""
    if not SNAPSHOT_ID.fullmatch(snapshot_id):
        raise NotFound(f"“{snapshot_id}” is not the id of a snapshot.")
    return snapshot_id
