"""Clusters on Engines that speak the wire only, so that they can be made unwell."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone
from django_q.models import OrmQ

from clusters.models import Cluster, Node, Service
from medstack.models import Operation, User
from medstack.models.events import Actor
from tests.fake_engine import FakeEngine

Fakes = Callable[..., FakeEngine]
Json = dict[str, Any]
WORDS = "driver failed programming external connectivity"


@contextmanager
def fake_engines(folder: Path) -> Iterator[Fakes]:
    """Start fake Engines; each says that it is a manager, as the first node's does."""
    with ExitStack() as stack:

        def begin(name: str = "one", **versions: str) -> FakeEngine:
            fake = FakeEngine(folder / f"{name}.sock", **versions)
            fake.info |= {
                "Swarm": {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": name}
            }
            return stack.enter_context(fake)

        yield begin


def attach(node: Node, fake: FakeEngine) -> None:
    """Let a node be the one on which the fake runs, also in the swarm's list."""
    Node.objects.filter(pk=node.pk).update(endpoint_url=fake.url)
    node.refresh_from_db()
    list_in_swarm(node, fake)


def list_in_swarm(node: Node, manager: FakeEngine) -> None:
    """Let a manager list a node as a member that is ready."""
    manager.state["nodes"][node.swarm_node_id] = {
        "ID": node.swarm_node_id,
        "Version": {"Index": 11},
        "Spec": {"Role": node.role, "Availability": "active", "Labels": {}},
        "Description": {"Hostname": node.name},
        "Status": {"State": "ready"},
    }


def more_nodes(cluster: Cluster, fakes: Callable[..., FakeEngine], count: int) -> list[FakeEngine]:
    """Give the cluster workers with a fake Engine each."""
    found = []
    for number in range(count):
        fake = fakes(f"w{number}")
        Node.objects.create(
            cluster=cluster,
            name=f"worker-{number}",
            endpoint_url=fake.url,
            swarm_node_id=f"worker{number}",
            swarm_state="ready",
            seen_at=timezone.now(),
        )
        found.append(fake)
    return found


def service_on(fake: FakeEngine, cluster: Cluster, **spec: Any) -> Service:
    """Make a service that the swarm runs just as the row says."""
    wanted = {
        "Name": "web",
        "Labels": {"medstack.generation": "1"},
        "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1.27"}},
        "Mode": {"Replicated": {"Replicas": 1}},
        **spec,
    }
    live = fake.add("services", "web", wanted)
    return Service.objects.create(
        cluster=cluster,
        name="web",
        spec=wanted,
        applied=live["Spec"],
        readback=live["Spec"],
        observed=live["Spec"],
        observed_version=live["Version"]["Index"],
        applied_generation=1,
        engine_id=live["ID"],
    )


def replicas(fake: FakeEngine, service: Service) -> int:
    """Return how many replicas the swarm has been told to run."""
    return int(fake.state["services"][service.engine_id]["Spec"]["Mode"]["Replicated"]["Replicas"])


def by(user: User) -> Actor:
    return Actor(user, "192.0.2.7")


def let_time_pass() -> None:
    """Let what waits for its next attempt be due."""
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))
    Operation.objects.exclude(not_before=None).update(not_before=timezone.now())
