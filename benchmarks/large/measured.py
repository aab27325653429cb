"""How a page does in the small and in the large database, beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Self

QUERIES, RATIO = 15, 2.0
# What differs by less than this many milliseconds is not told apart on a busy machine.
NOISE = 5.0
HEADING = (
    f"{'':<58} {'queries':>7} {'small p50':>9} {'p95':>8} {'large p50':>9} {'p95':>8} {'ratio':>6}"
)


@dataclass(frozen=True)
class Measured:
    """One page in both databases: the most queries, and milliseconds as median and p95."""

    name: str
    queries: tuple[int, int]
    small: tuple[float, float]
    large: tuple[float, float]
    statuses: frozenset[int]
    # Lines of tables and cards that it draws.
    rows: tuple[int, int]

    @classmethod
    def of(
        cls,
        name: str,
        queries: Sequence[int],
        times: tuple[Sequence[float], Sequence[float]],
        statuses: set[int],
        rows: Sequence[int],
    ) -> Self:
        """Return what comes of single visits."""
        small, large = (
            (median(taken), quantiles(taken, n=20, method="inclusive")[-1]) for taken in times
        )
        return cls(
            name, (queries[0], queries[1]), small, large, frozenset(statuses), (rows[0], rows[1])
        )

    @property
    def ratio(self) -> float:
        """Return by how much the slow requests are slower with 100 times the rows."""
        return self.large[1] / self.small[1]

    @property
    def too_slow(self) -> bool:
        """Say whether that is more than promised, and more than noise."""
        over = self.ratio > RATIO and self.large[1] - self.small[1] > NOISE
        return over and not self.is_longer

    @property
    def is_longer(self) -> bool:
        """Say whether the small database has too few rows to fill the page that is compared."""
        return self.rows[1] > 2 * self.rows[0]

    @property
    def faults(self) -> list[str]:
        """Say what is not as promised."""
        said = []
        if self.statuses != {200}:
            said.append(f"answers {sorted(self.statuses)}")
        if max(self.queries) > QUERIES:
            said.append(f"{max(self.queries)} queries")
        if self.too_slow:
            said.append(f"{self.ratio:.1f} times the time")
        return said

    @property
    def note(self) -> str:
        """Say why its time is not judged, if it is not."""
        return f"draws {self.rows[1]} lines, not {self.rows[0]}" if self.is_longer else ""

    def __str__(self) -> str:
        return (
            f"{self.name:<58} {self.queries[0]:>3} {self.queries[1]:>3}"
            f" {self.small[0]:>9.1f} {self.small[1]:>8.1f}"
            f" {self.large[0]:>9.1f} {self.large[1]:>8.1f} {self.ratio:>6.2f}"
            f"  {', '.join(self.faults)}{self.note}"
        ).rstrip()
