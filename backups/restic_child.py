"""One long piece of restic's work in a process of its own, without Django (see long_run.py).

It reads what to do from its standard input, which no process list shows, and writes how it ended
into a file.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from backups import restic

Json = dict[str, Any]


def work(order: Json) -> Json:
    """Do the work and return how it ended."""
    repository = restic.Repository(**order["repository"])
    try:
        restic.unlock(repository)
        if order["work"] == "prune":
            restic.prune(repository)
        else:
            restic.check(repository, subset=(order["part"], order["parts"]))
    except restic.Damaged as error:
        return {"error": str(error), "findings": list(error.findings)}
    except restic.ResticError as error:
        return {"error": str(error), "findings": [], "kind": type(error).__name__}
    return {"error": "", "findings": []}


def write(path: Path, state: Json) -> None:
    """Write the state at once or not at all."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(state))
    unfinished.rename(path)


if __name__ == "__main__":
    ordered: Json = json.loads(sys.stdin.read())
    write(Path(ordered["path"]), {"result": work(ordered)})
