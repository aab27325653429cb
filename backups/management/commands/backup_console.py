"""Back up the console itself, encrypted, to where MEDSTACK_CONSOLE_BACKUP_FILE says."""

import logging
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from backups import restic
from backups.console import saving
from medstack.failures import Failure
from medstack.models import Event
from medstack.models.events import SYSTEM

logger = logging.getLogger(__name__)
# Between the hours' snapshots, which have the network then.
MINUTE = 40
AGAIN = timedelta(minutes=5)
SOON = timedelta(minutes=1)


class Command(BaseCommand):
    """Make one backup; with --hourly one at once and one an hour, until told to stop."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer to go on."""
        parser.add_argument("--hourly", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Back up, and forget what is too old."""
        if not options["hourly"]:
            try:
                self.once()
            except (Failure, restic.ResticError) as error:
                raise CommandError(str(error)) from None
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.is_set():
            stop.wait(self.attempt().total_seconds())

    def once(self) -> None:
        """Make one backup and say what it holds."""
        made = saving.back_up(timezone.now())
        self.stdout.write(f"Backed up as {made.made}: {made.bytes:,} bytes of the database.")
        if gone := saving.forget_old(timezone.now()):
            self.stdout.write(f"{gone} old backups were forgotten.")

    def attempt(self) -> timedelta:
        """Make a backup; a failure is a record, and is tried again soon. Return when to go on."""
        try:
            if saving.is_empty():
                return SOON
            self.once()
        except (Failure, restic.ResticError) as error:
            logger.error("The console was not backed up: %s", error)
            record_failure(str(error))
            return AGAIN
        except DatabaseError:
            logger.exception("The console was not backed up")
            return AGAIN
        finally:
            close_old_connections()
        return until_next(datetime.now(UTC))


def until_next(now: datetime) -> timedelta:
    """Return how long it is until the next backup is due."""
    due = now.replace(minute=MINUTE, second=0, microsecond=0)
    while due <= now:
        due += timedelta(hours=1)
    return due - now


def record_failure(error: str) -> None:
    """Write it into the record, once for a row of failures."""
    last = Event.objects.filter(action__startswith="console.back", company=None).order_by("-pk")
    if (found := last.first()) and found.action == "console.backup_failed":
        return
    Event.objects.record(
        "console.backup_failed", None, by=SYSTEM, company=None, after={"error": error[:500]}
    )
