"""Restore one volume by command line."""

import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from backups.actions.restores import restore_volume
from backups.models import Restore, VolumeBackup
from clusters.models import Node
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM


def add_arguments(parser: CommandParser) -> None:
    """Take a backup, the node that it goes to, and the volume's name there."""
    parser.add_argument(
        "backup", help="an id, or CLUSTER/NODE/VOLUME (its newest), or CLUSTER/NODE/VOLUME@TIME"
    )
    parser.add_argument("--to", required=True, metavar="CLUSTER/NODE")
    parser.add_argument("--name", required=True, help="of the volume there")
    parser.add_argument(
        "--over", action="store_true", help="over an existing volume; a snapshot is taken first"
    )
    parser.add_argument("--wait", action="store_true", help="print the progress to the end")


def handle(options: dict[str, Any], stdout: TextIO) -> None:
    """Begin the restore; the worker does it. With --wait, exit with 4 where it failed."""
    mode = Restore.Mode.OVER if options["over"] else Restore.Mode.NEW
    try:
        operation = restore_volume(
            backup_of(options["backup"]), node_of(options["to"]), options["name"], mode, by=SYSTEM
        )
    except Failure as error:
        raise CommandError(str(error), returncode=3) from None
    stdout.write(f"{operation}: {operation.url}\n")
    if options["wait"]:
        follow(operation, stdout)


def backup_of(text: str) -> VolumeBackup:
    """Return the backup that is meant."""
    rows = VolumeBackup.objects.restorable().select_related("cluster__company", "snapshot")
    if text.isdigit():
        rows = rows.filter(pk=int(text))
    else:
        name, _, moment = text.partition("@")
        parts = name.split("/", 2)
        if len(parts) != 3:
            raise Failure("Name a backup as CLUSTER/NODE/VOLUME or CLUSTER/NODE/VOLUME@TIME.")
        rows = rows.filter(cluster__slug=parts[0], node_name=parts[1], volume_name=parts[2])
        if moment:
            rows = rows.filter(due__lte=time_of(moment))
    found = rows.order_by("-due").first()
    if found is None:
        raise Failure(f"There is no backup “{text}” that could be restored.")
    return found


def time_of(text: str) -> datetime:
    """Read a time in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"“{text}” is no time such as 2026-03-01T10:00.") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def node_of(text: str) -> Node:
    """Return the node that is meant."""
    cluster, _, name = text.partition("/")
    rows = Node.objects.present().filter(cluster__slug=cluster, name=name)
    found = rows.select_related("cluster__company").first()
    if found is None:
        raise Failure(f"There is no node “{text}”: write CLUSTER/NODE.")
    return found


def follow(operation: Operation, stdout: TextIO) -> None:
    """Print what changes until it ends."""
    shown = ""
    while operation.is_active:
        time.sleep(0.5)
        operation.refresh_from_db()
        if (line := f"{operation.percentage} % {operation.detail}") != shown:
            shown = line
            stdout.write(f"{line}\n")
    if operation.error:
        stdout.write(f"{operation.error}\n")
        sys.exit(4)
    stdout.write("The volume is restored.\n")
