"""Run the queue's workers, once the database answers."""

import logging
import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection

from medstack.children import end_with_parent

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Start the queue's cluster of workers."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait for the database first: the cluster hangs for ever if it is down at its start."""
        wait_for_database()
        end_with_parent()
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
