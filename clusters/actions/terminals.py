"""Keep in the audit record who opened a terminal where, and how long; never what was typed."""

from dataclasses import dataclass

from clusters.actions.nodes import record
from clusters.models import Service, Task
from medstack.models.events import Actor


@dataclass(frozen=True)
class Place:
    """Where a terminal leads; the task's row may be gone before the terminal is."""

    service: Service
    task: str
    node: str
    container: str

    def described(self) -> dict[str, str]:
        """Return the place as the record keeps it."""
        return {"task": self.task, "node": self.node, "container": self.container}


def place_of(task: Task) -> Place:
    """Return where a terminal into a task's container leads."""
    return Place(task.service, str(task), str(task.node), task.container_id)


def terminal_opened(place: Place, *, by: Actor) -> None:
    """Record that somebody opened a terminal."""
    cluster = place.service.cluster
    record("terminal.opened", place.service, cluster, by=by, after=place.described())


def terminal_closed(
    place: Place, *, by: Actor, seconds: float, exit_code: int | None, reason: str
) -> None:
    """Record that a terminal has ended, and why."""
    after = place.described() | {
        "seconds": round(seconds, 1),
        "exit_code": exit_code,
        "reason": reason,
    }
    record("terminal.closed", place.service, place.service.cluster, by=by, after=after)
