"""Getting files back."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backups.restic.errors import NotFound
from backups.restic.installed import version
from backups.restic.process import lines, never
from backups.restic.reading import identified, stats
from backups.restic.repository import Repository
from backups.restic.running import output
from backups.restic.saving import Progress, message, progress

WRITTEN = re.compile(r"^wchar: (\d+)$", re.MULTILINE)
MAGIC = re.compile(r"([\\*?\[])")


@dataclass
class Restoring:
    """A restore of a restic that says nothing: how much it has written, as its kernel counts."""

    total_bytes: int
    pid: int = 0

    def progress(self) -> Progress | None:
        """Return how far it has come, never quite 100 percent; None once it has ended."""
        try:
            found = WRITTEN.search(Path(f"/proc/{self.pid}/io").read_text())
        except OSError:
            return None
        written = int(found[1]) if found else 0
        percent = min(99.0, 100 * written / self.total_bytes) if self.total_bytes else 0.0
        return Progress(percent, min(written, self.total_bytes or written), self.total_bytes)


def restore(
    repository: Repository,
    snapshot_id: str,
    target: str | os.PathLike[str],
    *,
    include: Sequence[str] = (),
    size: int = 0,
    verify: bool = False,
    on_progress: Callable[[Progress], object] | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> None:
    """Write a snapshot's files below the target, under the whole paths that they came from.

    `include` names files and folders, from the root of the snapshot, and means no other; `size` is
    how many bytes these have, for a restic that does not say. Files that were sparse come back
    sparse from restic 0.15 on, and full of zeros from older ones.
    """
    if any(not path.startswith("/") for path in include):
        raise ValueError("What to restore is named from the root of the snapshot.")
    sparse = ["--sparse"] if version() >= (0, 15) else []
    chosen = ["--include=" + MAGIC.sub(r"\\\1", path) for path in include]
    checked = ["--verify"] if verify else []
    command = ["restore", "--json", *sparse, *checked, f"--target={os.fspath(target)}", *chosen]
    total = size
    if not total and on_progress and version() < (0, 16) and not include:
        total = stats(repository, snapshot_id, timeout=timeout, cancelled=cancelled).bytes
    watched = Restoring(total)
    chunks = output(
        repository,
        [*command, "--", identified(snapshot_id)],
        timeout=timeout,
        cancelled=cancelled,
        started=lambda pid: setattr(watched, "pid", pid),
    )
    for line in lines(chunks):
        said = message(line)
        if not on_progress:
            continue
        if said.get("message_type") == "status":
            on_progress(progress(said))
        elif version() < (0, 16) and (seen := watched.progress()):
            on_progress(seen)
    # restic restores nothing at all, and calls it a success.
    absent = [p for p in include if not os.path.lexists(os.path.join(target, p.strip("/")))]
    if absent:
        raise NotFound(f"Snapshot {snapshot_id} has no {', '.join(absent)}.")
    if on_progress:
        on_progress(Progress(100.0, total, total))
