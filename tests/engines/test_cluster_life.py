"""A cluster of real Engines, from nothing to nothing, through the pages."""

import pytest

from clusters import local
from clusters.models import Cluster, Node
from medstack.models import Event, Operation
from tests.engines.conftest import World, finish, work_until

pytestmark = pytest.mark.engines


def test_the_first_node_initialises_a_swarm_with_an_internal_network(world: World) -> None:
    world.add_node("node-1")
    operation = world.done()
    assert operation.percentage == 100
    page = world.page()
    assert "Ready" in page and "Manager" in page
    node = world.node("node-1")
    assert node.role == Node.Role.MANAGER and node.cpus and node.memory_bytes
    cluster = Cluster.objects.get(pk=world.cluster.pk)
    assert cluster.is_initialised
    with world.manager() as engine:
        member = engine.nodes()[0]
        network = engine.network("internal")
    assert member["Spec"]["Labels"]["medstack.role"] == "Manager"
    assert network["Attachable"] and network["Driver"] == "overlay"
    assert int(network["IPAM"]["Config"][0]["Subnet"].partition("/")[2]) <= 20


def test_later_nodes_join_and_the_join_tokens_are_rotated_each_time(world: World) -> None:
    with world.manager() as engine:
        before = engine.join_tokens()
    world.add_node("node-2")
    world.add_node("node-3")
    world.done()
    with world.manager() as engine:
        after = engine.join_tokens()
        assert len(engine.nodes()) == 3
    assert before["Worker"] != after["Worker"] and before["Manager"] != after["Manager"]
    world.refresh()
    assert world.page().count("Ready") >= 3


def test_no_join_token_is_kept_anywhere(world: World) -> None:
    for operation in Operation.objects.all():
        assert "SWMTKN" not in f"{operation.intent}{operation.log}{operation.error}"
    for event in Event.objects.all():
        assert "SWMTKN" not in f"{event.before}{event.after}"


def test_a_worker_is_promoted_and_demoted_again(world: World) -> None:
    world.post("nodes/node-2/role/", role="manager")
    world.done()
    assert world.node("node-2").role == Node.Role.MANAGER
    world.post("nodes/node-2/role/", role="worker")
    world.done()
    with world.manager() as engine:
        roles = {n["Description"]["Hostname"]: n["Spec"]["Role"] for n in engine.nodes()}
    assert roles["node-2"] == "worker"


def test_demoting_the_only_manager_is_refused_with_the_reason(world: World) -> None:
    world.refresh()
    text = world.post("nodes/node-1/role/", status=422, role="worker")
    assert "only manager" in text
    assert world.node("node-1").role == Node.Role.MANAGER


def test_a_node_is_drained_and_made_active_again(world: World) -> None:
    for availability in ("drain", "active"):
        world.post("nodes/node-3/availability/", availability=availability)
        world.done()
        with world.manager() as engine:
            node = engine.node(world.node("node-3").swarm_node_id)
        assert node["Spec"]["Availability"] == availability


def test_a_node_that_stops_answering_shows_as_down_and_comes_back(world: World) -> None:
    name = world.node("node-3").local_name

    def status() -> str:
        world.refresh()
        return world.node("node-3").status

    local.stop(name)
    work_until(lambda: status() == "Down", within=60)
    assert "The Engine does not answer" in world.page("nodes/node-3/")
    assert "1 of 3 nodes down" in world.client.get("/").content.decode()
    local.ensure_running(name, hostname="node-3")
    work_until(lambda: status() == "Ready", within=60)


def test_labels_that_somebody_else_set_survive_a_change_of_ours(world: World) -> None:
    with world.manager() as engine:
        engine.node_update(
            world.node("node-2").swarm_node_id,
            lambda spec: spec["Labels"].update({"rack": "b"}),
        )
    world.post("nodes/node-2/labels/", labels="disk=ssd\nzone=east")
    world.done()
    with world.manager() as engine:
        labels = engine.node(world.node("node-2").swarm_node_id)["Spec"]["Labels"]
    assert labels["disk"] == "ssd" and labels["rack"] == "b"
    assert labels["medstack.role"] == "Worker"


def test_a_removed_node_has_left_the_swarm(world: World) -> None:
    world.post("nodes/node-3/remove/", status=422, confirmation="node-2")
    world.post("nodes/node-3/remove/", confirmation="node-3")
    world.done()
    with world.manager() as engine:
        assert len(engine.nodes()) == 2
    assert not Node.objects.present().filter(cluster=world.cluster, name="node-3").exists()


def test_deleting_the_last_node_deletes_the_environment_and_keeps_the_history(
    world: World,
) -> None:
    for name in ("node-2", "node-1"):
        world.post(f"nodes/{name}/remove/", confirmation=name)
        world.done()
    cluster = Cluster.objects.get(pk=world.cluster.pk)
    assert not cluster.is_initialised
    page = world.page()
    assert "No Docker environment yet" in page
    assert "Remove node node-1" in page
    assert Event.objects.filter(cluster=cluster, action="node.removed").count() == 3


def test_a_cluster_lives_again_and_its_network_is_encrypted(world: World) -> None:
    # As in production; only tests that cross nodes on this kernel need the lab's plain one.
    Cluster.objects.filter(pk=world.cluster.pk).update(lab_plain_network=False)
    world.add_node("node-1")
    world.done()
    assert Cluster.objects.get(pk=world.cluster.pk).is_initialised
    with world.manager() as engine:
        assert "encrypted" in engine.network("internal")["Options"]
    world.post("nodes/node-1/remove/", confirmation="node-1")
    finish()
