"""Long work of restic on the console's side: in a process of its own, which steps only look at.

A step of an operation is short, and a worker may be killed; pruning or checking a large repository
takes hours. What is known of a run stands in a file, so any worker can look at it.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from backups import opening, restic
from backups.models import Repository
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
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_restic", name, work, str(row.pk), json.dumps(values)],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    known = {"pid": process.pid, "born": born(process.pid), "attempts": state["attempts"] + 1}
    write(path, known)
    return Waiting("restic begins to work on the repository.", again_in=1)


def forget(name: str) -> None:
    """Forget a run that was looked at to its end."""
    path_of(name).unlink(missing_ok=True)


def write(path: Path, state: Json) -> None:
    """Write the state at once or not at all."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(state))
    unfinished.rename(path)


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


def run(name: str, work: str, row: Repository, values: dict[str, int]) -> None:
    """Do the work, in a process of its own, and leave the result in the file."""
    repository, result = opening.for_console(row), {"error": "", "findings": []}
    try:
        restic.unlock(repository)
        if work == "prune":
            restic.prune(repository)
        else:
            restic.check(repository, subset=(values["part"], values["parts"]))
    except restic.Damaged as error:
        result = {"error": str(error), "findings": list(error.findings)}
    except restic.ResticError as error:
        result = {"error": str(error), "findings": [], "kind": type(error).__name__}
    state = json.loads(path_of(name).read_text()) if path_of(name).exists() else {"attempts": 1}
    write(path_of(name), state | {"result": result})
