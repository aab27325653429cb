"""Verify an evidence report: that this console signed it, and that nothing in it was changed."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from backups.evidence.signing import BadEvidence, public_keys, signing_keys, verify
from backups.models import EvidenceReport
from medstack.failures import Failure


class Command(BaseCommand):
    """Say what a file is, or what is wrong with it."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file, and a public key instead of this console's own."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--key", type=Path, help="a public key in PEM, as it was downloaded")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify the file, and name its row where this console has it."""
        try:
            keys = public_keys(options["key"]) if options["key"] else signing_keys().known
            found = verify(options["file"], keys)
        except (BadEvidence, Failure) as error:
            raise CommandError(str(error)) from None
        self.stdout.write("Verified: the content is what was signed, byte by byte.")
        self.stdout.write(f"Format: {found.form.upper()}")
        self.stdout.write(f"SHA-256 of the content: {found.digest}")
        self.stdout.write(f"Signed with the key {found.key.fingerprint}")
        if options["key"]:
            return
        row = EvidenceReport.objects.filter(sha256=found.digest).first()
        if row:
            self.stdout.write(
                f"Report {row.pk}, made {row.made_at:%Y-%m-%d %H:%M:%S} UTC by {row.made_by_name}."
            )
        else:
            self.stdout.write("This console's database has no row of it.")
