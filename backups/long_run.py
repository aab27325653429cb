"""Long work of restic on the console's side: in a process of its own, which steps only look at.

A step of an operation is short, and a worker may be killed; pruning or checking a large repository
takes hours. What is known of a run stands in a file, so any worker can look at it. While it runs it
locks everybody else out of the repository, so it makes room for each hour's snapshot.
"""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from backups import opening
from backups.models import Repository, Snapshot
from backups.restic_child import write
from backups.schedule import hour_of
from medstack.failures import Failure
from medstack.operations import Waiting

Json = dict[str, Any]
ATTEMPTS = 3
# Around each full hour the repository belongs to the agents.
BEFORE_THE_HOUR, AFTER_THE_HOUR = timedelta(minutes=2), timedelta(minutes=3)
# What passes by itself; the run is begun again after a while.
PASSING = {"Locked": 20, "Unreachable": 60, "Cancelled": 5}


def path_of(name: str) -> Path:
    """Return the file in which a run says how it is."""
    folder = Path(settings.STATE_DIR) / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"restic-{name}.json"


def follow(name: str, work: str, row: Repository, **values: int) -> Waiting | Json:
    """Start a run unless it goes on, and return what it says in the end.

    A run whose process died without a word is begun again, a few times; raise Failure after that.
    One that met a lock, no answer or the next full hour is begun again without counting. Whoever
    has noted the result calls `forget`.
    """
    path = path_of(name)
    state: Json = json.loads(path.read_text()) if path.exists() else {"attempts": 0}
    if "result" in state:
        result: Json = state["result"]
        if result.get("kind") in PASSING:
            path.unlink()
            return Waiting(result["error"], again_in=PASSING[result["kind"]])
        return result
    if "pid" in state and is_alive(state["pid"], state["born"]):
        return Waiting("restic works on the repository.", again_in=2)
    if state["attempts"] >= ATTEMPTS:
        path.unlink()
        raise Failure(f"restic died {ATTEMPTS} times while it worked on the repository.")
    now = timezone.now()
    if held_back := room_for_snapshot(row, now):
        return held_back
    order = {
        "work": work,
        "path": str(path),
        "repository": asdict(opening.for_console(row)),
        "until": (hour_of(now) + timedelta(hours=1) - BEFORE_THE_HOUR).timestamp(),
        **values,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "backups.restic_child"],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    known = {"pid": process.pid, "born": born(process.pid), "attempts": state["attempts"] + 1}
    # Before the child can write its end there.
    write(path, known)
    assert process.stdin
    # A child that died at once is noticed at the next look.
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()
    return Waiting("restic begins to work on the repository.", again_in=0.5)


def room_for_snapshot(row: Repository, now: datetime) -> Waiting | None:
    """Wait while a snapshot is being taken, and around the full hour, when the next one begins."""
    since = now - hour_of(now)
    if since < AFTER_THE_HOUR:
        left = AFTER_THE_HOUR - since
        return Waiting("It makes room for the hour's snapshot.", again_in=left.total_seconds())
    if since > timedelta(hours=1) - BEFORE_THE_HOUR:
        left = timedelta(hours=1) - since + AFTER_THE_HOUR
        return Waiting("It makes room for the next snapshot.", again_in=left.total_seconds())
    taking = Snapshot.objects.filter(
        cluster=row.cluster_id, state=Snapshot.State.TAKING, due__gt=now - timedelta(hours=1)
    )
    if taking.exists():
        return Waiting("A snapshot is being taken.", again_in=10)
    return None


def forget(name: str) -> None:
    """Forget a run that nobody waits for any more."""
    path_of(name).unlink(missing_ok=True)


def born(pid: int) -> str:
    """Return when a process began, as its kernel counts: a number is given again one day."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def is_alive(pid: int, since: str) -> bool:
    """Say whether a process goes on; one that nobody has waited for has ended."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] != "Z" and fields[19] == since
    return False
