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


def run(job: Job, tell: Tell) -> None:
    """Capture all volumes of a job, some at once; tell what became of each as it ends."""
    due = datetime.fromisoformat(job.values["due"])
    node, names = str(job.values["node"]), list(job.values["volumes"])
    counted = Counted(tell, len(names))

    def one(name: str) -> None:
        part = captured(job.repository, node, name, due, counted)
        counted.ended(name, part)
        tell(say("volume", part=plain(part)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in [pool.submit(one, name) for name in names]:
            ended.result()
    tell(say("done", volumes=len(names)))


def captured(
    repository: restic.Repository, node: str, name: str, due: datetime, counted: Counted
) -> VolumePart:
    """Put one volume into the repository, and say what became of it."""
    part = VolumePart(node=node, volume=name, state="failed", reason="-", started=now())
    labels = tags("volume", due, name)
    try:
        summary = patiently(
            lambda: restic.backup(
                repository,
                [path_of(name)],
                host=node,
                tags=labels,
                on_progress=lambda seen: counted.progress(name, seen),
                cancelled=STOPPED.is_set,
            )
        )
        found = patiently(lambda: newest(restic.snapshots(repository, tags=labels), summary))
    except (restic.ResticError, OSError) as error:
        return replace(part, reason=str(error), finished=now())
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
        finished=now(),
    )


def newest(found: Sequence[restic.Snapshot], summary: restic.Summary) -> restic.Snapshot:
    """Return the snapshot that a summary is about, with its whole id and its tree."""
    for one in reversed(found):
        if one.id.startswith(summary.snapshot_id):
            return one
    raise restic.NotFound(f"The repository does not list the new snapshot {summary.snapshot_id}.")


def now() -> datetime:
    """Return the present second."""
    return datetime.now(UTC).replace(microsecond=0)
