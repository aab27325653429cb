"""Long work of restic on the console's side: in a process of its own, which steps only look at.

A step of an operation is short, and a worker may be killed; pruning or checking a large repository
takes hours. What is known of a run stands in a file, so any worker can look at it.
"""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from backups import opening
from backups.models import Repository
from backups.restic_child import write
from medstack.failures import Failure
from medstack.operations import Waiting

Json = dict[str, Any]
ATTEMPTS = 3


def path_of(name: str) -> Path:
    """Return the file in which a run says how it is."""
    folder = Path(settings.STATE_DIR) / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"restic-{name}.json"


def follow(name: str, work: str, row: Repository, **values: int) -> Waiting | Json:
    """Start a run unless it goes on, and return what it says in the end.

    A run whose process died without a word is begun again, a few times. Raise Failure after that.
    """
    path = path_of(name)
    state: Json = json.loads(path.read_text()) if path.exists() else {"attempts": 0}
    if "result" in state:
        return dict(state["result"])
    if "pid" in state and is_alive(state["pid"], state["born"]):
        return Waiting("restic works on the repository.", again_in=2)
    if state["attempts"] >= ATTEMPTS:
        path.unlink()
        raise Failure(f"restic died {ATTEMPTS} times while it worked on the repository.")
    repository = opening.for_console(row)
    order = {
        "work": work,
        "path": str(path),
        "repository": {
            "url": repository.url,
            "password": repository.password,
            "environment": dict(repository.environment),
            "ca": repository.ca,
        },
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
    process.stdin.write(json.dumps(order).encode())
    process.stdin.close()
    return Waiting("restic begins to work on the repository.", again_in=1)


def forget(name: str) -> None:
    """Forget a run that was looked at to its end."""
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
