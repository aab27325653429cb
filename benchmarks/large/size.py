"""How large a large installation is."""

from dataclasses import dataclass
from datetime import timedelta

# Of each cluster; VOLUMES of each node, TASKS of each service.
NODES, SERVICES, TASKS, VOLUMES, SNAPSHOTS = 10, 50, 5, 2, 1_000
OPERATIONS, EVENTS, OBJECTS, RESTORES = 1_000, 10_000, 20, 50
# Of each company.
PEOPLE = 10
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Size:
    """How many companies and clusters there are; every cluster is of the same size."""

    scale: float

    @property
    def companies(self) -> int:
        """Return how many companies there are."""
        return max(1, round(20 * self.scale))

    @property
    def clusters(self) -> int:
        """Return how many clusters there are in all."""
        return max(1, round(100 * self.scale))
