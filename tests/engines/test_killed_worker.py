"""The worker is killed again and again; nothing is lost, nothing is done twice, nothing hangs."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from clusters import local
from clusters.models import Node, Secret, Service, Volume
from medstack.models import Event, Operation
from tests.engines.acting import create, live
from tests.engines.conftest import World
from tests.engines.workers import Worker, clock, until

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]

SEED = 20240613
KILLS = 10
MOUNTED: dict[str, Any] = {"secrets-0-name": "password"}


class Killer:
    """Kills the worker at random moments in the middle of its work, and counts how often."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.world, self.worker = world, worker
        self.random = random.Random(SEED)
        self.kills = 0
        self.caught: list[str] = []

    def strike(self, *, within: float) -> None:
        """Wait until an operation is being carried on, then kill at a random moment of it."""
        until(self.is_working, what="a worker holds an operation")
        # Not a wait for something: the moment itself is what is random.
        time.sleep(self.random.uniform(0, within))
        self.caught += [f"{o.kind} step {o.step + 1} of {len(o.steps)}" for o in self.active()]
        self.worker.kill()
        self.kills += 1

    def active(self) -> list[Operation]:
        found = Operation.objects.filter(cluster=self.world.cluster, state__in=Operation.ACTIVE)
        return list(found)

    def is_working(self) -> bool:
        """Say whether some operation is in the hands of a worker at this moment."""
        now = timezone.now()
        return any(o.not_before and o.not_before > now for o in self.active())

    def restart(self) -> None:
        """Start the worker again as if half a minute had passed: the dead one's holds are over."""
        past = timezone.now() - timedelta(seconds=30)
        Operation.objects.filter(state__in=Operation.ACTIVE).update(not_before=past)
        OrmQ.objects.update(lock=past)
        self.worker.start()

    def finish(self, *, within: float = 300) -> None:
        """Wait until every operation has ended by itself."""
        until(lambda: not self.active(), within=within, what=f"all ended: {self.active()}")


@pytest.fixture(scope="module")
def killer(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    folder = tmp_path_factory.mktemp("worker")
    OrmQ.objects.all().delete()
    worker = Worker(folder / "worker.log")
    with clock(folder / "clock.log"):
        worker.start()
        try:
            yield Killer(world, worker)
        finally:
            worker.kill()
            OrmQ.objects.all().delete()


def test_nodes_are_created_by_workers_that_are_killed(world: World, killer: Killer) -> None:
    names = ["node-1", "node-2", "node-3", "node-4"]
    for name in names:
        world.add_node(name)
        killer.strike(within=3)
        killer.restart()
    killer.finish()
    ended_well(world)
    with world.manager() as engine:
        roles = {node["Description"]["Hostname"]: node["Spec"]["Role"] for node in engine.nodes()}
    assert sorted(roles) == names
    assert [name for name in names if roles[name] == "manager"] == ["node-1"]


def test_services_and_secrets_are_changed_by_workers_that_are_killed(
    world: World, killer: Killer
) -> None:
    world.load_images()
    world.post("docker/secrets/new/", name="password", text="first-value")
    killer.finish()
    create(world, "web", args="web", **MOUNTED)
    create(world, "api", args="api")
    killer.strike(within=2)
    killer.restart()
    killer.finish()
    node = world.node("node-1")
    changes = [
        lambda: world.post("docker/secrets/password/rotate/", text="second-value"),
        lambda: world.post("docker/services/web/scale/", replicas=3),
        lambda: world.post("docker/volumes/new/", name="data", node=node.pk, kind="local"),
        lambda: world.post("docker/services/api/delete/", confirmation="api"),
        lambda: world.post("docker/secrets/new/", name="token", text="one-value"),
        lambda: world.post("docker/services/web/restart/"),
        lambda: world.post("nodes/node-2/labels/", labels="disk=ssd"),
        lambda: world.post("docker/services/web/scale/", replicas=2),
    ]
    while changes:
        changes.pop(0)()
        if changes:
            changes.pop(0)()
        killer.strike(within=1.5)
        killer.restart()
    killer.finish()
    ended_well(world)


def test_a_worker_that_is_killed_and_started_again_goes_on_without_any_help(
    world: World, killer: Killer, say: Callable[[str], None]
) -> None:
    world.post("docker/services/web/scale/", replicas=4)
    world.post("nodes/node-2/remove/", confirmation="node-2")
    killer.strike(within=1)
    killer.worker.start()
    killer.finish()
    ended_well(world)
    say(f"Killed {killer.kills} times, in: {'; '.join(killer.caught)}")
    assert killer.kills >= KILLS


def test_in_the_end_there_is_exactly_one_of_everything(world: World, killer: Killer) -> None:
    services = Service.objects.present().filter(cluster=world.cluster)
    secrets = Secret.objects.present().filter(cluster=world.cluster)
    nodes = Node.objects.present().filter(cluster=world.cluster)
    with world.manager() as engine:
        assert [s["Spec"]["Name"] for s in engine.services()] == [s.name for s in services]
        assert {s["Spec"]["Name"] for s in engine.secrets()} == {s.engine_name for s in secrets}
        assert len(engine.secrets()) == len(secrets)
        members = sorted(member["ID"] for member in engine.nodes())
        internal = [net for net in engine.networks() if net["Name"] == "internal"]
        volumes = [volume["Name"] for volume in engine.volumes()]
    assert members == sorted(node.swarm_node_id for node in nodes)
    assert len(internal) == 1
    assert volumes == [v.name for v in Volume.objects.present().filter(node__in=nodes)]
    assert {secret.engine_name for secret in secrets} == {"password-v2", "token"}
    assert not secrets.exclude(pending_value="").exists()
    ours = {node.local_name for node in Node.objects.filter(cluster=world.cluster)}
    assert local.existing() & ours == {node.local_name for node in nodes}
    spec = live(world, "web")["Spec"]
    assert spec["Mode"]["Replicated"]["Replicas"] == 4
    mounted = spec["TaskTemplate"]["ContainerSpec"]["Secrets"]
    assert [secret["SecretName"] for secret in mounted] == ["password-v2"]


def test_no_task_is_left_over_and_the_database_was_never_locked(
    world: World, killer: Killer
) -> None:
    until(lambda: not unfinished_tasks(), within=180, what="the duplicates have died out")
    words = killer.worker.words()
    assert "database is locked" not in words
    assert "broke in step" not in words


def unfinished_tasks() -> list[str]:
    """Return the queued tasks that are due or taken, except the clock's."""
    return [
        row.func() for row in OrmQ.objects.all() if row.func() == "medstack.tasks.run_operation"
    ]


def ended_well(world: World) -> None:
    """Every operation has worked, and the record of each says so once."""
    for operation in Operation.objects.filter(cluster=world.cluster):
        assert operation.state == "done", (str(operation), operation.error, operation.log)
        endings = Event.objects.filter(subject_kind="operation", subject_id=operation.pk)
        assert [event.action for event in endings] == ["operation.done"]
