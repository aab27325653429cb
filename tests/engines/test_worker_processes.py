"""The worker as real processes: they die together, share the database, and block nobody."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import close_old_connections
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from clusters.models import Cluster, Node, Volume
from clusters.tasks.refresh import enqueue_refresh
from medstack.models import Company, Membership, Operation, User
from tests.engines.workers import Worker, clock, until
from tests.fake_engine import FakeEngine
from tests.signing import give_factor, sign_in

pytestmark = pytest.mark.engines

BURST = 200


@pytest.fixture(scope="module")
def company(rows: None) -> Company:
    return Company.objects.create(name="Worker processes")


@pytest.fixture(scope="module")
def person(company: Company) -> User:
    user = User.objects.create_user("wanda@clinic.example", "correct-horse-battery-9")
    Membership.objects.create(user=user, company=company, role=Membership.Role.OWNER)
    return user


@pytest.fixture
def worker(company: Company, local_network: dict[str, object], tmp_path: Path) -> Iterator[Worker]:
    OrmQ.objects.all().delete()
    worker = Worker(tmp_path / "worker.log")
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()
        # Nothing of this module is left for the console's other tests to carry on.
        OrmQ.objects.all().delete()
        Node.objects.filter(cluster__company=company).update(removed_at=timezone.now())


def cluster_on(fake: FakeEngine, company: Company, name: str) -> tuple[Cluster, Node]:
    """Make a cluster whose one node is a fake Engine."""
    number = Cluster.objects.count()
    cluster = Cluster.objects.create(
        company=company, name=f"{name}-{number}", slug=f"{name}-{number}", swarm_id=name
    )
    node = Node.objects.create(
        cluster=cluster,
        name="node-1",
        endpoint_url=fake.url,
        role=Node.Role.MANAGER,
        swarm_node_id=f"{name}-node",
        swarm_state="ready",
        seen_at=timezone.now(),
    )
    return cluster, node


def test_processes_of_a_worker_that_is_killed_die_with_it(worker: Worker) -> None:
    worker.wait_until_it_works()
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.process is not None
    worker.process.wait()
    until(lambda: not worker.members(), within=5, what="no process outlives the first one")


def test_processes_of_a_guard_that_is_killed_die_with_it_and_the_worker_ends(
    worker: Worker,
) -> None:
    worker.wait_until_it_works()
    guard = int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])
    os.kill(guard, signal.SIGKILL)
    until(lambda: not worker.members(), within=30, what="the supervisor can start a new one")


def test_a_worker_that_is_asked_to_stop_ends_and_leaves_nothing(worker: Worker) -> None:
    worker.wait_until_it_works()
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.process is not None
    assert worker.process.wait(timeout=30) == 0
    until(lambda: not worker.members(), within=5, what="all of it has ended")


def test_a_cluster_whose_engine_hangs_does_not_keep_another_from_being_looked_at(
    worker: Worker, company: Company, tmp_path: Path
) -> None:
    released = threading.Event()
    with (
        FakeEngine(tmp_path / "hanging.sock") as hanging,
        FakeEngine(tmp_path / "well.sock") as well,
    ):
        hanging.hold("*", released.wait)
        silent, _ = cluster_on(hanging, company, "silent")
        other, _ = cluster_on(well, company, "well")
        assert enqueue_refresh(silent.pk)
        until(lambda: hanging.calls, what="the hanging Engine is being asked")
        assert not enqueue_refresh(silent.pk, older_than=0), "It is being looked at still."
        assert enqueue_refresh(other.pk)
        until(lambda: seen(other), within=4, what="the other cluster is looked at")
        assert not Node.objects.get(cluster=silent).last_error, "Nobody has given up on it yet."
        until(lambda: Node.objects.get(cluster=silent).last_error, what="the silence is noted")
        released.set()
        until(lambda: enqueue_refresh(silent.pk, older_than=0), what="it may be looked at again")


def seen(cluster: Cluster) -> bool:
    """Say whether the console has looked at a cluster."""
    return Cluster.objects.get(pk=cluster.pk).observed_at is not None


def test_a_burst_of_operations_and_visitors_never_finds_the_database_locked(
    worker: Worker, company: Company, person: User, tmp_path: Path
) -> None:
    with FakeEngine(tmp_path / "docker.sock") as fake, clock(tmp_path / "clock.log"):
        fake.info["Swarm"]["ControlAvailable"] = True
        cluster, node = cluster_on(fake, company, "busy")
        # Before they sign in: at the same moment each would give the person a factor.
        give_factor(person)
        url = f"/clusters/{cluster.slug}/"

        def visit(visitor: int) -> None:
            client = Client()
            sign_in(client, person)
            for number in range(visitor, BURST, 4):
                form = {"name": f"data-{number}", "node": node.pk, "kind": "local"}
                assert client.post(f"{url}docker/volumes/new/", form).status_code == 302
                assert client.get(url).status_code == 200
            close_old_connections()

        with ThreadPoolExecutor(4) as visitors:
            list(visitors.map(visit, range(4)))
        mine = Operation.objects.filter(cluster=cluster)
        until(
            lambda: not mine.filter(state__in=Operation.ACTIVE).exists(),
            within=120,
            what="the burst is worked off",
        )
        assert mine.filter(state="done").count() == BURST
        assert fake.calls.count("POST /volumes/create") == BURST, "Nothing was done twice."
        assert Volume.objects.present().filter(node=node).count() == BURST
        for log in (worker.words(), (tmp_path / "clock.log").read_text()):
            assert "database is locked" not in log
            assert "Traceback" not in log, log[-3000:]
