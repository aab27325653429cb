"""Real Engines: local nodes in a network of the tests' own, and the queue carried on in process."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from pytest_django.plugin import DjangoDbBlocker

from clusters import local
from clusters.engine import Engine
from clusters.gateway import on_manager, on_node
from clusters.local.images import demo_image
from clusters.models import Cluster, Node, Service
from clusters.tasks.refresh import refresh_cluster
from medstack.models import Company, Membership, Operation, User
from medstack.queue import enqueue
from tests.engines.repository_server import repository_server
from tests.signing import sign_in

IMAGE = "medstack/demo:1"


@pytest.fixture(scope="session")
def local_network() -> Iterator[dict[str, object]]:
    """Give the tests' nodes a folder, a bridge and a subnet that no console uses."""
    links = Path("/sys/class/net")
    # What a killed run left behind must not stop this one.
    number = next(
        n % 250
        for n in range(os.getpid(), os.getpid() + 250)
        if not (links / f"mst{n % 250}").exists()
    )
    root = Path(tempfile.mkdtemp(prefix="mst"))
    values: dict[str, object] = {
        "LOCAL_NODES_ROOT": root,
        "LOCAL_NODES_BRIDGE": f"mst{number}",
        "LOCAL_NODES_SUBNET": f"10.84.{number}.0/24",
    }
    with override_settings(**values):
        yield values
        local.sweep(set())


@pytest.fixture(scope="module")
def rows(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep rows for a whole module: its cluster takes too long to make for every test."""
    with django_db_blocker.unblock():
        yield


def run_due() -> int:
    """Run every task that is due now, as a worker would; say how many there were."""
    done = 0
    for row in OrmQ.objects.filter(lock__lte=timezone.now()):
        if OrmQ.objects.filter(pk=row.pk).delete()[0]:
            task = SignedPackage.loads(row.payload)
            import_string(task["func"])(*task["args"])
            done += 1
    return done


def work_until(condition: Callable[[], object], *, within: float = 120, what: str = "") -> None:
    """Carry the queue on until the condition holds; a task that waits comes back by itself."""
    until = time.monotonic() + within
    while not condition():
        if time.monotonic() > until:
            active = list(Operation.objects.filter(state__in=Operation.ACTIVE))
            words = [f"{o} step {o.step}: {o.detail}" for o in active]
            raise AssertionError(f"Not within {within} s: {what or condition}. {words}")
        if not run_due():
            time.sleep(0.1)


def finish(within: float = 120) -> None:
    """Carry every operation to its end."""
    work_until(
        lambda: not Operation.objects.filter(state__in=Operation.ACTIVE).exists(),
        within=within,
        what="every operation ends",
    )


class World:
    """A cluster on real Engines, and an operator in front of its pages."""

    def __init__(self, name: str, *, plain: bool = True) -> None:
        self.company = Company.objects.create(name=name)
        self.user = User.objects.create_user(f"{name}@clinic.example", "correct-horse-battery-9")
        Membership.objects.create(user=self.user, company=self.company, role=Membership.Role.OWNER)
        self.client = Client(REMOTE_ADDR="192.0.2.7")
        sign_in(self.client, self.user)
        self.client.post("/clusters/new/", {"name": name, "company": self.company.pk})
        self.cluster = Cluster.objects.get(company=self.company)
        if plain:
            # The lab setting of this kernel, which cannot encrypt between nodes.
            Cluster.objects.filter(pk=self.cluster.pk).update(lab_plain_network=True)
        self.url = f"/clusters/{self.cluster.slug}/"

    def post(self, path: str, status: int = 302, **data: Any) -> str:
        """Send a form to one of the cluster's pages and return the answer's text."""
        response = self.client.post(self.url + path, data)
        text: str = response.content.decode()
        assert response.status_code == status, (path, response.status_code, text[:3000])
        return text

    def page(self, path: str = "") -> str:
        """Return the text of one of the cluster's pages."""
        response = self.client.get(self.url + path)
        assert response.status_code == 200, (path, response.status_code)
        text: str = response.content.decode()
        return text

    def add_node(self, name: str, role: str = "worker") -> None:
        """Create a local node through its page."""
        self.post("nodes/new/local/", name=name, role=role)

    def node(self, name: str) -> Node:
        return Node.objects.present().get(cluster=self.cluster, name=name)

    def service(self, name: str) -> Service:
        return Service.objects.present().get(cluster=self.cluster, name=name)

    def last(self) -> Operation:
        """Return the newest operation of the cluster."""
        found = Operation.objects.filter(cluster=self.cluster).first()
        assert found
        return found

    def done(self, within: float = 120) -> Operation:
        """Carry everything on and return the newest operation, which must have worked."""
        finish(within)
        operation = self.last()
        assert operation.state == "done", (str(operation), operation.error, operation.log)
        return operation

    def failed(self, within: float = 120) -> str:
        """Carry everything on and return the newest operation's error."""
        finish(within)
        operation = self.last()
        assert operation.state == "failed", (str(operation), operation.log)
        return operation.error

    def refresh(self) -> None:
        """Look at the cluster now."""
        refresh_cluster(self.cluster.pk)

    def load_images(self) -> None:
        """Put the test image on every node: no registry can be reached."""
        for node in Node.objects.present().filter(cluster=self.cluster):
            # A stream can be read once: the second node would get an empty image.
            archive, changes = demo_image()
            with on_node(node, timeout=60) as engine:
                engine.image_import(archive, "medstack/demo", "1", changes)
        self.refresh()

    def manager(self) -> AbstractContextManager[Engine]:
        """Open a manager's Engine, to look behind the console's back."""
        return on_manager(self.cluster, timeout=20)


__all__ = ["IMAGE", "World", "enqueue", "finish", "repository_server", "run_due", "work_until"]


@pytest.fixture(scope="module")
def world(
    rows: None, local_network: dict[str, object], request: pytest.FixtureRequest
) -> Iterator[World]:
    """Return a cluster of this module's own; its nodes are created by the module's tests."""
    found = World(request.module.__name__.rpartition("test_")[2].replace("_", "-"))
    yield found
    # The next module has the machine for itself.
    for node in Node.objects.filter(cluster=found.cluster, provider=Node.Provider.LOCAL):
        local.destroy(node.local_name)
