"""How far a backup is proven: the levels from the worst to the best, and what each means."""

from collections.abc import Iterable
from typing import NamedTuple


class Level(NamedTuple):
    """A level as pages show it."""

    word: str
    kind: str
    meaning: str


NOTHING = Level("—", "neutral", "There is nothing to verify.")
LEVELS = {
    "failed": Level("Failed", "danger", "It could not be read back as it was stored."),
    "recorded": Level("Recorded", "warning", "It is stored, but it shrank strangely; look at it."),
    "plausible": Level(
        "Plausible", "neutral", "It is stored, and its size is like the one before."
    ),
    "checked": Level("Checked", "ok", "All of its data was read back and is what was stored."),
    "drilled": Level("Drilled", "ok", "It was restored and compared file by file."),
}


def lowest(levels: Iterable[str]) -> str:
    """Return the level that all reach; what has none, because nothing is stored, does not count."""
    order = list(LEVELS)
    return min(filter(None, levels), key=order.index, default="")
