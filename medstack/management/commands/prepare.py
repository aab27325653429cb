"""Bring the database up to this version before anything of it is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from medstack.management.commands.worker import wait_for_database

# Of PostgreSQL's advisory locks; any number that nobody else takes in this database.
LOCK = 7_236_317


class Command(BaseCommand):
    """Wait for the database and migrate it; of several at once, one does it and the others wait.

    The version before goes on serving meanwhile: docs/contributing.md says what that asks of a
    migration.
    """

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, once."""
        wait_for_database()
        with alone():
            call_command("migrate", verbosity=options["verbosity"], interactive=False)


@contextmanager
def alone() -> Iterator[None]:
    """Keep other processes of this kind out; SQLite has one machine, and its own lock."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
