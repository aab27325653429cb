"""Rolling updates on real Engines: those that work, those that fail, and the way back."""

import io

import pytest

from clusters.gateway import on_node
from clusters.local.images import busybox_tar, demo_image
from clusters.models import Node
from clusters.tasks.services import roll_back_step
from medstack.models import Operation
from medstack.operations import RUN
from medstack.queue import enqueue
from tests.engines.acting import (
    act,
    deploy,
    edit,
    ids_of,
    inside,
    live,
    settled,
    tasks_of,
    two_nodes,
)
from tests.engines.conftest import World, work_until

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]
BAD_UPDATE = "update paused due to failure or early termination of task"


@pytest.fixture(scope="module", autouse=True)
def nodes(world: World) -> None:
    """Make a service of two tasks, another version of its image, and one that ends at once."""
    two_nodes(world)
    for node in Node.objects.present().filter(cluster=world.cluster):
        with on_node(node, timeout=60) as engine:
            archive, changes = demo_image()
            engine.image_import(archive, "medstack/demo", "2", [*changes, "ENV VERSION=2"])
            broken = io.BytesIO(busybox_tar())
            engine.image_import(broken, "medstack/demo", "broken", ['ENTRYPOINT ["false"]'])
    with on_node(world.node("node-1"), timeout=60) as engine:
        engine.image_import(io.BytesIO(busybox_tar()), "medstack/rare", "1")
    world.refresh()
    # With a check, a task that ends at once never counts as one that runs.
    check = {"health_mode": "shell", "health_command": "true", "health_interval": "500ms"}
    deploy(world, "api", args="api", replicas=2, update_order="start-first", **check)


def image_of(world: World, name: str) -> str:
    """Return the image of a service as the Engine has it, without the digest."""
    container = live(world, name)["Spec"]["TaskTemplate"]["ContainerSpec"]
    return str(container["Image"]).partition("@")[0]


def begin_again(operation: Operation) -> None:
    """Let an operation run once more from its first step, as after a worker that was killed."""
    Operation.objects.filter(pk=operation.pk).update(
        state="running", ended_at=None, step=0, not_before=None
    )
    enqueue(RUN, operation.pk)


def test_a_rolling_update_never_leaves_fewer_tasks_than_wanted(world: World) -> None:
    edit(world, "api", image="medstack/demo:2", update_parallelism=1)
    least = 2

    def is_through() -> bool:
        nonlocal least
        least = min(least, len(tasks_of(world, "api")))
        return world.last().state == "done"

    work_until(is_through, what="the update is through")
    world.refresh()
    assert least == 2
    assert inside(world, "api", "sh", "-c", "echo $VERSION") == [b"2\n", b"2\n"]
    assert "medstack/demo:2" in world.page("docker/services/api/")


def test_a_failing_update_pauses_and_the_page_says_why(world: World) -> None:
    before = ids_of(world, "api")
    edit(world, "api", image="medstack/demo:broken", update_monitor="5s")
    error = world.failed()
    assert BAD_UPDATE in error and "task: non-zero exit (1)" in error
    world.refresh()
    assert world.service("api").status == "Paused"
    page = world.page("docker/services/api/")
    assert "Paused" in page and BAD_UPDATE in page and "task: non-zero exit (1)" in page
    # Start-first: what ran before the update still does.
    assert ids_of(world, "api") == before


def test_a_rollback_that_is_retried_does_not_roll_forward(world: World) -> None:
    act(world, "api", "roll-back")
    operation = world.last()
    assert operation.kind == "service.rollback"
    # A worker tells the Engine, and is killed before it can note that it did.
    roll_back_step(operation)
    settled(world)
    assert image_of(world, "api") == "medstack/demo:2"
    begin_again(operation)
    settled(world)
    assert image_of(world, "api") == "medstack/demo:2"
    service = world.service("api")
    assert service.image == "medstack/demo:2" and service.status == "Running"
    assert not service.drift
    assert inside(world, "api", "sh", "-c", "echo $VERSION") == [b"2\n", b"2\n"]


def test_an_update_that_the_swarm_rolls_back_by_itself_can_be_followed_by_another(
    world: World,
) -> None:
    edit(
        world,
        "api",
        image="medstack/demo:broken",
        update_failure_action="rollback",
        update_monitor="5s",
    )
    error = world.failed()
    assert "rolled it back" in error and "task: non-zero exit (1)" in error
    assert image_of(world, "api") == "medstack/demo:2"
    world.refresh()
    edit(world, "api", image="medstack/demo:1")
    settled(world)
    assert image_of(world, "api") == "medstack/demo:1"
    assert world.service("api").status == "Running"


def test_an_image_that_the_node_cannot_get_is_named_in_the_engines_words(world: World) -> None:
    edit(
        world,
        "api",
        image="medstack/rare:1",
        command="sleep 1000",
        constraints="node.hostname==node-2",
    )
    assert "No such image: medstack/rare:1" in world.failed()
    world.refresh()
    assert "No such image: medstack/rare:1" in world.page("docker/services/api/")
    act(world, "api", "roll-back")
    settled(world)
    assert image_of(world, "api") == "medstack/demo:1"
