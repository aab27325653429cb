"""The only code that knows restic: repositories in, plain facts and sorted errors out.

Without Django, so that the agent on the nodes uses it as well. Knows restic 0.14 and newer.
"""

from backups.restic.errors import (
    Cancelled,
    Damaged,
    Full,
    Locked,
    NoRepository,
    NotFound,
    Refused,
    ResticError,
    ResticFailed,
    UnknownVersion,
    Unreachable,
    WrongPassword,
)
from backups.restic.keeping import check, forget, prune, unlock
from backups.restic.overwriting import can_overwrite
from backups.restic.passwords import add_password, remove_other_keys
from backups.restic.reading import Entry, Snapshot, Stats, dump, listing, snapshots, stats
from backups.restic.repository import Repository, known_host
from backups.restic.restoring import Restoring, restore
from backups.restic.saving import Progress, Summary, backup, backup_stdin, exists, initialise
from backups.restic.tracing import lost_snapshots

__all__ = [
    "Cancelled",
    "Damaged",
    "Entry",
    "Full",
    "Locked",
    "NoRepository",
    "NotFound",
    "Progress",
    "Refused",
    "Repository",
    "ResticError",
    "ResticFailed",
    "Restoring",
    "Snapshot",
    "Stats",
    "Summary",
    "UnknownVersion",
    "Unreachable",
    "WrongPassword",
    "add_password",
    "backup",
    "backup_stdin",
    "can_overwrite",
    "check",
    "dump",
    "exists",
    "forget",
    "initialise",
    "known_host",
    "listing",
    "lost_snapshots",
    "prune",
    "remove_other_keys",
    "restore",
    "snapshots",
    "stats",
    "unlock",
]
