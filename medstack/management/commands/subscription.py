"""Change the state of a company's subscription."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from medstack.actions.subscriptions import change_subscription, extend_grace
from medstack.failures import Failure
from medstack.models import Company
from medstack.models.events import SYSTEM


class Command(BaseCommand):
    """Set a subscription's state, or the days of a cancelled one's grace; it is recorded."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the company's name and what becomes of it."""
        parser.add_argument("company")
        parser.add_argument("state", nargs="?", choices=Company.Subscription.values[:3])
        parser.add_argument("--grace", type=int, metavar="DAYS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say how it stands."""
        company = Company.objects.filter(name=options["company"]).first()
        if company is None:
            raise CommandError(f"No company is called “{options['company']}”.")
        try:
            if options["state"]:
                change_subscription(company, options["state"], by=SYSTEM)
            if options["grace"]:
                extend_grace(company, options["grace"], by=SYSTEM)
        except Failure as error:
            raise CommandError(str(error)) from None
        company.refresh_from_db()
        ends = company.grace_ends_at
        until = f", everything is deleted at {ends:%Y-%m-%d %H:%M} UTC" if ends else ""
        self.stdout.write(f"{company}: {company.get_subscription_display().lower()}{until}.")
