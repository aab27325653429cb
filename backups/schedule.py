"""Which hours need a snapshot, which have none, and how bad that is.

A snapshot is due at every full hour of UTC, where no hour is skipped or comes twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

HOUR = timedelta(hours=1)
WARNING_AFTER = timedelta(minutes=90)
CRITICAL_AFTER = timedelta(hours=6)
# What is promised: one snapshot every hour. It counts as broken once the next hour's has had its
# time to be taken; otherwise every cluster would look late for some minutes of each hour.
PROMISE = HOUR
TAKING = timedelta(minutes=15)
# Clocks of two machines may differ; a success from further ahead proves nothing.
CLOCKS_DIFFER = timedelta(minutes=5)
BEST_FIRST = ("complete", "partial", "failed", "missed")

Freshness = Literal["fresh", "warning", "critical"]


class Window(NamedTuple):
    """A time from its start up to, but without, its end."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Comparison:
    """What was scheduled in a window, what became of it, and what was taken besides."""

    hours: dict[datetime, str]
    unscheduled: tuple[tuple[datetime, str], ...]


def hour_of(moment: datetime) -> datetime:
    """Return the full hour, in UTC, that a moment is in."""
    return _utc(moment).replace(minute=0, second=0, microsecond=0)


def asked_at(now: datetime) -> datetime:
    """Return the time of a snapshot that somebody asks for now.

    The full hour's own is the agents': two that carry one time would end each other's captures.
    """
    second = now.replace(microsecond=0)
    return second + timedelta(seconds=1) if second == hour_of(second) else second


def due_hours(since: datetime, now: datetime) -> list[datetime]:
    """Return the full hours after one moment, up to and with another."""
    first = hour_of(since) + HOUR
    return [first + count * HOUR for count in range((_utc(now) - first) // HOUR + 1)]


def missed(
    adopted_hours: Iterable[datetime], since: datetime, now: datetime, grace: timedelta
) -> list[datetime]:
    """Return the due hours that have no snapshot although their grace is over."""
    _require_positive(grace)
    adopted = {_utc(hour) for hour in adopted_hours}
    return [hour for hour in due_hours(since, _utc(now) - grace) if hour not in adopted]


def freshness(last_complete: datetime | None, now: datetime) -> Freshness:
    """Judge the age of the last complete snapshot: 90 minutes and 6 hours are too much.

    A new cluster has none; give the time of its creation instead. None is critical.
    """
    if last_complete is None:
        return "critical"
    age = _utc(now) - _utc(last_complete)
    if age < -CLOCKS_DIFFER or age >= CRITICAL_AFTER:
        return "critical"
    return "warning" if age >= WARNING_AFTER else "fresh"


def against_promise(last_complete: datetime, now: datetime) -> Freshness:
    """Judge the age of the last complete snapshot against the promise of one every hour."""
    age = _utc(now) - _utc(last_complete)
    if age > 2 * PROMISE + TAKING or age < -CLOCKS_DIFFER:
        return "critical"
    return "warning" if age > PROMISE + TAKING else "fresh"


def longest_gap(hours: Iterable[datetime], window: Window) -> timedelta:
    """Return the longest time in a window without a success, its two ends included.

    Hours outside the window count for nothing.
    """
    start, end = _bounds(window)
    inside = sorted(hour for hour in map(_utc, hours) if start <= hour < end)
    return max(later - earlier for earlier, later in pairwise([start, *inside, end]))


def scheduled_against_actual(
    window: Window, snapshots: Iterable[tuple[datetime, str]]
) -> Comparison:
    """Compare the hours due in a window with the snapshots taken, given as time and state.

    Each hour gets the best state of its snapshots, or "missed". What was not due at a full hour was
    asked for by a person, stands for no hour, and is listed on its own. End the window in the past:
    an hour that is still to come would be missed.
    """
    start, end = _bounds(window)
    hours = dict.fromkeys(_within(start, end), "missed")
    unscheduled = []
    for moment, state in snapshots:
        due = _utc(moment)
        if state not in BEST_FIRST:
            raise ValueError(f"A snapshot has the unknown state {state!r}.")
        if due in hours:
            hours[due] = min(hours[due], state, key=BEST_FIRST.index)
        elif start <= due < end:
            unscheduled.append((due, state))
    return Comparison(hours, tuple(sorted(unscheduled)))


def _within(start: datetime, end: datetime) -> list[datetime]:
    """Return the full hours of a window."""
    instant = timedelta(microseconds=1)
    return due_hours(start - instant, end - instant)


def _bounds(window: Window) -> Window:
    """Return a window in UTC, or raise ValueError if it is empty."""
    bounds = Window(_utc(window.start), _utc(window.end))
    if bounds.end <= bounds.start:
        raise ValueError(f"The window ends at {bounds.end}, before or when it starts.")
    return bounds


def _require_positive(grace: timedelta) -> None:
    """Raise ValueError for a grace that would call the future missed."""
    if grace < timedelta(0):
        raise ValueError(f"The grace must not be negative: {grace}.")


def _utc(moment: datetime) -> datetime:
    """Return a moment in UTC: by a local clock, hours are skipped and come twice.

    Raise ValueError for a time without a time zone, instead of taking it for this machine's.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"A time zone is missing: {moment}.")
    return moment.astimezone(UTC)
