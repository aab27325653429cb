"""Volumes on real Engines: each belongs to one node, and so does what mounts it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.gateway import on_node
from clusters.models import Node, Volume
from medstack.models import Operation
from tests.engines.acting import (
    Json,
    act,
    create,
    deploy,
    inside,
    live,
    remove,
    settled,
    tasks_of,
    two_nodes,
)
from tests.engines.conftest import World, work_until

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]


@pytest.fixture(scope="module", autouse=True)
def nodes(world: World) -> None:
    two_nodes(world)


def volume_on(world: World, node: str, name: str) -> Volume:
    return Volume.objects.present().get(node=world.node(node), name=name)


def choice(world: World, node: str, name: str) -> str:
    """Return how the service form names a volume."""
    return f"{world.node(node).swarm_node_id}/{name}"


def test_the_same_name_on_two_nodes_is_two_volumes(world: World) -> None:
    for node in ("node-1", "node-2"):
        pk = world.node(node).pk
        world.post("docker/volumes/new/", name="data", node=pk, kind="local", labels=f"of={node}")
        world.done()
    world.refresh()
    assert volume_on(world, "node-1", "data").pk != volume_on(world, "node-2", "data").pk
    for number in (1, 2):
        name = f"keeper-{number}"
        deploy(
            world,
            name,
            args="api",
            **{
                "volumes-0-volume": choice(world, f"node-{number}", "data"),
                "volumes-0-path": "/data",
            },
        )
        run = f"echo {name} >/data/who"
        assert inside(world, name, "sh", "-c", run) == [b""]
        with on_node(world.node(f"node-{number}")) as engine:
            assert engine.volume("data")["Labels"]["of"] == f"node-{number}"
    assert inside(world, "keeper-1", "cat", "/data/who") == [b"keeper-1\n"]
    assert inside(world, "keeper-2", "cat", "/data/who") == [b"keeper-2\n"]
    page = world.page("docker/volumes/")
    assert "keeper-1" in page and "keeper-2" in page


def test_a_volume_keeps_its_data_when_its_service_moves_nowhere(world: World) -> None:
    before = tasks_of(world, "keeper-2")
    act(world, "keeper-2", "restart")
    settled(world)
    (task,) = tasks_of(world, "keeper-2")
    assert task["ID"] != before[0]["ID"]
    assert task["NodeID"] == world.node("node-2").swarm_node_id
    assert inside(world, "keeper-2", "cat", "/data/who") == [b"keeper-2\n"]


def test_a_volume_in_use_is_not_deleted_and_its_service_is_named(world: World) -> None:
    path = f"docker/volumes/{volume_on(world, 'node-1', 'data').pk}/delete/"
    text = world.post(path, status=422, confirmation="data")
    assert "is used by keeper-1." in text and "keeper-2" not in text
    with on_node(world.node("node-1")) as engine:
        assert engine.volume("data")["Name"] == "data"


def test_a_volume_is_deleted_once_nothing_uses_it_and_its_namesake_stays(world: World) -> None:
    remove(world, "keeper-1")
    pk = volume_on(world, "node-1", "data").pk
    path = f"docker/volumes/{pk}/delete/"
    assert "Type “data”" in world.post(path, status=422, confirmation="date")
    world.post(path, confirmation="data")
    world.done()
    world.refresh()
    with on_node(world.node("node-1")) as engine:
        assert "data" not in {volume["Name"] for volume in engine.volumes()}
    assert inside(world, "keeper-2", "cat", "/data/who") == [b"keeper-2\n"]
    assert "Gone" in world.page(f"docker/volumes/{pk}/")


def test_a_tmpfs_volume_lies_in_memory_with_its_size(world: World) -> None:
    pk = world.node("node-2").pk
    sizes: Json = {"tmpfs_size": "3m", "tmpfs_uid": 1000}
    world.post("docker/volumes/new/", name="scratch", node=pk, kind="tmpfs", **sizes)
    world.done()
    deploy(
        world,
        "scribbler",
        args="api",
        **{
            "volumes-0-volume": choice(world, "node-2", "scratch"),
            "volumes-0-path": "/scratch",
        },
    )
    mounts = inside(world, "scribbler", "grep", " /scratch ", "/proc/mounts")[0].decode()
    assert mounts.startswith("tmpfs") and "size=3072k" in mounts and "uid=1000" in mounts
    assert inside(world, "scribbler", "touch", "/scratch/mine") == [b""]
    pins = live(world, "scribbler")["Spec"]["TaskTemplate"]["Placement"]["Constraints"]
    assert pins == [f"node.id=={world.node('node-2').swarm_node_id}"]


def test_a_volume_that_a_stranger_uses_stays_and_the_engine_says_why(world: World) -> None:
    with on_node(world.node("node-2"), timeout=20) as engine:
        body = {
            "Image": "medstack/demo:1",
            "HostConfig": {"Binds": ["data:/data"], "NetworkMode": "none"},
        }
        stranger = engine.post("/containers/create", body=body)["Id"]
    remove(world, "keeper-2")
    world.refresh()
    pk = volume_on(world, "node-2", "data").pk
    world.post(f"docker/volumes/{pk}/delete/", confirmation="data")
    # For a while it is tried again, for containers may be on their way out; that while is over.
    Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=1))
    assert "volume is in use" in world.failed()
    with on_node(world.node("node-2")) as engine:
        engine.delete("/containers/{0}", stranger, force=True)
    assert volume_on(world, "node-2", "data").gone_at is None


def test_volumes_that_nobody_named_are_listed_apart(world: World) -> None:
    with on_node(world.node("node-1")) as engine:
        nameless = str(engine.volume_create({})["Name"])
    world.refresh()
    volume = volume_on(world, "node-1", nameless)
    assert volume.is_anonymous
    page = world.page("docker/volumes/")
    assert "nonymous" in page
    listed = world.page("docker/volumes/?is_anonymous=True")
    assert nameless[:12] in listed and "scratch" not in listed


def test_a_share_that_cannot_be_mounted_is_explained_on_the_services_page(world: World) -> None:
    pk = world.node("node-1").pk
    share: Json = {
        "nfs_server": "127.0.0.1",
        "nfs_path": "/exports",
        "nfs_options": "nfsvers=4,soft",
    }
    world.post("docker/volumes/new/", name="share", node=pk, kind="nfs", **share)
    world.done()
    with on_node(world.node("node-1")) as engine:
        assert engine.volume("share")["Options"] == {
            "type": "nfs",
            "o": "addr=127.0.0.1,nfsvers=4,soft",
            "device": ":/exports",
        }
    name = "mounter"
    row: Json = {"volumes-0-volume": choice(world, "node-1", "share")}
    create(world, name, args="api", **row | {"volumes-0-path": "/share"})
    assert "mount" in world.failed()
    world.refresh()
    page = world.page(f"docker/services/{name}/")
    assert "error while mounting volume" in page or "failed to mount local volume" in page
    remove(world, name)


def test_no_container_is_left_when_the_services_are_deleted(world: World) -> None:
    remove(world, "scribbler")
    for node in Node.objects.present().filter(cluster=world.cluster):
        with on_node(node) as engine:
            work_until(lambda: not engine.containers(), what="the containers stop")
