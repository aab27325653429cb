"""Four workers finish a queue of 400 captures at least 3.2 times as fast as one.

400 clusters, each with a simulated Engine that answers after 25 ms. Each capture is the product's
own operation, asked for by its own action and carried on by `manage.py worker`: bring the agents
up to date, capture on every node. Its last step, which reads the repository, is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.large import postgresql
from benchmarks.simulated import engines

COUNT, DELAY, LIMIT = 400, 0.025, 3.2
WORKERS = (1, 4)
LONGEST = 3600


def main() -> int:
    """Measure with each number of workers and say whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--workers", type=int, help="Only once, in this process.")
    asked = parser.parse_args()
    if asked.workers:
        print(json.dumps(one_round(Path(os.environ["MEDSTACK_STATE"]).parent, asked.count)))
        return 0
    taken = {}
    for workers in WORKERS:
        found = separately(workers, asked.count)
        taken[workers] = found["seconds"]
        print(
            f"{workers} {'worker' if workers == 1 else 'workers'}: {asked.count} captures in "
            f"{found['seconds']:.0f} s, {asked.count / found['seconds']:.1f} a second; "
            f"processor time {found['cpu'] / asked.count * 1000:.0f} ms each",
            flush=True,
        )
    ratio = taken[WORKERS[0]] / taken[WORKERS[1]]
    print(f"{ratio:.2f} times as fast (at least {LIMIT})")
    return int(ratio < LIMIT)


def separately(workers: int, count: int) -> dict[str, float]:
    """Run one round with a database, Engines and processes of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="msb") as name,
        postgresql.running(postgresql.opened(Path(name)) / "postgresql") as server,
        engines.running("captures", Path(name), count, DELAY),
    ):
        server.create("workers")
        postgresql.with_keys(Path(name) / "state")
        more = {
            "DATABASE_URL": server.url("workers"),
            "DJANGO_SETTINGS_MODULE": "benchmarks.simulated.worker_settings",
            "BENCHMARK_WORKERS": str(workers),
            "MEDSTACK_AGENT_IMAGE": engines.AGENT_IMAGE,
        }
        command = [sys.executable, "-m", "benchmarks.workers"]
        command += ["--workers", str(workers), "--count", str(count)]
        ended = subprocess.run(
            command, env=os.environ | more, check=True, text=True, stdout=subprocess.PIPE
        )
        found: dict[str, float] = json.loads(ended.stdout)
        return found


def one_round(folder: Path, count: int) -> dict[str, float]:
    """Ask for the captures, start the workers, and wait until all have ended."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db.models import Max, Min

    from backups.actions.snapshots import snapshot_now
    from clusters.models import Cluster
    from medstack.models import Operation
    from medstack.models.events import SYSTEM

    call_command("migrate", verbosity=0)
    seed(folder, count)
    for cluster in Cluster.objects.select_related("company"):
        snapshot_now(cluster, by=SYSTEM)
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "worker"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + LONGEST
        while Operation.objects.filter(state__in=Operation.ACTIVE).exists():
            assert time.monotonic() < until, "They do not end."
            assert worker.poll() is None, (folder / "worker.log").read_text()
            time.sleep(1)
    finally:
        worker.terminate()
        _, _, usage = os.wait4(worker.pid, 0)
    failed = Operation.objects.exclude(state=Operation.State.DONE)
    assert not failed.exists(), (folder / "worker.log").read_text()
    times: dict[str, Any] = Operation.objects.aggregate(
        first=Min("started_at"), last=Max("ended_at")
    )
    seconds = (times["last"] - times["first"]).total_seconds()
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime}


def seed(folder: Path, count: int) -> None:
    """Make the clusters, each with a node whose agent runs and a repository that is ready."""
    from django.utils import timezone

    from backups.models import Agent, Protection, Repository
    from clusters.models import Cluster, Node
    from medstack.models import Company

    now = timezone.now()
    company = Company.objects.create(name="Hospital")
    names = [engines.name_of(number) for number in range(count)]
    clusters = Cluster.objects.bulk_create(
        Cluster(company=company, name=name, slug=name, swarm_id=f"swarm-{name}") for name in names
    )
    nodes = Node.objects.bulk_create(
        Node(
            cluster=cluster,
            name=cluster.name,
            provider=Node.Provider.ATTACH,
            endpoint_url=f"unix://{folder}/{cluster.name}.sock",
            role=Node.Role.MANAGER,
            swarm_node_id=f"id-{cluster.name}",
            swarm_state="ready",
            seen_at=now,
            images=[engines.AGENT_IMAGE],
        )
        for cluster in clusters
    )
    Agent.objects.bulk_create(
        Agent(node=node, version="1", state="running", observed_at=now) for node in nodes
    )
    Protection.objects.bulk_create(Protection(cluster=one, since=now) for one in clusters)
    Repository.objects.bulk_create(
        Repository(
            cluster=one,
            folder=one.slug,
            password="a password",
            node_access=json.dumps({"password": "another"}),
            initialised_at=now,
        )
        for one in clusters
    )


if __name__ == "__main__":
    sys.exit(main())
