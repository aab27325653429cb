"""Which snapshots to keep, and why.

The promise: an hourly snapshot is kept for 24 hours; for one week, each day's final one; for one
month, each week's final one; and each month's final one for as long as the subscription lasts.
"Final" is the last successful snapshot started in that day, ISO 8601 week (Monday to Sunday) or
month of one fixed time zone. "For" is a time measured against now, not a number of snapshots. The
rules are independent: any of them is reason enough.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

Id = TypeVar("Id", bound=Hashable)
Chosen = Mapping[str, set[datetime]]

HOURLY_FOR = timedelta(hours=24)
DAILY_FOR_DAYS = 7
# Covers every reading of "one month"; the cost is at most two more snapshots.
WEEKLY_FOR_DAYS = 31


def reasons_to_keep(
    taken: Mapping[Id, datetime],
    *,
    now: datetime,
    zone: tzinfo = UTC,
    monthly: bool = True,
    suspended: bool = False,
) -> dict[Id, tuple[str, ...]]:
    """Map each successful snapshot worth keeping to the rules that keep it.

    The rules are, in this order:

    - "hourly": started less than 24 hours ago;
    - "daily": the final one of a day that is today or at most 7 days before;
    - "weekly": the final one of a week whose Sunday is not more than 31 days before today;
    - "monthly": the final one of its month, however old;
    - "newest": no other success is later;
    - "future": started later than now, by a clock that is wrong; it counts for no other rule.

    Ids absent from the answer may be purged, unless they are on hold or being restored from, which
    the caller knows. Snapshots started at the very same moment share their fate.

    `taken` holds the start of every successful snapshot of one environment, or of one volume;
    `zone` decides where days, weeks and months begin. `monthly=False` drops the monthly rule, for
    a subscription that is over. `suspended=True`, for while snapshots fail, stops the clock of all
    expiry at the newest success: an outage takes nothing of what was kept then.

    Raise ValueError for a time without a time zone.
    """
    moments, present = _instants(taken), _instant(now, "now")
    rising = sorted(moments.values())
    past = rising[: bisect_right(rising, present)]
    clock = past[-1] if suspended and past else present
    today = _day(clock, zone)
    finals = _finals(past, zone)
    kept = {
        "hourly": set(past[bisect_right(past, clock - HOURLY_FOR) :]),
        "daily": _since(today - DAILY_FOR_DAYS, finals["daily"]),
        "weekly": _since(today - WEEKLY_FOR_DAYS, finals["weekly"]),
        "monthly": set(finals["monthly"].values()) if monthly else set(),
        "newest": set(past[-1:]),
        "future": set(rising[len(past) :]),
    }
    return _by_identity(kept, moments)


def provisional(
    taken: Mapping[Id, datetime], *, now: datetime, zone: tzinfo = UTC
) -> dict[Id, tuple[str, ...]]:
    """Map each final one so far of today, this week or this month to those of these rules.

    A later success takes "daily", "weekly" or "monthly" away from it: show it so, never as sealed.
    The arguments and errors are those of `reasons_to_keep`.
    """
    moments, present = _instants(taken), _instant(now, "now")
    finals = _finals(sorted(moment for moment in moments.values() if moment <= present), zone)
    current = _periods(_day(present, zone))
    unfinished = {
        rule: {finals[rule][period]} if period in finals[rule] else set()
        for rule, period in current.items()
    }
    return _by_identity(unfinished, moments)


def _by_identity(chosen: Chosen, moments: Mapping[Id, datetime]) -> dict[Id, tuple[str, ...]]:
    """Map each id whose moment any rule has chosen to these rules."""
    rules: dict[datetime, tuple[str, ...]] = {}
    for rule, those in chosen.items():
        for moment in those:
            rules[moment] = (*rules.get(moment, ()), rule)
    return {identity: rules[moment] for identity, moment in moments.items() if moment in rules}


def _finals(rising: Iterable[datetime], zone: tzinfo) -> dict[str, dict[int, datetime]]:
    """Find the last of the rising moments in each period, by rule and the period's number."""
    days = {_day(moment, zone): moment for moment in rising}
    finals: dict[str, dict[int, datetime]] = {"daily": {}, "weekly": {}, "monthly": {}}
    for day, moment in days.items():
        for rule, period in _periods(day).items():
            finals[rule][period] = moment
    return finals


def _day(moment: datetime, zone: tzinfo) -> int:
    """Return the number of a moment's day by the zone's calendar."""
    return moment.astimezone(zone).toordinal()


def _periods(day: int) -> dict[str, int]:
    """Return the numbers of the day, its week (which is its Sunday's) and its month, by rule."""
    date = datetime.fromordinal(day)
    sunday = day + 7 - date.isoweekday()
    return {"daily": day, "weekly": sunday, "monthly": date.year * 12 + date.month}


def _since(earliest: int, finals: Mapping[int, datetime]) -> set[datetime]:
    """Return the finals of the days or weeks that end on the earliest day or after it."""
    return {moment for last_day, moment in finals.items() if last_day >= earliest}


def _instants(taken: Mapping[Id, datetime]) -> dict[Id, datetime]:
    """Return all starts in UTC."""
    return {
        identity: _instant(moment, f"the start of snapshot {identity!r}")
        for identity, moment in taken.items()
    }


def _instant(moment: datetime, meaning: str) -> datetime:
    """Return a moment in UTC, because times of one zone compare by their clock, not in order.

    Raise ValueError for a time without a time zone, instead of taking it for this machine's.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"A time zone is missing: {meaning} is given as {moment}.")
    return moment.astimezone(UTC)
