"""What the tick begins: each function looks for what is due and queues it, quickly."""

from collections.abc import Callable

from backups.tasks.adoption import enqueue_looks
from backups.tasks.agents import enqueue_agents
from backups.tasks.alarms import look_at_ages
from backups.tasks.checks import enqueue_checks
from backups.tasks.drills import enqueue_drills
from backups.tasks.repository import ensure_repositories
from backups.tasks.retention import enqueue_purges
from backups.tasks.standstill import enqueue_forgotten
from backups.tasks.subscriptions import enqueue_ends

DUE: tuple[Callable[[], None], ...] = (
    ensure_repositories,
    enqueue_agents,
    enqueue_looks,
    enqueue_forgotten,
    enqueue_drills,
    enqueue_purges,
    enqueue_checks,
    look_at_ages,
    enqueue_ends,
)


def enqueue_due() -> None:
    """Queue all work about backups that is due."""
    for look in DUE:
        look()
