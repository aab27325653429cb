"""Fill an empty PostgreSQL database with the rows of a large installation.

At scale 1: 20 companies, 100 clusters, 1,000 nodes, 5,000 services, 25,000 tasks, 100,000
operations, 100,000 snapshots with 2,000,000 backups of volumes, and 1,000,000 audit records. The
records are sealed into their companies' chains by the product's own functions, and one chain is
read back and verified. Run as
`DATABASE_URL=postgresql://… python -m benchmarks.large.seed --scale 0.01`.
"""

import argparse
import os
import time
from itertools import islice

from benchmarks.large import environments, histories
from benchmarks.large.size import Size

STEPS = (
    environments.people,
    environments.clusters,
    environments.objects,
    environments.services,
    histories.operations,
    histories.snapshots,
    histories.backups,
    histories.events,
)


def main() -> None:
    """Make the rows, and say how long each kind took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1)
    size = Size(parser.parse_args().scale)

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medstack.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor != "postgresql":
        raise SystemExit("DATABASE_URL must name a PostgreSQL database.")
    call_command("migrate", verbosity=0)
    began = time.monotonic()
    for step in STEPS:
        since = time.monotonic()
        step(size)
        print(f"  {step.__name__}: {time.monotonic() - since:.0f} s", flush=True)
    # What a database does by itself within minutes.
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    verified(size)
    print(f"  all: {time.monotonic() - began:.0f} s", flush=True)


def verified(size: Size) -> None:
    """Read one company's chain back as an auditor does; a fault in it is a fault here."""
    from medstack.chain import faults
    from medstack.models import Company
    from medstack.sealing import links

    company = Company.objects.order_by("pk")[size.companies // 2]
    found = list(islice(faults(links(company.pk)), 3))
    if found:
        raise SystemExit(f"The chain of {company} is broken: {found}")


if __name__ == "__main__":
    main()
