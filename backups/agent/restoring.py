"""Inside a container that has a volume mounted: bring a backup's files back, and compare them."""

import base64
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backups import restic
from backups.agent.messages import Job, Json, say
from backups.agent.patience import patiently
from backups.agent.tags import SECRETS, path_of
from clusters.engine import Conflict, Engine
from medstack.failures import Failure

Tell = Callable[[str], None]
# Room that a restore leaves, for file systems slow down when they are full.
RESERVE = 64 * 1024 * 1024
CACHE = "/cache"
SHOWN = 100
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "dev",
    stat.S_IFCHR: "chardev",
}


@dataclass
class Compared:
    """What a restored folder holds, and how it differs from its backup."""

    files: int = 0
    bytes: int = 0
    differences: list[str] = field(default_factory=list)

    def differs(self, what: str) -> None:
        """Note a difference."""
        self.differences.append(what)


def restore(job: Job, tell: Tell) -> None:
    """Write a backup into the volume that is mounted in its place, and count what is there."""
    began = time.monotonic()
    bring_back(job, tell, verify=bool(job.values.get("verify")))
    found = compared(job)
    refuse_differences(found)
    tell(say("done", files=found.files, bytes=found.bytes, seconds=since(began)))


def drill(job: Job, tell: Tell) -> None:
    """Restore into a scratch volume and compare every file; differences are the result."""
    began = time.monotonic()
    bring_back(job, tell, verify=True)
    took = since(began)
    found = compared(job)
    if job.values.get("tree"):
        known = patiently(lambda: restic.snapshots(job.repository))
        trees = {one.id: one.tree for one in known}
        if trees.get(job.values["snapshot"]) != job.values["tree"]:
            found.differs("The repository's snapshot is not the one that the manifest names.")
    result = {"files": found.files, "bytes": found.bytes, "seconds": took}
    tell(say("done", **result, differences=found.differences[:SHOWN]))


def bring_back(job: Job, tell: Tell, *, verify: bool) -> None:
    """Restore the files; whoever calls has mounted the volume under its original name.

    To `verify` means to read everything that was written once more.
    """
    values = job.values
    target = Path(path_of(values["volume"]))
    refuse_without_room(target, int(values["bytes"]), clear=bool(values.get("clear")))
    if values.get("clear"):
        empty(target)
    elif any(target.iterdir()):
        raise Failure("The volume is not empty.")

    def progress(seen: restic.Progress) -> None:
        percent = round(seen.percent, 1)
        tell(say("progress", percent=percent, bytes=seen.bytes, total_bytes=seen.total_bytes))

    patiently(
        lambda: restic.restore(
            job.repository,
            values["snapshot"],
            "/",
            include=[str(target)],
            size=int(values["bytes"]),
            verify=verify,
            on_progress=progress,
        )
    )


def refuse_without_room(target: Path, needed: int, *, clear: bool) -> None:
    """Refuse, before anything is touched, what would not fit."""
    free = free_at(target, clear=clear)
    if needed > free:
        raise Failure(
            f"There is not enough room on this node: {needed / 1e6:,.0f} MB are needed, and "
            f"{free / 1e6:,.0f} MB are free besides a reserve of {RESERVE / 1e6:,.0f} MB."
        )


def free_at(place: Path, *, clear: bool) -> int:
    """Return how many bytes may be written to a place, of which all may be cleared first."""
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize - RESERVE
    if clear:
        # What has several names is only free once.
        found = (one.lstat() for one in below(place))
        free += sum(one.st_blocks * 512 // one.st_nlink for one in found)
    return max(free, 0)


def room(job: Job, tell: Tell) -> None:
    """Say how much would fit: into the volume that is mounted, or where new ones are made."""
    values = job.values
    mounted = Path(path_of(values["volume"])) if values.get("clear") else Path(CACHE)
    tell(say("done", free=free_at(mounted, clear=bool(values.get("clear")))))


def empty(folder: Path) -> None:
    """Remove everything in a folder, but not the folder, for that is the mount."""
    for one in folder.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()


def compared(job: Job) -> Compared:
    """Compare what lies here with what the backup lists: names, kinds, sizes, modes and owners.

    That the contents are what was stored restic has checked while it wrote them: each piece is
    named by the digest of its content. A drill has restic read them again as well.
    """
    root = path_of(job.values["volume"])
    found = Compared()
    present = {str(path): path.lstat() for path in below(Path(root))}
    entries = restic.listing(
        job.repository, job.values["snapshot"], root, recursive=True, timeout=None
    )
    for entry in entries:
        here = present.pop(entry.path, None)
        if here is None:
            # restic shows a name that is no UTF-8 with a mark in its place.
            if "\ufffd" not in entry.path:
                found.differs(f"{entry.path} is missing.")
            continue
        compare(found, entry, here)
    for left in present:
        if left.isprintable() and left.isascii():
            found.differs(f"{left} is not in the backup.")
    for path in below(Path(root)):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            found.files += 1
            found.bytes += status.st_size
    return found


def compare(found: Compared, entry: restic.Entry, here: os.stat_result) -> None:
    """Note how one restored file differs from its entry in the backup."""
    kind = KINDS.get(stat.S_IFMT(here.st_mode), "?")
    if kind != entry.kind:
        found.differs(f"{entry.path} is a {kind}, not a {entry.kind}.")
        return
    if kind == "file" and here.st_size != entry.size:
        found.differs(f"{entry.path} has {here.st_size} bytes, not {entry.size}.")
    if kind != "symlink" and stat.S_IMODE(here.st_mode) != entry.mode:
        found.differs(f"{entry.path} has the mode {stat.S_IMODE(here.st_mode):o}.")
    if (here.st_uid, here.st_gid) != (entry.uid, entry.gid):
        found.differs(f"{entry.path} belongs to {here.st_uid}:{here.st_gid}.")


def below(root: Path) -> Iterator[Path]:
    """Yield everything below a folder; links are not followed."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield Path(folder) / name


def refuse_differences(found: Compared) -> None:
    """Let a restore fail whose result is not what was stored."""
    if found.differences:
        shown = " ".join(found.differences[:5])
        raise Failure(f"{len(found.differences)} things differ from the backup. {shown}")


def secrets(job: Job, engine: Engine, tell: Tell) -> None:
    """Create the Swarm secrets of a capture; those that exist already stay as they are."""
    created, present = [], []
    known = {item["Spec"]["Name"] for item in engine.secrets()}
    for wanted in job.values["secrets"]:
        name = str(wanted["Name"])
        if name in known:
            present.append(name)
            continue
        value = b"".join(restic.dump(job.repository, job.values["snapshot"], f"{SECRETS}/{name}"))
        body: Json = {**wanted, "Data": base64.b64encode(value).decode()}
        try:
            engine.post("/secrets/create", body=body, hide=[body["Data"]])
            created.append(name)
        except Conflict:
            present.append(name)
        tell(say("progress", percent=100 * len(created + present) / len(job.values["secrets"])))
    tell(say("done", created=created, present=present))


def since(began: float) -> int:
    """Return the whole seconds since a moment."""
    return round(time.monotonic() - began)
