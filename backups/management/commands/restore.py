"""Restore from backups by command line."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from backups import restoring


class Command(BaseCommand):
    """Restore: each kind has its own arguments, see `manage.py restore KIND --help`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Let each kind of restore take its own arguments."""
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
        for kind in sorted(one.name for one in iter_modules(restoring.__path__)):
            module = import_module(f"backups.restoring.{kind}")
            module.add_arguments(kinds.add_parser(kind, help=module.__doc__))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the kind that was chosen."""
        import_module(f"backups.restoring.{options['kind']}").handle(options, self.stdout)
