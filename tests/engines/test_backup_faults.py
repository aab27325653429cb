"""Whatever is killed in the middle of snapshots and restores: nothing is stuck, frozen or lost."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db.models import F

from backups.models import Drill, Restore, Snapshot, VolumeBackup, VolumePolicy
from clusters.engine import Engine
from clusters.gateway import on_node
from medstack.models import Operation
from tests.engines.acting import deploy
from tests.engines.conftest import World, finish, run_due, work_until

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]
ROUNDS = 20
KILLED = ("medstack-op-", "medstack-capture-", "medstack-agent")


@pytest.fixture(scope="module")
def cluster(world: World, repository_server: Path) -> World:
    world.add_node("one")
    world.done()
    world.load_images()
    for name in ("data", "more"):
        world.post("docker/volumes/new/", name=name, node=world.node("one").pk, kind="local")
        world.done()
    volume = f"{world.node('one').swarm_node_id}/data"
    fields = {"volumes-0-volume": volume, "volumes-0-path": "/srv/data"}
    deploy(world, "writer", args="web", **fields)
    # Frozen while it is read: what kills a capture must not leave it so.
    VolumePolicy.objects.create(
        cluster=world.cluster, node_name="one", volume_name="data", freeze=True
    )
    return world


def kill_one(engine: Engine, name: str) -> bool:
    """Kill a container of ours, as an out-of-memory killer would; say whether there was one."""
    found = engine.containers(filters={"name": [name]})
    for one in found[:1]:
        engine.container_unpause(one["Id"])
        engine.container_kill(one["Id"])
    return bool(found)


def test_killing_parts_at_random_moments_leaves_nothing_stuck_frozen_or_lost(
    cluster: World, say: Callable[[str], None]
) -> None:
    chance, hit = random.Random(12), 0
    node = cluster.node("one")
    for number in range(ROUNDS):
        backup = VolumeBackup.objects.restorable().filter(volume_name="more").first()
        if number % 4 == 3 and backup:
            name = f"again-{number}"
            url = f"backups/volumes/{backup.pk}/restore/"
            cluster.post(url, node=node.pk, mode="new", name=name)
        else:
            cluster.client.post(cluster.url + "backups/snapshots/now/")
        target, steps = chance.choice((*KILLED, "worker")), chance.randrange(1, 12)
        for _ in range(steps):
            run_due()
        if target == "worker":
            # What a worker had taken from the queue is lost with it; the tick finds it again.
            Operation.objects.filter(state__in=Operation.ACTIVE).update(
                not_before=F("requested_at")
            )
            hit += 1
        else:
            with on_node(node, timeout=20) as engine:
                hit += kill_one(engine, target)
        finish(within=240)
    say(f"{hit} of {ROUNDS} kills of backups and restores hit something that ran.")
    assert not Operation.objects.filter(state__in=Operation.ACTIVE).exists()
    assert not Snapshot.objects.filter(state="taking", trigger="manual").exists()
    assert not Restore.objects.filter(outcome="running").exists()
    assert not Drill.objects.filter(outcome="running").exists()
    cluster.post("backups/snapshots/now/")
    cluster.done()
    last = Snapshot.objects.filter(cluster=cluster.cluster, trigger="manual").first()
    assert last
    assert (last.state, last.reasons) == ("complete", [])

    def is_clean() -> bool:
        with on_node(node) as engine:
            ours = engine.containers(all=True, filters={"name": ["medstack-op-"]})
            ours += engine.containers(all=True, filters={"name": ["medstack-capture-"]})
            frozen = engine.containers(filters={"status": ["paused"]})
        return not ours and not frozen

    work_until(is_clean, within=60)
