"""A repository's passwords: each opens a key of its own, and all keys hold the same master key."""

import json
from dataclasses import replace

from backups.restic.process import SHORT, in_memory
from backups.restic.repository import Repository
from backups.restic.running import output


def add_password(repository: Repository, password: str, *, timeout: float = SHORT) -> None:
    """Let another password open the repository, too."""
    # Refuses here what restic would change on reading it.
    replace(repository, password=password)
    with in_memory(password) as number:
        command = ["key", "add", f"--new-password-file=/proc/self/fd/{number}"]
        for _ in output(repository, command, timeout=timeout, inherited=(number,)):
            pass


def remove_other_keys(repository: Repository, *, timeout: float = SHORT) -> None:
    """Let no password but the repository's own open it any more."""
    listed = output(repository, ["key", "list", "--json", "--no-lock"], timeout=timeout)
    for one in json.loads(b"".join(listed)):
        if not one["current"]:
            for _ in output(repository, ["key", "remove", str(one["id"])], timeout=timeout):
                pass
