"""Making repositories, and putting snapshots into them."""

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from backups.restic.errors import NoRepository, NotFound, ResticFailed
from backups.restic.process import SHORT, Source, lines, never
from backups.restic.repository import Repository
from backups.restic.running import output

# The snapshot was made, but some files could not be read.
INCOMPLETE = 3
# What went well in the end, is only about the cache, or was said by the program behind SSH: where
# that fails, restic says so in words of its own.
PASSED = re.compile(
    r"retrying after|^unable to open cache|^Warning: at least one source file|^rclone: "
)


@dataclass(frozen=True)
class Progress:
    """How far a run has come; the totals grow while restic still counts."""

    percent: float
    bytes: int
    total_bytes: int
    files: int = 0
    total_files: int = 0


@dataclass(frozen=True)
class Summary:
    """What a backup has stored.

    restic 0.14 shortens the id to eight digits; `snapshots` has it whole. `unread` says what could
    not be read: then the snapshot exists, but is not complete.
    """

    snapshot_id: str
    files: int
    bytes: int
    added_bytes: int
    new_files: int
    changed_files: int
    unread: tuple[str, ...] = ()


def initialise(repository: Repository, *, timeout: float = SHORT) -> None:
    """Make an empty repository; one that exists already is not touched, and is an error."""
    for _ in output(repository, ["init"], timeout=timeout):
        pass


def exists(
    repository: Repository, *, timeout: float = SHORT, cancelled: Callable[[], bool] = never
) -> bool:
    """Say whether a repository is there, and the password its own (else WrongPassword)."""
    command = ["cat", "--no-lock", "config"]
    try:
        for _ in output(repository, command, timeout=timeout, cancelled=cancelled):
            pass
    except NoRepository:
        return False
    return True


def backup(
    repository: Repository,
    paths: Sequence[str | os.PathLike[str]],
    *,
    host: str,
    tags: Iterable[str] = (),
    on_progress: Callable[[Progress], object] | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> Summary:
    """Store files and folders as one snapshot."""
    named = [os.path.abspath(path) for path in paths]
    # restic skips what is missing, and calls that a success as long as anything is there.
    missing = [path for path in named if not os.path.lexists(path)]
    if missing or not named:
        raise NotFound(f"Not there to be backed up: {', '.join(missing) or 'nothing was named'}.")
    command = ["backup", "--json", *labels(host, tags), "--", *named]
    return saved(repository, command, on_progress=on_progress, timeout=timeout, cancelled=cancelled)


def backup_stdin(
    repository: Repository,
    stream: Source,
    filename: str,
    *,
    host: str,
    tags: Iterable[str] = (),
    on_progress: Callable[[Progress], object] | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> Summary:
    """Store a stream as one file of a snapshot; if reading it raises, nothing is stored."""
    named = ["--stdin", f"--stdin-filename={filename}"]
    command = ["backup", "--json", *labels(host, tags), *named]
    return saved(
        repository,
        command,
        on_progress=on_progress,
        source=stream,
        timeout=timeout,
        cancelled=cancelled,
    )


def labels(host: str, tags: Iterable[str]) -> list[str]:
    """Return the options that name a snapshot."""
    tags = list(tags)
    if not host or any(not tag or "," in tag for tag in tags):
        raise ValueError("A snapshot needs a host, and tags without commas.")
    return [f"--host={host}", *(f"--tag={tag}" for tag in tags)]


def saved(
    repository: Repository,
    command: Sequence[str],
    *,
    on_progress: Callable[[Progress], object] | None,
    timeout: float | None,
    cancelled: Callable[[], bool],
    source: Source | None = None,
) -> Summary:
    """Run a backup to its end and return what it says about itself."""
    words: list[str] = []
    found: dict[str, Any] | None = None
    chunks = output(
        repository,
        command,
        words=words,
        accept=(0, INCOMPLETE),
        source=source,
        timeout=timeout,
        cancelled=cancelled,
    )
    for line in lines(chunks):
        said = message(line)
        if said.get("message_type") == "status" and on_progress:
            on_progress(progress(said))
        elif said.get("message_type") == "summary":
            found = said
    if not found or not found.get("snapshot_id"):
        raise ResticFailed(repository.hide(f"restic made no snapshot: {' '.join(words[-3:])}"))
    return Summary(
        snapshot_id=found["snapshot_id"],
        files=found["total_files_processed"],
        bytes=found["total_bytes_processed"],
        added_bytes=found["data_added"],
        new_files=found["files_new"],
        changed_files=found["files_changed"],
        unread=tuple(repository.hide(line) for line in words if unread(line)),
    )


def unread(line: str) -> bool:
    """Say whether a line of a backup's errors is about a file that it leaves out."""
    return bool(line.strip()) and not PASSED.search(line)


def message(line: str) -> dict[str, Any]:
    """Return what a line of restic's JSON says; nothing if it is none."""
    if not line.startswith("{"):
        return {}
    said: dict[str, Any] = json.loads(line)
    return said


def progress(said: dict[str, Any]) -> Progress:
    """Return restic's status as ours; it leaves zeros out."""
    return Progress(
        percent=min(100.0, 100 * float(said.get("percent_done", 0))),
        bytes=int(said.get("bytes_done", said.get("bytes_restored", 0))),
        total_bytes=int(said.get("total_bytes", 0)),
        files=int(said.get("files_done", said.get("files_restored", 0))),
        total_files=int(said.get("total_files", 0)),
    )
