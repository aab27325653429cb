"""Inside a capture container: put the volumes that are mounted here into the repository."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from backups import restic
from backups.agent.messages import Job, say
from backups.agent.patience import patiently
from backups.agent.stopping import STOPPED
from backups.agent.tags import path_of, tags
from backups.canonical import plain
from backups.parts import VolumePart

Tell = Callable[[str], None]
# restic alone uses all processors while it hashes; a second one fills its waits for the network.
AT_ONCE = 2
EVERY = 1.0
# To list what is stored takes restic as long as a small volume: all are listed together in the end,
# but what has ended so long ago must not get lost if this container does.
LONGEST = 30.0


class Counted:
    """Add up how far all volumes of a container are, and tell it now and then."""

    def __init__(self, tell: Tell, total: int) -> None:
        self.tell, self.total = tell, total
        self.lock = threading.Lock()
        self.seen: dict[str, restic.Progress] = {}
        self.told = 0.0

    def progress(self, volume: str, seen: restic.Progress) -> None:
        """Take up how far one volume is."""
        with self.lock:
            self.seen[volume] = seen
            percent = sum(one.percent for one in self.seen.values()) / max(self.total, 1)
            done = sum(one.bytes for one in self.seen.values())
            total = sum(one.total_bytes for one in self.seen.values())
            # restic says it several times a second, and a day of that would fill a log.
            if time.monotonic() - self.told < EVERY and percent < 100:
                return
            self.told = time.monotonic()
        self.tell(say("progress", percent=round(percent, 1), bytes=done, total_bytes=total))

    def ended(self, volume: str, part: VolumePart) -> None:
        """Take up that one volume has ended."""
        self.progress(volume, restic.Progress(100.0, part.bytes, part.bytes))


class Told:
    """Tell what became of each volume, once the repository lists it."""

    def __init__(self, repository: restic.Repository, due: datetime, tell: Tell) -> None:
        self.repository, self.due, self.tell = repository, due, tell
        self.lock = threading.Lock()
        self.stored: list[tuple[VolumePart, restic.Summary]] = []
        self.listed = time.monotonic()

    def ended(self, part: VolumePart, summary: restic.Summary | None) -> None:
        """Take up what has ended; what was not stored needs no list."""
        if summary is None:
            self.tell(say("volume", part=plain(part)))
            return
        with self.lock:
            self.stored.append((part, summary))
            if time.monotonic() - self.listed < LONGEST:
                return
        self.all()

    def all(self) -> None:
        """List the repository, and tell of everything that was stored until now."""
        with self.lock:
            stored, self.stored = self.stored, []
            self.listed = time.monotonic()
        if not stored:
            return
        wanted = tags("volume", self.due)
        found: list[restic.Snapshot] = []
        problem = ""
        try:
            found = patiently(lambda: restic.snapshots(self.repository, tags=wanted))
        except restic.ResticError as error:
            problem = str(error)
        for part, summary in stored:
            self.tell(say("volume", part=plain(identified(part, summary, found, problem))))


def identified(
    part: VolumePart, summary: restic.Summary, found: Sequence[restic.Snapshot], problem: str
) -> VolumePart:
    """Return the part of a stored volume, with the whole id of its snapshot and its tree."""
    for one in found:
        if one.id.startswith(summary.snapshot_id) and f"volume:{part.volume}" in one.tags:
            return stored(part, summary, one)
    missing = f"The repository does not list the new snapshot {summary.snapshot_id}."
    return replace(part, reason=problem or missing)


def stored(part: VolumePart, summary: restic.Summary, found: restic.Snapshot) -> VolumePart:
    """Return the part of a volume that is in the repository, as a whole or not."""
    reason = ""
    if summary.unread:
        shown = "; ".join(summary.unread[:3])
        reason = f"{len(summary.unread)} of its files could not be read: {shown}"
    return replace(
        part,
        state="failed" if reason else "captured",
        reason=reason,
        snapshot=found.id,
        tree=found.tree,
        files=summary.files,
        bytes=summary.bytes,
        added_bytes=summary.added_bytes,
    )


def run(job: Job, tell: Tell) -> None:
    """Capture all volumes of a job, some at once, and tell what became of each."""
    due = datetime.fromisoformat(job.values["due"])
    node, names = str(job.values["node"]), list(job.values["volumes"])
    counted, told = Counted(tell, len(names)), Told(job.repository, due, tell)

    def one(name: str) -> None:
        part, summary = captured(job.repository, node, name, due, counted)
        counted.ended(name, part)
        told.ended(part, summary)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in [pool.submit(one, name) for name in names]:
            ended.result()
    told.all()
    tell(say("done", volumes=len(names)))


def captured(
    repository: restic.Repository, node: str, name: str, due: datetime, counted: Counted
) -> tuple[VolumePart, restic.Summary | None]:
    """Put one volume into the repository, and say what became of it."""
    part = VolumePart(node=node, volume=name, state="failed", reason="-", started=now())
    try:
        summary = patiently(
            lambda: restic.backup(
                repository,
                [path_of(name)],
                host=node,
                tags=tags("volume", due, name),
                on_progress=lambda seen: counted.progress(name, seen),
                cancelled=STOPPED.is_set,
            )
        )
    except (restic.ResticError, OSError) as error:
        return replace(part, reason=str(error), finished=now()), None
    return replace(part, finished=now()), summary


def now() -> datetime:
    """Return the present second."""
    return datetime.now(UTC).replace(microsecond=0)
