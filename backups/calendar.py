"""Draw hours as a calendar and sizes as a curve: only places and words, no markup."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from backups.schedule import HOUR, hour_of

DAYS = 30
# The worst first: a day is as good as its worst hour.
STATES = ("missed", "failed", "partial", "taking", "complete", "not due")
WORDS = {
    "complete": "Complete",
    "partial": "Partial",
    "failed": "Failed",
    "missed": "Missed",
    "taking": "Being taken",
    "not due": "Not due",
}
STEP, LEFT, TOP = 16, 34, 22
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
WIDTH, HEIGHT, MARGIN, BOTTOM = 560, 190, 64, 26


class Taken(NamedTuple):
    """What is known of one snapshot."""

    pk: int
    state: str
    bytes: int = 0
    added_bytes: int = 0


@dataclass(frozen=True)
class Cell:
    """One hour, or one day: where it stands, what it was, and which snapshot it leads to."""

    at: datetime
    state: str
    x: int
    y: int
    pk: int | None = None

    @property
    def symbol(self) -> str:
        """Return the name of its shape."""
        return self.state.replace(" ", "-")

    @property
    def word(self) -> str:
        """Return its state as people read it."""
        return WORDS[self.state]

    @property
    def title(self) -> str:
        """Return what it says to whoever points at it."""
        return f"{self.at:%Y-%m-%d %H:%M} UTC: {self.word}"


@dataclass(frozen=True)
class Calendar:
    """Every hour of the last days: one column for each day, one row for each hour."""

    cells: tuple[Cell, ...]
    days: tuple[Cell, ...]
    counts: tuple[tuple[str, str, int], ...]

    width = LEFT + DAYS * STEP
    height = TOP + 24 * STEP
    hour_labels = tuple((f"{hour:02d}", TOP + hour * STEP + 10) for hour in range(0, 24, 3))

    @property
    def day_labels(self) -> list[tuple[str, int]]:
        """Return every fifth day with its place."""
        return [(f"{day.at:%d %b}", LEFT + day.x) for day in self.days[::5]]

    @property
    def lacking(self) -> list[Cell]:
        """Return the hours that were due and are not complete, the newest first."""
        return [cell for cell in reversed(self.cells) if cell.state in STATES[:3]]

    @property
    def text(self) -> str:
        """Return in words what the picture shows."""
        return ", ".join(f"{count} {word.lower()}" for _, word, count in self.counts if count)


def calendar(
    taken: Mapping[datetime, Taken],
    *,
    since: datetime | None,
    ended: datetime | None,
    now: datetime,
    days: int = DAYS,
    each_hour: bool = True,
) -> Calendar:
    """Return the hours of the last days, the present one included; or only the days."""
    present = hour_of(now)
    first = present.replace(hour=0) - timedelta(days=days - 1)
    cells, columns, counts = [], [], Counter[str]()
    for day in range(days):
        begins = first + timedelta(days=day)
        column: list[str] = []
        for hour in range(24):
            at = begins + hour * HOUR
            one = cell(
                at,
                taken.get(at),
                (LEFT + day * STEP, TOP + hour * STEP),
                is_due=since is not None and since < at < present and not (ended and at > ended),
            )
            column.append(one.state)
            if each_hour:
                cells.append(one)
        counts.update(column)
        columns.append(Cell(begins, worst(column), day * STEP, 0))
    named = tuple((state.replace(" ", "-"), WORDS[state], counts[state]) for state in WORDS)
    return Calendar(tuple(cells), tuple(columns), named)


def last_day(
    taken: Mapping[datetime, Taken],
    *,
    since: datetime | None,
    ended: datetime | None,
    now: datetime,
) -> tuple[Cell, ...]:
    """Return the last 24 hours side by side, the present one at the end."""
    present = hour_of(now)
    return tuple(
        cell(
            at,
            taken.get(at),
            (place * STEP, 0),
            is_due=since is not None and since < at < present and not (ended and at > ended),
        )
        for place, at in enumerate(present - HOUR * back for back in range(23, -1, -1))
    )


def cell(at: datetime, found: Taken | None, place: tuple[int, int], *, is_due: bool) -> Cell:
    """Return an hour as what was taken then, or as missed where it was due."""
    state = found.state if found else ("missed" if is_due else "not due")
    return Cell(at, state, *place, found.pk if found else None)


def said(cells: Iterable[Cell]) -> str:
    """Return in words how many hours are of which state."""
    counts = Counter(cell.state for cell in cells)
    return ", ".join(f"{counts[state]} {WORDS[state].lower()}" for state in WORDS if counts[state])


def worst(states: Iterable[str]) -> str:
    """Return the worst state of a day."""
    return min(set(states), key=STATES.index)


@dataclass(frozen=True)
class Bar:
    """One day's bar, and the words that say how much it is."""

    x: float
    y: float
    height: float
    words: str


