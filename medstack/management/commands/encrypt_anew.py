"""Take a former field key out of use."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from medstack.crypto import encrypt_anew


class Command(BaseCommand):
    """Encrypt everything at rest with the first field key, so that former keys can be removed."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Go through all tables and say how many rows each had."""
        for name, count in encrypt_anew():
            self.stdout.write(f"{name}: {count} encrypted with the first key")
        former = len(settings.FIELD_KEYS) - 1
        if former:
            self.stdout.write(
                f"The file holds {former} former key(s). Remove them, and end the sessions that "
                "were begun before by waiting 12 hours first, or by signing everybody in again."
            )
