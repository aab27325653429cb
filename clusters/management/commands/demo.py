"""Bring up the demo cluster: two local nodes and an application of two services."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from clusters import demo
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Company

PATIENCE = 240


class Command(BaseCommand):
    """Do what is missing until the demo runs; the console's worker does the work."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how long to follow it."""
        parser.add_argument("--wait", type=int, default=PATIENCE, help="seconds")
        parser.add_argument(
            "--door", action="store_true", help="print where its load balancer listens, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Follow the demo to its end, and say in one line at a time what it waits for."""
        if options["door"]:
            self.stdout.write(demo.door())
            return
        reasons = demo.can_run()
        if reasons:
            self.stdout.write("No demo cluster here: " + " ".join(reasons))
            return
        company = Company.objects.order_by("pk").first()
        if company is None:
            raise CommandError("Create the first Owner before the demo (manage.py first_owner).")
        until, said = time.monotonic() + options["wait"], ""
        while (waiting := self.step(company)) and time.monotonic() < until:
            if waiting != said:
                self.stdout.write(f"Demo: {waiting}", ending="\n")
                self.stdout.flush()
                said = waiting
            time.sleep(0.5)
        if waiting:
            raise CommandError(f"The demo is not up yet. {waiting}")
        slug = Cluster.objects.get(company=company, name=demo.NAME).slug
        self.stdout.write(f"Demo: the cluster runs: /clusters/{slug}/")

    def step(self, company: Company) -> str:
        """Do the next thing; an Engine that does not answer yet is waited for."""
        try:
            return demo.missing(company)
        except Failure as error:
            return str(error)
        except IntegrityError:
            # Another demo command was faster; look again.
            return "Somebody else is bringing up the demo, too."
