"""Collect what a printed report shows: where there are too many backups, one line for each day."""

from collections import Counter, defaultdict
from typing import Any

from backups.evidence.report import Entry

Values = dict[str, Any]
# More than this many backups are summarised by day, more than this many days by month.
MOST_ROWS = 1_000
MOST_DAYS = 800
# Of everything else this many lines are printed; CSV and JSON have them all.
MOST_LINES = 2_000
DAY, MONTH = len("2026-11-24"), len("2026-11")


class Collected:
    """The entries of a report as far as they are printed; it does not grow with the backups."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Values]] = defaultdict(list)
        self.counts = Counter[str]()
        self.days: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def add(self, record: Entry) -> None:
        """Take an entry in."""
        kind, values = record
        self.counts[kind] += 1
        if kind == "backup":
            self.count(values)
            if self.counts[kind] > MOST_ROWS:
                self.entries[kind].clear()
                return
        # The hours are printed as gaps; those that are complete need no line.
        if kind == "snapshot" or self.counts[kind] > MOST_LINES:
            return
        self.entries[kind].append(values)

    def count(self, values: Values) -> None:
        """Count a backup to its day."""
        day = self.days[values["cluster"], values["due"][:DAY]]
        day["backups"] += 1
        day[values["state"]] += 1
        day["bytes"] += values["bytes"]
        day["added_bytes"] += values["added_bytes"]
        day["purged"] += bool(values["purged_at"])
        day[f"is {values['verification']}"] += 1

    def one(self, kind: str) -> Values:
        """Return the only entry of a kind."""
        return self.entries[kind][0]

    @property
    def is_summarised(self) -> bool:
        """Say whether the backups are printed by day."""
        return self.counts["backup"] > MOST_ROWS

    def periods(self) -> list[tuple[str, str, Counter[str]]]:
        """Return cluster, day and counts; months instead of days where there are too many."""
        if len(self.days) <= MOST_DAYS:
            return [(cluster, day, counts) for (cluster, day), counts in self.days.items()]
        months: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for (cluster, day), counts in self.days.items():
            months[cluster, day[:MONTH]].update(counts)
        return [(cluster, month, counts) for (cluster, month), counts in months.items()]
