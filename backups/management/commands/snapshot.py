"""Take a snapshot of a cluster."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.actions.snapshots import snapshot_now
from backups.models import Snapshot
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM

CODES = {Snapshot.State.COMPLETE: 0, Snapshot.State.PARTIAL: 1}


class Command(BaseCommand):
    """Take a snapshot; with --wait, exit with 0 when it is complete, 1 partial, 2 failed.

    The worker has to be running: it does the work.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the cluster's short name."""
        parser.add_argument("cluster")
        parser.add_argument("--wait", action="store_true", help="print the progress to the end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Begin, and follow if asked to."""
        cluster = Cluster.objects.filter(slug=options["cluster"]).first()
        if cluster is None:
            raise CommandError(f"No cluster is called “{options['cluster']}”.")
        try:
            operation = snapshot_now(cluster, by=SYSTEM)
        except Failure as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{operation}: {operation.url}")
        if options["wait"]:
            sys.exit(self.follow(operation))

    def follow(self, operation: Operation) -> int:
        """Print what changes until it ends; return the exit code."""
        shown = ""
        while operation.is_active:
            time.sleep(0.5)
            operation.refresh_from_db()
            if (line := f"{operation.percentage} % {operation.detail}") != shown:
                self.stdout.write(shown := line)
        row = Snapshot.objects.get(pk=operation.target_id)
        self.stdout.write(f"The snapshot is {row.state}. {operation.error}")
        return CODES.get(Snapshot.State(row.state), 2)
