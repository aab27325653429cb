"""The kinds of restore by command line; each module takes its arguments and does its part.

What they have in common stands here: a recovery sheet, a time, and carrying the work to its end.
"""

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from django.core.management import call_command
from django.core.management.base import CommandError

from backups import recovery
from medstack import operations
from medstack.failures import Failure
from medstack.models import Operation

# Exit codes besides 1 and 2, with which nothing was touched because what was asked made no sense.
REFUSED, FAILED = 3, 4
PAUSE = 0.3


def add_common_arguments(parser: ArgumentParser) -> None:
    """Take the sheet of a console that was lost, and whether to wait for the end."""
    parser.add_argument("--sheet", type=Path, help="file with the recovery sheet")
    parser.add_argument("--company", help="of the sheet's cluster; not needed where one is known")
    parser.add_argument("--wait", action="store_true", help="carry it to its end here")


def read_sheet(options: dict[str, Any], cluster: str, stdout: TextIO) -> recovery.Sheet | None:
    """Make the catalogue anew from the sheet, if one is given; refuse that of another cluster."""
    if not options["sheet"]:
        return None
    sheet = recovery.parse(options["sheet"].read_text(), cluster=cluster)
    more = [f"--company={options['company']}"] if options["company"] else []
    call_command("rebuild_catalogue", f"--sheet={options['sheet']}", *more, stdout=stdout)
    return sheet


def time_of(text: str) -> datetime:
    """Read a time in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"“{text}” is no time. Write it as 2026-03-01T10:00.") from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def carry_on(operation: Operation, stdout: TextIO) -> None:
    """Carry the operation and those that it begins to their end, beside any worker that runs."""
    seen = ""
    while True:
        active = Operation.objects.filter(cluster=operation.cluster, state__in=Operation.ACTIVE)
        for pk in active.values_list("pk", flat=True):
            operations.advance(pk)
        operation.refresh_from_db()
        step = operation.steps[min(operation.step, len(operation.steps) - 1)]
        words = f"{operation.percentage:3} % {step}: {operation.detail}".rstrip(": ")
        if words != seen:
            stdout.write(f"{words}\n")
            seen = words
        if not operation.is_active:
            break
        time.sleep(PAUSE)
    if operation.state == Operation.State.FAILED:
        raise CommandError(operation.error, returncode=FAILED)
