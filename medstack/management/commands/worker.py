"""Run the queue's workers, once the database answers."""

import ctypes
import logging
import os
import signal
import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection

logger = logging.getLogger(__name__)
PR_SET_PDEATHSIG = 1
parent = 0


class Command(BaseCommand):
    """Start the queue's cluster of workers."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait for the database first: the cluster hangs for ever if it is down at its start."""
        wait_for_database()
        os.register_at_fork(before=remember_parent, after_in_child=die_with_parent)
        call_command("qcluster")


def wait_for_database() -> None:
    """Return when a query is answered."""
    while True:
        try:
            connection.ensure_connection()
        except OperationalError as error:
            logger.warning("The database does not answer yet: %s", error)
            time.sleep(1)
        else:
            connection.close()
            return


def remember_parent() -> None:
    """Note who forks, so that the child can tell whether its parent is still the same."""
    global parent  # noqa: PLW0603  # it passes from before a fork to after it
    parent = os.getpid()


def die_with_parent() -> None:
    """End a worker process when its parent is killed: an orphan would go on beside its successor.

    Linux only; elsewhere the queue's own time-outs have to do.
    """
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        return
    if os.getppid() != parent:
        # The parent died before its death could be heard of.
        os._exit(1)
