"""Do one long piece of restic's work; the console starts this itself (backups/long_run.py)."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from backups import long_run
from backups.models import Repository


class Command(BaseCommand):
    """Prune or check one repository and leave the result for the operation that asked."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the run's name, the work, the repository and the work's own numbers."""
        parser.add_argument("name")
        parser.add_argument("work", choices=("prune", "check"))
        parser.add_argument("repository", type=int)
        parser.add_argument("values")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        row = Repository.objects.get(pk=options["repository"])
        long_run.run(options["name"], options["work"], row, json.loads(options["values"]))
