"""What the tick begins: each function looks for what is due and queues it, quickly."""

from collections.abc import Callable

DUE: tuple[Callable[[], None], ...] = ()


def enqueue_due() -> None:
    """Queue all work about backups that is due."""
    for look in DUE:
        look()
