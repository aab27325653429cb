"""Reading 200 Engines that answer after 50 ms each takes less than a second per refresh.

One swarm of 200 simulated nodes behind unix sockets, each of whose answers is 50 ms late; a whole
refresh of the cluster, with what it writes into the database, is printed beside it.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.large import postgresql
from benchmarks.simulated import engines

COUNT, DELAY, LIMIT = 200, 0.05, 1.0
ROUNDS = 7


def main() -> int:
    """Measure and say whether the promise is kept."""
    with (
        tempfile.TemporaryDirectory(prefix="msb") as name,
        postgresql.running(postgresql.opened(Path(name)) / "postgresql") as server,
        engines.running("swarm", Path(name), COUNT, DELAY),
    ):
        folder = Path(name)
        server.create("refresh")
        os.environ["DATABASE_URL"] = server.url("refresh")
        postgresql.with_keys(folder / "state")
        return measure(folder)


def measure(folder: Path) -> int:
    """Refresh again and again; the first time, when everything is new, counts for itself."""
    import django

    django.setup()
    from django.core.management import call_command

    from clusters import observation
    from clusters.models import Cluster, Node
    from clusters.tasks.refresh import look_at
    from medstack.models import Company

    call_command("migrate", verbosity=0)
    company = Company.objects.create(name="Hospital")
    cluster = Cluster.objects.create(company=company, name="Large", slug="large", swarm_id="swarm")
    Node.objects.bulk_create(
        Node(
            cluster=cluster,
            name=engines.name_of(number),
            provider=Node.Provider.ATTACH,
            endpoint_url=f"unix://{folder}/{engines.name_of(number)}.sock",
            role=Node.Role.MANAGER if number < 3 else Node.Role.WORKER,
            swarm_node_id=f"id-{engines.name_of(number)}",
        )
        for number in range(COUNT)
    )
    nodes = list(Node.objects.present().filter(cluster=cluster))
    managers = [node.endpoint for node in nodes if node.role == Node.Role.MANAGER]
    endpoints = {node.pk: node.endpoint for node in nodes}
    reads, wholes = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found, swarm = observation.read_cluster(endpoints, managers, sizes=False)
        reads.append(time.perf_counter() - began)
        assert not any(one.error for one in found.values()), found
        assert len(swarm.nodes) == COUNT, swarm.error
        cluster.refresh_from_db()
        began = time.perf_counter()
        look_at(cluster)
        wholes.append(time.perf_counter() - began)
    print(f"{COUNT} Engines, each answer after {DELAY * 1000:.0f} ms")
    print(f"  reading them: {said(reads)} (limit {LIMIT:.0f} s)")
    print(f"  a whole refresh, rows written: {said(wholes[1:])}; the first one {wholes[0]:.2f} s")
    one_by_one = COUNT * 5 * DELAY
    print(f"  one after the other would take {one_by_one:.0f} s: {one_by_one / median(reads):.0f}x")
    return int(median(reads) >= LIMIT)


def said(taken: list[float]) -> str:
    """Return the median and the worst of some times."""
    return f"{median(taken):.2f} s, at worst {max(taken):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
