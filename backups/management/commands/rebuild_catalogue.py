"""Make the console's rows of backups anew from the repositories, which are the truth."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from backups import adoption, recovery, restic
from backups.models import Protection, Repository, Snapshot, VolumeBackup
from backups.server import serving
from backups.sheets import repository_of
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Company
from medstack.models.events import SYSTEM


class Command(BaseCommand):
    """Take up every snapshot that has no rows; what has rows already stays as it is.

    With `--sheet` the cluster and its repository are made first, from a recovery sheet: so an empty
    console gets at the backups of one that was lost.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a cluster, or a sheet and the company that the cluster will belong to."""
        parser.add_argument("cluster", nargs="?", help="its short name; all are done if none")
        parser.add_argument("--sheet", type=Path, help="file with the recovery sheet")
        parser.add_argument("--company", help="its name; not needed where there is only one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild and count."""
        try:
            clusters = self.chosen(options)
        except (recovery.BadSheet, Failure, OSError) as error:
            raise CommandError(str(error)) from None
        for cluster in clusters:
            for row in Repository.objects.filter(cluster=cluster).exclude(initialised_at=None):
                self.rebuild(cluster, row)

    def chosen(self, options: dict[str, Any]) -> list[Cluster]:
        """Return the clusters to do."""
        if options["sheet"]:
            text = options["sheet"].read_text()
            sheet = recovery.parse(text, cluster=options["cluster"] or "")
            return [from_sheet(sheet, options["company"])]
        rows = Cluster.objects.select_related("company")
        if options["cluster"]:
            rows = rows.filter(slug=options["cluster"])
            if not rows:
                raise Failure(f"No cluster is called “{options['cluster']}”.")
        return list(rows)

    def rebuild(self, cluster: Cluster, row: Repository) -> None:
        """Take up what one repository holds."""
        before = Snapshot.objects.count(), VolumeBackup.objects.count()
        try:
            problems = adoption.adopt(cluster, row)
        except (Failure, restic.ResticError) as error:
            raise CommandError(f"{cluster}: {error}") from None
        snapshots = Snapshot.objects.count() - before[0]
        backups = VolumeBackup.objects.count() - before[1]
        self.stdout.write(
            f"{cluster}: {snapshots} snapshots and {backups} backups of volumes were taken up."
        )
        for problem in problems:
            self.stderr.write(f"{cluster}: {problem}")


@transaction.atomic
def from_sheet(sheet: recovery.Sheet, company_name: str | None) -> Cluster:
    """Return the cluster of a sheet with its repository, made where there is none."""
    cluster = Cluster.objects.filter(slug=sheet.cluster).first()
    if cluster is None:
        companies = Company.objects.all()
        if company_name:
            companies = companies.filter(name=company_name)
        if companies.count() != 1:
            raise Failure("Say with --company which company the cluster belongs to.")
        cluster = Cluster.objects.create(
            company=companies.get(), name=sheet.name, slug=sheet.cluster
        )
        record("cluster.recovered", cluster, cluster, by=SYSTEM)
    Protection.objects.get_or_create(cluster=cluster)
    if not Repository.objects.filter(cluster=cluster).exclude(initialised_at=None).exists():
        row = repository_of(sheet, cluster)
        row.initialised_at = timezone.now()
        if not restic.exists(sheet.repository):
            raise Failure("There is no repository at the place that the sheet names.")
        row.save()
        if row.kind == Repository.Kind.EMBEDDED:
            serving.write_users()
        record("repository.recovered", row, cluster, by=SYSTEM, after={"kind": row.kind})
    return cluster