@dataclass(frozen=True)
class Sizes:
    """What the snapshots hold, as a curve, and what each day added, as bars."""

    line: str
    area: str
    bars: tuple[Bar, ...]
    total_ticks: tuple[tuple[str, float], ...]
    added_ticks: tuple[tuple[str, float], ...]
    day_labels: tuple[tuple[str, float], ...]
    text: str

    width, height, left, bottom = WIDTH, HEIGHT, MARGIN, HEIGHT - BOTTOM
    right = WIDTH - MARGIN
    bar_width = 8


def sizes(taken: Mapping[datetime, Taken], *, now: datetime, days: int = DAYS) -> Sizes | None:
    """Return total bytes (each day's last) and added bytes by day, or None where nothing is."""
    first = hour_of(now).replace(hour=0) - timedelta(days=days - 1)
    totals: dict[int, int] = {}
    added = Counter[int]()
    for at in sorted(taken):
        day = (at - first) // timedelta(days=1)
        if 0 <= day < days and taken[at].state in {"complete", "partial"}:
            totals[day] = taken[at].bytes
            added[day] += taken[at].added_bytes
    if not totals:
        return None
    most, most_added = nice(max(totals.values())), nice(max(added.values()))
    step = (WIDTH - 2 * MARGIN) / days
    floor, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - 12

    def x(day: int) -> float:
        return round(MARGIN + (day + 0.5) * step, 1)

    def y(count: int, whole: int) -> float:
        return round(floor - room * count / whole, 1)

    points = [f"{x(day)},{y(count, most)}" for day, count in totals.items()]
    ends = list(totals)
    bars = tuple(
        Bar(
            round(x(day) - Sizes.bar_width / 2, 1),
            y(added[day], most_added),
            round(floor - y(added[day], most_added), 1),
            f"{first + timedelta(days=day):%Y-%m-%d}: {spoken(totals[day])} in all, "
            f"{spoken(added[day])} added",
        )
        for day in totals
    )
    last = ends[-1]
    return Sizes(
        line=" ".join(points),
        area=" ".join([f"{x(ends[0])},{floor}", *points, f"{x(last)},{floor}"]),
        bars=bars,
        total_ticks=ticks(most, floor, room),
        added_ticks=ticks(most_added, floor, room),
        day_labels=tuple(
            (f"{first + timedelta(days=day):%d %b}", x(day)) for day in range(0, days, 5)
        ),
        text=f"At the end {spoken(totals[last])} in all; {spoken(sum(added.values()))} were added "
        f"in {len(totals)} days.",
    )


def ticks(most: int, floor: float, room: float) -> tuple[tuple[str, float], ...]:
    """Return the labels of an axis with their places: nothing, half and all."""
    return tuple((spoken(most * part // 2), round(floor - room * part / 2, 1)) for part in range(3))


def nice(most: int) -> int:
    """Return a round number that is not smaller."""
    unit = 10 ** max(0, len(str(most)) - 1)
    return next((unit * part for part in (1, 2, 4, 6, 8) if unit * part >= most), unit * 10) or 1


def spoken(count: int) -> str:
    """Return bytes as people say them."""
    size, unit = float(count), 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {UNITS[unit]}"
