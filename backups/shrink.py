"""When a backup is so much smaller than the one before that someone should look."""

from typing import Protocol

# Small volumes halve every day without meaning anything.
FILES_LOST = 100
BYTES_LOST = 10_000_000


class Sized(Protocol):
    """What has a number of files and bytes, such as one backup of a volume."""

    @property
    def files(self) -> int:
        """Return how many files there are."""

    @property
    def bytes(self) -> int:
        """Return how large they are together."""


def suspicious(previous: Sized | None, current: Sized) -> str:
    """Say in plain words what shrank suspiciously, or nothing.

    Suspicious is what went from something to nothing, and what lost more than half, if that is more
    than 100 files or 10 MB. The first backup of a volume has nothing to be compared with.
    """
    if previous is None:
        return ""
    for before, now, lost, unit in (
        (previous.files, current.files, FILES_LOST, "files"),
        (previous.bytes, current.bytes, BYTES_LOST, "bytes"),
    ):
        if before and not now:
            return f"No {unit} are left; there were {before:,}."
        # In whole numbers, because a fraction of very many bytes is not exact.
        if before - now > lost and now * 2 < before:
            return f"Only {now:,} of {before:,} {unit} are left."
    return ""
