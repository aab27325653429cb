"""The shape of a report: which records it has, in which order, and what follows from the hours.

A report is a row of entries. Each is a record of one kind with the fields of that kind, so that
CSV, JSON and PDF say the same.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from backups.schedule import HOUR, Window, longest_gap

FORMAT = 1
PROMISE = HOUR
ENCRYPTION = "AES-256-CTR and Poly1305-AES (restic)"

# The fields of each kind of record, in the order of a report.
FIELDS: dict[str, Sequence[str]] = {
    "report": (
        "number, company, covers, from, to, made_at, made_by, made_with, format, encryption, "
        "signing_key"
    ).split(", "),
    "policy": ("rule", "promise"),
    "audit_chain": ("number", "hash", "event", "at"),
    "cluster": (
        "cluster, slug, company, protected_since, protection_ended, first_hour, last_hour"
    ).split(", "),
    "storage": (
        "cluster, storage, region, used_since, retired_at, append_only_for_nodes, tested_at, "
        "size_bytes"
    ).split(", "),
    "snapshot": (
        "cluster, due, trigger, state, reasons, volumes, files, bytes, added_bytes, "
        "manifest_sha256, purged_at, purge_reason, legal_hold"
    ).split(", "),
    "gap": ("cluster, from, to, hours, states, reasons").split(", "),
    "backup": (
        "cluster, due, node, volume, state, reason, files, bytes, added_bytes, digest, restic_id, "
        "storage, encryption, verification, suspicion, checked_at, check_error, drilled_at, "
        "drilled, kept_by, purged_at, purge_reason"
    ).split(", "),
    "check": ("cluster, storage, part, parts, state, error, damaged, started_at, ended_at").split(
        ", "
    ),
    "drill": (
        "cluster, due, node, volume, drilled_on, trigger, outcome, started_at, ended_at, "
        "recovery_seconds, age_seconds, files, bytes, differences, error, requested_by"
    ).split(", "),
    "restore": (
        "cluster, snapshot, mode, volume, node, restored_to, requested_by, started_at, ended_at, "
        "outcome, expected, result"
    ).split(", "),
    "coverage": ("cluster, node, volume, state, age_seconds, reason").split(", "),
    "summary": (
        "cluster, hours_due, complete, partial, failed, missed, taking, on_demand, "
        "longest_gap_seconds, rpo, rpo_reason, backups, captured, backups_failed, excluded, "
        "purged, bytes_added"
    ).split(", "),
    "total": ("clusters", "backups", "backups_sha256"),
}

POLICY = (
    ("schedule", "A snapshot of the whole environment at every full hour, UTC."),
    ("hourly", "Every snapshot is kept for 24 hours."),
    ("daily", "The final one of each day is kept for one week."),
    ("weekly", "The final one of each week is kept for one month."),
    ("monthly", "The final one of each month is kept as long as the subscription lasts."),
    ("recovery point", "At most one hour between two complete snapshots (RPO)."),
    ("purged data", "The rows of purged backups stay, with time and reason."),
)


class Entry(NamedTuple):
    """One record: its kind, and a value for each field of the kind."""

    kind: str
    values: dict[str, Any]


def entry(kind: str, **values: Any) -> Entry:
    """Return a record; raise ValueError unless it has exactly the fields of its kind."""
    # “from” is a word of the language.
    found = {name.removesuffix("_"): value for name, value in values.items()}
    if found.keys() != set(FIELDS[kind]):
        raise ValueError(f"A record {kind!r} has other fields: {found.keys() ^ set(FIELDS[kind])}")
    return Entry(kind, found)


@dataclass(frozen=True)
class Gap:
    """Hours in a row of which none has a complete snapshot."""

    start: datetime
    end: datetime
    states: tuple[str, ...]

    @property
    def hours(self) -> int:
        """Return how many hours it has."""
        return (self.end - self.start) // HOUR


def gaps(hours: Mapping[datetime, str]) -> list[Gap]:
    """Return the gaps among the due hours, which come in their order."""
    found = []
    for is_gap, those in groupby(hours.items(), key=lambda pair: pair[1] != "complete"):
        pairs = list(those)
        if is_gap:
            states = tuple(dict.fromkeys(state for _, state in pairs))
            found.append(Gap(pairs[0][0], pairs[-1][0] + HOUR, states))
    return found


@dataclass(frozen=True)
class Verdict:
    """Whether the promise of the hour was kept, and by how much it was not."""

    rpo: str
    reason: str
    longest: timedelta
    counts: Counter[str]


def verdict(hours: Mapping[datetime, str]) -> Verdict:
    """Judge the due hours of a window: the promise is a complete snapshot at each of them."""
    counts = Counter(hours.values())
    if not hours:
        return Verdict("nothing due", "No hour was due in this window.", timedelta(0), counts)
    good = [hour for hour, state in hours.items() if state == "complete"]
    longest = longest_gap(good, Window(min(hours), max(hours) + HOUR))
    lacking = len(hours) - len(good)
    if not lacking:
        return Verdict("met", "Each due hour has a complete snapshot.", longest, counts)
    of = "hour has" if lacking == 1 else "hours have"
    reason = f"{lacking} of {len(hours)} due {of} no complete snapshot."
    return Verdict("not met", reason, longest, counts)


def due_window(
    asked: Window, since: datetime | None, ended: datetime | None, now: datetime
) -> Window | None:
    """Return the part of a window in which hours were due and are over, or None.

    The present hour's snapshot may still be on its way.
    """
    if since is None:
        return None
    present = now.replace(minute=0, second=0, microsecond=0)
    # An hour that began together with the protection is not due yet.
    start = max(asked.start, since + timedelta(microseconds=1))
    end = min(asked.end, present, *((ended + timedelta(microseconds=1),) if ended else ()))
    return Window(start, end) if start < end else None


def seconds(length: timedelta | None) -> int | None:
    """Return a length in whole seconds: fractions are printed differently by each program."""
    return None if length is None else int(length.total_seconds())


def in_words(length: int) -> str:
    """Return seconds as a person says them."""
    minutes, rest = divmod(length, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest if not (days or hours) else 0, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def joined(reasons: Iterable[Any]) -> str:
    """Return several reasons as one text."""
    return " ".join(str(reason) for reason in reasons)
