"""Create the first Owner, with a password that works once."""

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from medstack.models import Company, Event, Membership, User
from medstack.models.events import SYSTEM


class Command(BaseCommand):
    """Create a company and its Owner, unless there is a user already."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the Owner's address and the company's name."""
        parser.add_argument("--email", default="owner@medstack.localhost")
        parser.add_argument("--company", default="My company")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Print the login once; it is stored nowhere in clear."""
        if User.objects.exists():
            return
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        user = User.objects.create_user(options["email"], password, must_change_password=True)
        company = Company.objects.create(name=options["company"])
        Membership.objects.create(user=user, company=company, role=Membership.Role.OWNER)
        Event.objects.record("user.created", user, by=SYSTEM, company=company)
        self.stdout.write(f"First login: {user.email}")
        self.stdout.write(f"Password:    {password}   (to be changed at the first sign-in)")
