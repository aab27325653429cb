"""Try again while a repository is locked or out of reach: both pass by themselves, often."""

from collections.abc import Callable
from typing import TypeVar

from backups import restic
from backups.agent.stopping import STOPPED

Answer = TypeVar("Answer")
Pauses = tuple[float, ...]

# Pruning locks everybody out for a while; the hour must not be lost to it.
PAUSES: Pauses = (1, 2, 5, 10, 20, 30, 60, 60, 120, 120)


def patiently(
    work: Callable[[], Answer],
    *,
    pauses: Pauses = PAUSES,
    sleep: Callable[[float], object] = STOPPED.wait,
) -> Answer:
    """Return what the work returns; after the last pause its error is final."""
    for pause in pauses:
        try:
            return work()
        except (restic.Locked, restic.Unreachable):
            if STOPPED.is_set():
                raise
            sleep(pause)
    return work()
