"""Print the console's recovery sheet: its keys, and where its backups are."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from backups.console import target
from medstack.failures import Failure
from medstack.models import Event
from medstack.models.events import SYSTEM


class Command(BaseCommand):
    """Print it for the safe; that it was printed is recorded."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it once, to the standard output alone."""
        try:
            sheet = target.sheet(timezone.now())
        except Failure as error:
            raise CommandError(str(error)) from None
        Event.objects.record("console.sheet_printed", None, by=SYSTEM, company=None)
        self.stdout.write(sheet.text)
