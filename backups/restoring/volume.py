"""Restore one volume by command line, also on an empty console with a recovery sheet."""

from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from backups import recovery
from backups.actions.restores import restore_volume
from backups.models import Restore, VolumeBackup
from backups.restoring import REFUSED, add_common_arguments, carry_on, read_sheet, time_of
from clusters.models import Node
from clusters.names import VOLUME
from medstack.failures import Failure
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
    add_common_arguments(parser)


def handle(options: dict[str, Any], stdout: TextIO) -> None:
    """Begin the restore. Exit with 3 where it is refused, with 4 where it failed."""
    mode = Restore.Mode.OVER if options["over"] else Restore.Mode.NEW
    try:
        read_sheet(options, cluster_of(options["backup"]), stdout)
        backup, node = backup_of(options["backup"]), node_of(options["to"])
        if not VOLUME.fullmatch(options["name"]):
            raise Failure(f"“{options['name']}” is no name for a volume.")
    except (Failure, recovery.BadSheet, OSError) as error:
        raise CommandError(str(error)) from None
    try:
        operation = restore_volume(backup, node, options["name"], mode, by=SYSTEM)
    except Failure as error:
        raise CommandError(str(error), returncode=REFUSED) from None
    if not options["wait"]:
        stdout.write(f"The restore is queued: operation {operation.pk}.\n")
        return
    carry_on(operation, stdout)
    result = Restore.objects.get(operation=operation).result
    stdout.write(
        f"Done: {result['files']} files and {result['bytes']:,} bytes came back, as the manifest "
        "says.\n"
    )


def cluster_of(text: str) -> str:
    """Return the cluster that a backup's name begins with; nothing for an id."""
    return "" if text.isdigit() else text.partition("/")[0]


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


def node_of(text: str) -> Node:
    """Return the node that is meant."""
    cluster, _, name = text.partition("/")
    rows = Node.objects.present().filter(cluster__slug=cluster, name=name)
    found = rows.select_related("cluster__company").first()
    if found is None:
        raise Failure(f"There is no node “{text}”: write CLUSTER/NODE.")
    return found
