"""Bring a console back from a backup of itself."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups import restic
from backups.console import restoring, saving, target
from medstack.failures import Failure
from medstack.sheet import BadSheet, parse_console


class Command(BaseCommand):
    """Put a backup in the place of this console's database, which nobody must have used yet.

    The keys come first: `manage.py init_keys --sheet FILE`. Start the repository server anew after
    it, for it is then the one that the nodes trust.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where the backups are, and which of them."""
        parser.add_argument(
            "--sheet",
            type=Path,
            help="the console's recovery sheet; - reads it",
        )
        parser.add_argument("--list", action="store_true", help="only say which backups there are")
        parser.add_argument("--made", default="", help="which one, such as 20261124T104000Z")
        parser.add_argument(
            "--replace", action="store_true", help="even where somebody has an account already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, and say what is there now."""
        try:
            repository = target.repository_of(self.where(options["sheet"]))
            if options["list"]:
                for backup in restoring.backups_in(repository):
                    self.stdout.write(backup.made)
                return
            backup = restoring.chosen(repository, options["made"])
            manifest = restoring.restore(repository, backup, replace=options["replace"])
        except (Failure, BadSheet, restic.ResticError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"This console is the one of {manifest.made}.")
        now = saving.counts()
        for name, number in manifest.counts.items():
            self.stdout.write(f"  {name}: {now.get(name, 0):,} ({number:,} when it was backed up)")

    def where(self, sheet: Path | None) -> Any:
        """Return what describes the repository."""
        if sheet is None:
            return target.configured()
        text = sys.stdin.read() if str(sheet) == "-" else sheet.read_text()
        return parse_console(text).backup
