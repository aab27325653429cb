"""Restore an environment by command line, also on an empty console with a recovery sheet."""

from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from backups import recovery
from backups.actions.environment import restore_environment
from backups.canonical import BadManifest
from backups.models import Restore, Snapshot
from backups.planned import Item, Plan
from backups.restoring import REFUSED, add_common_arguments, carry_on, read_sheet, time_of
from backups.target import Case, case_of, manifest_of, places_of, suggested
from clusters.models import Cluster
from clusters.tasks.refresh import look_at
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM

SHOWN = {"create": "Will be created", "present": "There already", "conflict": "Conflicts"}


def add_arguments(parser: CommandParser) -> None:
    """Take a snapshot, the cluster that everything goes to, and the new node of each old one."""
    parser.add_argument(
        "snapshot",
        nargs="?",
        default="",
        help="CLUSTER (its newest), CLUSTER@TIME in UTC such as demo@2026-03-01T10:00, or an id",
    )
    parser.add_argument("--to", required=True, metavar="CLUSTER", help="its short name")
    parser.add_argument(
        "--map", action="append", default=[], metavar="OLD=NEW", help="a node and its new one"
    )
    parser.add_argument("--address", default="", help="public address of the load balancer")
    parser.add_argument("--yes", action="store_true", help="accept what does not come back")
    parser.add_argument("--plan", action="store_true", help="show the plan and do nothing")
    add_common_arguments(parser)


def handle(options: dict[str, Any], stdout: TextIO) -> None:
    """Show the plan, then restore. Exit with 3 where it is refused, with 4 where it failed."""
    try:
        snapshot = chosen(options, stdout)
        cluster = Cluster.objects.select_related("company").filter(slug=options["to"]).first()
        if cluster is None:
            raise Failure(f"No cluster is called “{options['to']}”.")
        look_at(cluster)
        cluster.refresh_from_db()
        nodes = mapped(snapshot, cluster, options["map"])
        case = case_of(snapshot, cluster, nodes)
    except (Failure, BadManifest, recovery.BadSheet, OSError) as error:
        raise CommandError(str(error)) from None
    show(case, nodes, snapshot, stdout)
    if options["plan"]:
        return
    try:
        operation = restore_environment(
            snapshot,
            cluster,
            nodes,
            address=options["address"],
            accepted=options["yes"],
            by=SYSTEM,
        )
    except Failure as error:
        hint = " (--yes)" if case.plan.warnings and not case.plan.conflicts else ""
        raise CommandError(f"{error}{hint}", returncode=REFUSED) from None
    if options["wait"]:
        follow(operation, stdout)
    else:
        stdout.write(f"The restore is queued: operation {operation.pk}.\n")


def chosen(options: dict[str, Any], stdout: TextIO) -> Snapshot:
    """Return the snapshot that is meant; with a sheet the catalogue is made anew first."""
    name, _, moment = str(options["snapshot"]).partition("@")
    if sheet := read_sheet(options, "" if name.isdigit() else name, stdout):
        name = name or sheet.cluster
    if not name:
        raise Failure("Say which snapshot: CLUSTER, CLUSTER@TIME or its id.")
    rows = Snapshot.objects.restorable().select_related("cluster__company", "repository")
    if name.isdigit() and not moment:
        found = rows.filter(pk=int(name)).first()
    elif moment:
        found = rows.filter(cluster__slug=name, due=time_of(moment)).first()
    else:
        found = rows.filter(cluster__slug=name).order_by("-due").first()
    if found is None:
        raise Failure(f"There is no snapshot “{options['snapshot'] or name}” to restore from.")
    return found


def mapped(snapshot: Snapshot, cluster: Cluster, pairs: list[str]) -> dict[str, str]:
    """Return the map: what is said, and for the others what is obvious."""
    found = suggested(manifest_of(snapshot), places_of(cluster))
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise Failure(f"“{pair}” is no map of a node. Write --map OLD=NEW.")
        found[old] = new
    return found


def show(case: Case, nodes: dict[str, str], snapshot: Snapshot, stdout: TextIO) -> None:
    """Print the plan."""
    stdout.write(f"Snapshot of {snapshot}, cluster {snapshot.cluster.name}\n")
    stdout.writelines(f"  {old} -> {new}\n" for old, new in nodes.items())
    plan: Plan = case.plan
    for verdict, title in SHOWN.items():
        items = [item for item in plan.items if item.verdict == verdict]
        if items:
            stdout.write(f"{title}:\n")
        stdout.writelines(line(item) for item in items)
    if plan.warnings:
        stdout.write("Does not come back as it was:\n")
    stdout.writelines(f"  {warning}\n" for warning in plan.warnings)


def line(item: Item) -> str:
    """Return one object of the plan as a line."""
    detail = f": {item.detail}" if item.detail else ""
    return f"  {item.kind} {item.name}{detail}\n"


def follow(operation: Operation, stdout: TextIO) -> None:
    """Carry it to its end, and print how it compares with the manifest."""
    carry_on(operation, stdout)
    row = Restore.objects.get(operation=operation)
    report = row.result["report"]
    stdout.write(
        f"Done: {report['equal']} objects equal the manifest, {report['files']} files and "
        f"{report['bytes']:,} bytes came back.\n"
    )
