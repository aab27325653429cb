"""Looking after a repository: is it whole, what may go, who holds it."""

from collections.abc import Callable, Iterable

from backups.restic.errors import NotFound
from backups.restic.process import SHORT, never
from backups.restic.reading import identified
from backups.restic.repository import Repository
from backups.restic.running import output

# Of whole ids, so that a command line stays far below the kernel's limit.
AT_ONCE = 500
# Of data written anew in one run, which locks everybody else out: the next run does the rest.
MOST_REPACKED = "2G"


def check(
    repository: Repository,
    *,
    subset: tuple[int, int] | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> None:
    """Check the structure and, of the data itself, the n-th of so many parts; else Damaged."""
    parts = []
    if subset:
        number, total = subset
        if not 1 <= number <= total:
            raise ValueError("Parts are counted from 1 to their number.")
        parts = [f"--read-data-subset={number}/{total}"]
    for _ in output(repository, ["check", *parts], timeout=timeout, cancelled=cancelled):
        pass


def forget(
    repository: Repository,
    ids: Iterable[str],
    *,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> None:
    """Forget these snapshots, and no others; those that are gone already are no error."""
    names = list(dict.fromkeys(identified(one) for one in ids))
    for start in range(0, len(names), AT_ONCE):
        command = ["forget", "--", *names[start : start + AT_ONCE]]
        try:
            for _ in output(repository, command, timeout=timeout, cancelled=cancelled):
                pass
        except NotFound:
            # Newer ones may say so of the last one left.
            continue


def prune(
    repository: Repository,
    *,
    timeout: float | None = None,
    cancelled: Callable[[], bool] = never,
) -> None:
    """Delete the data that no snapshot needs any more; of packs in part use, some at a time."""
    command = ["prune", f"--max-repack-size={MOST_REPACKED}"]
    for _ in output(repository, command, timeout=timeout, cancelled=cancelled):
        pass


def unlock(
    repository: Repository, *, timeout: float = SHORT, cancelled: Callable[[], bool] = never
) -> None:
    """Remove stale locks, of dead processes of this host or older than half an hour; no others."""
    for _ in output(repository, ["unlock"], timeout=timeout, cancelled=cancelled):
        pass
