"""Which snapshots a damaged repository has lost: from restic's words about packs to their ids."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from backups.restic.errors import Cancelled, ResticError, damage
from backups.restic.process import never
from backups.restic.reading import Snapshot, dump, snapshots
from backups.restic.repository import Repository
from backups.restic.running import output

IDENTITY = re.compile(r"\b[0-9a-f]{64}\b")
SHORT_PACK = re.compile(r"<data/([0-9a-f]{8,64})>")
# With more to say restic's words are cut: then each snapshot is read as a whole.
MOST_PACKS = 40
# Of whole ids, so that a command line stays far below the kernel's limit.
AT_ONCE = 1000
UNREADABLE = re.compile(
    r"unable to load tree|could not load|ciphertext|invalid data", re.IGNORECASE
)
# What lies in the cache of this machine proves nothing about the storage.
ITSELF = "--no-cache"


def lost_snapshots(
    repository: Repository,
    findings: Iterable[str],
    *,
    cancelled: Callable[[], bool] = never,
) -> set[str]:
    """Return the ids of the snapshots that cannot be restored as a whole.

    `findings` are the words of a check about what is damaged. Snapshots with one and the same tree
    hold the same and are looked at once.
    """
    said = list(findings)
    trees: dict[str, list[Snapshot]] = defaultdict(list)
    for one in snapshots(repository, despite_damage=True, timeout=None, cancelled=cancelled):
        trees[one.tree or one.id].append(one)
    try:
        blobs = blobs_of(repository, said, cancelled)
    except Cancelled:
        raise
    except ResticError:
        blobs = None
    lost = set()
    for same in trees.values():
        if blobs is None or len(said) >= MOST_PACKS:
            is_lost = not is_whole(repository, same[0].id, cancelled)
        else:
            is_lost = needs_any(repository, same[0].id, blobs, cancelled)
        if is_lost:
            lost |= {one.id for one in same}
    return lost


def blobs_of(
    repository: Repository, findings: Collection[str], cancelled: Callable[[], bool]
) -> list[str]:
    """Return the ids of the files' pieces in the packs that the findings name, by the index.

    Not by the packs' own headers, which may be what is damaged.
    """
    named = {found for line in findings for found in IDENTITY.findall(line)}
    short = tuple({found for line in findings for found in SHORT_PACK.findall(line)})
    blobs: dict[str, None] = {}
    for line in text(repository, ["list", "index"], cancelled).split():
        for pack in json.loads(text(repository, ["cat", "index", line], cancelled))["packs"]:
            is_named = pack["id"] in named or (short and pack["id"].startswith(short))
            for blob in pack["blobs"]:
                if blob["type"] == "data" and (is_named or blob["id"] in named):
                    blobs[blob["id"]] = None
    return list(blobs)


def needs_any(
    repository: Repository, identity: str, blobs: list[str], cancelled: Callable[[], bool]
) -> bool:
    """Say whether a snapshot needs any of these pieces, or its folders cannot be read."""
    # One that nothing has, so that the folders are walked also where only they are damaged.
    for start in range(0, max(1, len(blobs)), AT_ONCE):
        wanted = blobs[start : start + AT_ONCE] or ["0" * 64]
        command = ["find", "--json", ITSELF, "--blob", f"--snapshot={identity}", "--", *wanted]
        words: list[str] = []
        try:
            found = b"".join(
                output(repository, command, words=words, timeout=None, cancelled=cancelled)
            )
        except Cancelled:
            raise
        except ResticError:
            return True
        # restic says it among the answers, and calls that a success.
        said = [*found.decode(errors="replace").splitlines(), *words]
        if any(UNREADABLE.search(word) for word in said) or damage(words):
            return True
        if json.loads(found or b"[]"):
            return True
    return False


def is_whole(repository: Repository, identity: str, cancelled: Callable[[], bool]) -> bool:
    """Say whether all of a snapshot can be read, by reading it."""
    try:
        for _ in dump(repository, identity, "/", cancelled=cancelled):
            pass
    except Cancelled:
        raise
    except ResticError:
        return False
    return True


def text(repository: Repository, command: list[str], cancelled: Callable[[], bool]) -> str:
    """Return all that a command puts out."""
    return b"".join(output(repository, command, timeout=None, cancelled=cancelled)).decode()
