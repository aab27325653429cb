"""One long piece of restic's work in a process of its own, without Django (see long_run.py).

It reads what to do from its standard input, which no process list shows, and writes how it ended
into a file.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backups import restic

Json = dict[str, Any]


def work(order: Json) -> Json:
    """Do the work and return how it ended."""
    repository = restic.Repository(**order["repository"])
    is_over = clock(order["until"])
    try:
        # Only of the dead: whoever lives keeps us out.
        restic.unlock(repository)
        if order["work"] == "check":
            return checked(repository, (order["part"], order["parts"]), is_over)
        if order["work"] == "empty":
            found = restic.snapshots(repository, despite_damage=True, timeout=None)
            restic.forget(repository, [one.id for one in found], cancelled=is_over)
        restic.prune(repository, cancelled=is_over)
        return {"error": "", "size": size(repository, is_over)}
    except restic.ResticError as error:
        return {"error": str(error), "kind": type(error).__name__}
    except Exception as error:  # noqa: BLE001 (nobody else would ever hear of it)
        return {"error": f"Unexpected error ({type(error).__name__}).", "kind": "Unexpected"}


def clock(until: float) -> Callable[[], bool]:
    """Say whether the time is over at which others want the repository."""
    return lambda: time.time() >= until


def checked(repository: restic.Repository, subset: tuple[int, int], is_over: Any) -> Json:
    """Read a part back; if anything is damaged, name the snapshots that need it.

    Raise ResticError where that could not be found out: then nothing is known, good or bad.
    """
    error, lost = "", set()
    try:
        restic.check(repository, subset=subset, cancelled=is_over)
    except restic.Damaged as damaged:
        error = str(damaged)
        lost = restic.lost_snapshots(repository, damaged.findings, cancelled=is_over)
    listed = restic.snapshots(repository, despite_damage=True, timeout=None)
    return {
        "error": error,
        "kind": "Damaged" if error else "",
        "lost": sorted(lost),
        "listed": [one.id for one in listed],
        "size": size(repository, is_over),
    }


def size(repository: restic.Repository, is_over: Callable[[], bool]) -> int:
    """Return the bytes that a repository takes."""
    if repository.url.startswith("/"):
        files = Path(repository.url).rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())
    return restic.stats(repository, stored=True, timeout=None, cancelled=is_over).bytes


def write(path: Path, state: Json) -> None:
    """Write the state at once or not at all."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(state))
    unfinished.rename(path)


if __name__ == "__main__":
    ordered: Json = json.loads(sys.stdin.read())
    write(Path(ordered["path"]), {"result": work(ordered)})
