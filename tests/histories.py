"""Histories of snapshots, and what retention says about them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from backups.retention import reasons_to_keep

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2025, 6, 18, 12, 30, tzinfo=UTC)
TORONTO = ZoneInfo("America/Toronto")
Times = set[datetime]


def at(text: str) -> datetime:
    """Read a time like "2025-06-18 12:00" as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hourly(first: str, last: str) -> Times:
    """Take a snapshot at every full hour, the last one included."""
    start, end = at(first), at(last)
    return {start + hours * HOUR for hours in range((end - start) // HOUR + 1)}


def reasons(taken: Iterable[datetime], now: datetime, **how: Any) -> dict[datetime, Any]:
    """Ask with each time as its own id."""
    return reasons_to_keep({moment: moment for moment in taken}, now=now, **how)


def kept(taken: Iterable[datetime], now: datetime, **how: Any) -> Times:
    return set(reasons(taken, now, **how))


def finals(*days: str) -> Times:
    return {at(f"{day} 23:00") for day in days}
