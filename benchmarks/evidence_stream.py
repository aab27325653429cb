"""A CSV report of 1,000,000 backups is streamed in less than 200 MB of memory.

The rows are made in a database of its own. Memory is this process's own peak while it streams, so
that the rows are made in another process; ten times as many rows must not take more.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

LIMIT = 200_000_000
ROWS = 1_000_000
VOLUMES = 40
FIRST = datetime(2023, 1, 1, tzinfo=UTC)


def start() -> None:
    """Start Django; the environment names the state folder."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medstack.settings")
    django.setup()


def fill(rows: int) -> None:
    """Make the database with so many backups."""
    start()
    from django.core.management import call_command

    from clusters.models import Cluster, Node
    from medstack.models import Company
    from tests.catalogues import filled, protected

    call_command("migrate", verbosity=0)
    company = Company.objects.create(name="Large Hospital")
    cluster = Cluster.objects.create(company=company, name="Production", slug="production")
    node = Node.objects.create(cluster=cluster, name="node-1", provider="attach")
    names = tuple(f"volume-{number:02d}" for number in range(VOLUMES))
    repository = protected(cluster, FIRST)
    filled(cluster, node, repository, first=FIRST, hours=rows // VOLUMES, volumes=names)


def stream() -> None:
    """Stream a report over all of it, and print bytes, seconds, and peaks of memory."""
    start()
    from backups.actions import evidence as actions
    from backups.evidence import download
    from backups.evidence.facts import Question
    from backups.evidence.signing import signing_keys
    from backups.schedule import Window
    from clusters.models import Cluster
    from medstack.models.events import SYSTEM

    cluster = Cluster.objects.select_related("company").get()
    window = Window(FIRST, datetime(2026, 11, 1, tzinfo=UTC))
    keys = signing_keys()
    report = actions.begin(cluster.company, cluster, window, "csv", by=SYSTEM)
    question = Question(
        number=report.pk,
        company=cluster.company,
        clusters=[cluster],
        window=window,
        made_at=report.made_at,
        made_by=SYSTEM.name,
        signing_key=keys.public.fingerprint,
    )
    began, length = time.monotonic(), 0
    for piece in download.sealed(report, question, keys, by=SYSTEM):
        length += len(piece)
    took = time.monotonic() - began
    report.refresh_from_db()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(report.rows, length, f"{took:.1f}", peak)


def pages() -> None:
    """Print how long the slowest queries of the list take over all of it."""
    start()
    from backups.models import VolumeBackup
    from clusters.models import Cluster

    rows = VolumeBackup.objects.filter(cluster__in=Cluster.objects.all()[:1].values("pk"))
    one = VolumeBackup.objects.filter(cluster=Cluster.objects.get())
    asked: dict[str, Callable[[], object]] = {
        "newest page": lambda: list(one.order_by("-due", "pk")[:50]),
        "page 200": lambda: list(one.order_by("-due", "pk")[9_950:10_000]),
        "by size": lambda: list(one.order_by("-bytes", "pk")[:50]),
        "counting": one.order_by()[:10_001].count,
        "all clusters, newest page": lambda: list(rows.order_by("-due", "pk")[:50]),
        "search that finds nothing": lambda: list(one.filter(volume_name__icontains="zz")[:50]),
    }
    for name, ask in asked.items():
        began = time.monotonic()
        ask()
        print(f"  {name}: {(time.monotonic() - began) * 1000:.0f} ms")


def main() -> int:
    """Measure with a tenth of the rows and with all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", choices=("fill", "stream", "pages"))
    parser.add_argument("--rows", type=int, default=ROWS)
    asked = parser.parse_args()
    if asked.step:
        {"fill": lambda: fill(asked.rows), "stream": stream, "pages": pages}[asked.step]()
        return 0
    peaks = []
    for rows in (asked.rows // 10, asked.rows):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"MEDSTACK_STATE": folder}
            environment.pop("DATABASE_URL", None)

            def run(*words: str, env: dict[str, str] = environment) -> str:
                command = [sys.executable, *words]
                return subprocess.run(
                    command, env=env, check=True, text=True, stdout=subprocess.PIPE
                ).stdout

            run(str(Path(__file__).parent.parent / "manage.py"), "init_keys")
            run("-m", "benchmarks.evidence_stream", "--step", "fill", "--rows", str(rows))
            said = run("-m", "benchmarks.evidence_stream", "--step", "stream").split()
            count, length, took, peak = int(said[0]), int(said[1]), float(said[2]), int(said[3])
            peaks.append(peak)
            print(
                f"{count:,} backups: {length / 1e6:.0f} MB of CSV in {took:.1f} s "
                f"({count / took:,.0f} a second), peak {peak / 1e6:.0f} MB"
            )
            if rows == asked.rows:
                print(run("-m", "benchmarks.evidence_stream", "--step", "pages"), end="")
    print(f"Ten times as many rows: {peaks[1] / peaks[0]:.2f}x the memory (limit 200 MB)")
    return int(peaks[1] >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
