"""Queue the tick again and again: it is what guarantees that unfinished work is finished."""

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections

from medstack.queue import enqueue, is_waiting

logger = logging.getLogger(__name__)
TICK = "medstack.tasks.tick"


class Command(BaseCommand):
    """Queue one tick per interval until told to stop; the queue's own scheduler is not used.

    See docs/decisions/0001-own-clock.md.
    """

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until TERM or INT."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.is_set():
            try:
                queue_tick()
            except DatabaseError:
                # The next round tries again; a clock that dies is worse than a late tick.
                logger.exception("The tick could not be queued")
            close_old_connections()
            stop.wait(settings.REFRESH_EVERY)


def queue_tick() -> None:
    """Queue a tick unless an earlier one still waits: none pile up behind a stopped worker."""
    if not is_waiting(TICK):
        enqueue(TICK, 0)
