"""Check that nobody changed, removed or cut off audit records."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups import anchors, restic
from medstack import chain, sealing
from medstack.failures import Failure
from medstack.models import Company


class Command(BaseCommand):
    """Check the audit chains of all companies, or of one; exit code 1 when one is broken.

    Their ends are compared with what the snapshots' manifests wrote down; `--repositories` reads
    those from the repositories themselves, which somebody with the database alone cannot alter.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer one company, and the longer check."""
        parser.add_argument(
            "company", nargs="?", help="the company's name; all are checked if none"
        )
        parser.add_argument(
            "--repositories",
            action="store_true",
            help="read the anchors from the repositories instead of the console's rows",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check one chain after the other and say what was found."""
        companies: list[Company | None] = list(Company.objects.all())
        if options["company"]:
            companies = [one for one in companies if one and one.name == options["company"]]
            if not companies:
                raise CommandError(f"No company is called “{options['company']}”.")
        else:
            companies.append(None)
        broken = [one for one in companies if not self.is_whole(one, options["repositories"])]
        if broken:
            raise CommandError("The audit record is not what it was.")

    def is_whole(self, company: Company | None, in_repositories: bool) -> bool:
        """Check one company's chain, and say what is wrong with it."""
        name, pk = (company.name, company.pk) if company else ("No company", None)
        heads: anchors.Heads = {}
        if pk is not None:
            try:
                heads = (anchors.from_repositories if in_repositories else anchors.from_rows)(pk)
            except (Failure, restic.ResticError) as error:
                raise CommandError(f"{name}: {error}") from None
        sealing.seal(pk)
        found = list(chain.faults(sealing.links(pk), heads))
        if left := sealing.unsealed(pk):
            found.append(f"{left} records are in no chain.")
        for fault in found:
            self.stderr.write(f"{name}: {fault}")
        if not found:
            end = sealing.head(pk)
            self.stdout.write(
                f"{name}: {end.get('number', 0)} records, unbroken, {len(heads)} anchors agree."
            )
        return not found
