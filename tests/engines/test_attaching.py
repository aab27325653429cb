"""Engines that already run, attached through their form in each of the three ways."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from clusters import addresses, local
from clusters.engine import Endpoint, Engine, connect
from clusters.local.commands import run
from clusters.local.configuration import configured
from clusters.local.images import demo_image
from clusters.local.node import LocalNode
from clusters.models import Cluster, Node
from medstack.models import Event
from tests.engines.conftest import IMAGE, World
from tests.engines.ingress_lab import import_image
from tests.engines.ways import ssh_server, tls_listener, until

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]
Running = dict[str, local.LocalEngine]
OLDER_POOL = "10.203.0.0/16"


@pytest.fixture(scope="module")
def engines(local_network: dict[str, object]) -> Iterator[Running]:
    """Return Engines that the console did not start, and does not know."""
    names = ("first", "second", "third")
    running = {name: local.ensure_running(name) for name in names}
    give_network("first", "10.201.5.1/24")
    give_network("third", "10.211.5.1/24")
    yield running
    for name in names:
        local.destroy(name)


def form(name: str, endpoint: Endpoint, address: str) -> dict[str, Any]:
    return {
        "name": name,
        "role": "worker",
        "address": address,
        "endpoint_url": endpoint.url,
        "ssh_key": endpoint.ssh_key,
        "ssh_host_key": endpoint.ssh_host_key,
        "tls_ca": endpoint.tls_ca,
        "tls_cert": endpoint.tls_cert,
        "tls_key": endpoint.tls_key,
    }


def give_network(name: str, address: str) -> None:
    """Let an Engine's host have one more network, of which its Engine knows nothing."""
    namespace = LocalNode(name, configured()).namespace
    run("ip", "-n", namespace, "address", "add", address, "dev", "eth0")


def test_a_local_socket_becomes_the_first_node(world: World, engines: Running) -> None:
    first = engines["first"]
    world.post("nodes/new/attach/", **form("first", Endpoint(first.endpoint_url), first.address))
    world.done()
    assert world.node("first").role == Node.Role.MANAGER
    assert world.node("first").status == "Ready"


def test_the_cluster_s_addresses_overlap_no_network_of_the_host(world: World) -> None:
    pool = IPv4Network(Cluster.objects.get(pk=world.cluster.pk).address_pool)
    assert pool == addresses.POOLS[1], "The first one overlaps the office's network."
    with world.manager() as engine:
        (internal,) = engine.network("internal")["IPAM"]["Config"]
        left = [image for image in engine.images() if "busybox" in str(image["RepoTags"])]
    assert IPv4Network(internal["Subnet"]).subnet_of(pool)
    assert left == [], "What has read the host's routes is gone again."


def test_an_engine_is_a_node_only_once(world: World, engines: Running) -> None:
    first = engines["first"]
    same = form("again", Endpoint(first.endpoint_url), first.address)
    assert "is a node already" in world.post("nodes/new/attach/", status=422, **same)


def test_a_host_is_attached_over_ssh_with_its_pinned_key(
    world: World, engines: Running, tmp_path: Path
) -> None:
    second = engines["second"]
    with ssh_server(second.endpoint_url, tmp_path) as endpoint:
        stranger = form("second", endpoint, second.address)
        stranger["ssh_host_key"] = (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGy5vHjXcYz3bZ0yP2hVb1eKj0wq3m3o4bq9o7i5Qw3T"
        )
        refused = world.post("nodes/new/attach/", status=422, **stranger)
        assert "host key" in refused.lower()
        assert endpoint.ssh_key.splitlines()[1] not in refused, "the key is not sent back"
        world.post("nodes/new/attach/", **form("second", endpoint, second.address))
        world.done()
        assert world.node("second").status == "Ready"
        assert "PRIVATE KEY" in world.node("second").ssh_key
        with connection.cursor() as cursor:
            cursor.execute("SELECT ssh_key FROM clusters_node")
            assert "PRIVATE KEY" not in str(cursor.fetchall()), "encrypted at rest"
        world.post("nodes/second/remove/", confirmation="second")
        world.done()


def test_a_host_is_attached_over_mutual_tls(world: World, engines: Running, tmp_path: Path) -> None:
    third = engines["third"]
    with tls_listener(third.endpoint_url, tmp_path) as endpoint:
        world.post("nodes/new/attach/", **form("third", endpoint, third.address))
        world.done()
        assert world.node("third").status == "Ready"
        assert "the host routes to 10.211.5.0/24" in world.last().log
        world.post("nodes/third/remove/", confirmation="third")
        world.done()


def test_a_removed_node_s_keys_are_forgotten_and_were_in_no_event(world: World) -> None:
    removed = Node.objects.filter(cluster=world.cluster, removed_at__isnull=False)
    assert removed.count() == 2
    assert not [node for node in removed if node.ssh_key or node.tls_key]
    assert "PRIVATE KEY" not in str(list(Event.objects.values_list("before", "after")))


@pytest.fixture(scope="module")
def stranger(engines: Running) -> Iterator[Engine]:
    """Return the manager of a swarm that was made by hand, on which a service runs."""
    second = engines["second"]
    with connect(Endpoint(second.endpoint_url), timeout=30) as engine:
        engine.swarm_init(second.address, f"{second.address}:2377", [OLDER_POOL], 24)
        import_image(engine, IMAGE, demo_image())
        engine.secret_create("older-key", b"planted by hand", {})
        engine.service_create(
            {
                "Name": "older",
                "Labels": {"made.by": "hand"},
                "TaskTemplate": {"ContainerSpec": {"Image": IMAGE, "Args": ["api"]}},
                "Mode": {"Replicated": {"Replicas": 2}},
            }
        )
        until(lambda: len(running_on(engine)) == 2, within=60)
        yield engine


@pytest.fixture(scope="module")
def heir(rows: None, local_network: dict[str, object]) -> World:
    """Return a cluster that has no node yet."""
    return World("taken-over")


def running_on(engine: Engine) -> dict[str, str]:
    """Return an Engine's containers, and since when each of them runs."""
    found = [engine.container(one["Id"]) for one in engine.containers()]
    return {one["Id"]: one["State"]["StartedAt"] for one in found if one["State"]["Running"]}


def test_an_engine_of_another_swarm_is_refused(
    world: World, engines: Running, stranger: Engine
) -> None:
    second = engines["second"]
    other = form("second", Endpoint(second.endpoint_url), second.address)
    assert "already belongs to a swarm" in world.post("nodes/new/attach/", status=422, **other)
    # A cluster that has a swarm can take over no other, whatever is sent.
    other |= {"adopt": "on"}
    assert "already belongs to a swarm" in world.post("nodes/new/attach/", status=422, **other)
    assert not Node.objects.present().filter(cluster=world.cluster, name="second").exists()


def test_only_a_swarm_that_there_is_can_be_taken_over(heir: World, engines: Running) -> None:
    third = engines["third"]
    alone = form("third", Endpoint(third.endpoint_url), third.address) | {"adopt": "on"}
    refused = heir.post("nodes/new/attach/", status=422, **alone)
    assert "manages no swarm that could be taken over" in refused


def test_a_swarm_is_taken_over_and_what_runs_there_runs_on(
    heir: World, engines: Running, stranger: Engine
) -> None:
    second = engines["second"]
    before, service = running_on(stranger), stranger.service("older")
    swarm = stranger.swarm_inspect()["ID"]
    taken = form("second", Endpoint(second.endpoint_url), second.address) | {"adopt": "on"}
    heir.post("nodes/new/attach/", **taken)
    assert "Docker Swarm is taken over." in heir.done().log
    heir.cluster.refresh_from_db()
    assert (heir.cluster.swarm_id, heir.cluster.address_pool) == (swarm, OLDER_POOL)
    assert stranger.swarm_inspect()["ID"] == swarm
    assert (heir.node("second").role, heir.node("second").status) == (Node.Role.MANAGER, "Ready")
    assert stranger.service("older") == service
    assert before.items() <= running_on(stranger).items(), "Nothing was restarted."


def test_what_was_there_is_listed_and_can_be_worked_on(heir: World, stranger: Engine) -> None:
    heir.refresh()
    services = heir.page("docker/services/")
    assert "older" in services and "Made outside the console" in services
    assert "older-key" in heir.page("docker/secrets/")
    older = heir.service("older")
    assert (older.status, older.running, older.drift) == ("Running", 2, [])
    before = running_on(stranger)
    heir.post("docker/services/older/scale/", replicas="1")
    heir.done()
    spec = stranger.service("older")["Spec"]
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}}
    assert spec["Labels"]["made.by"] == "hand", "What the console does not know stays."
    assert running_on(stranger).items() < before.items()


def test_an_engine_that_is_in_another_swarm_by_now_is_forgotten_and_stays_there(
    heir: World, engines: Running, stranger: Engine
) -> None:
    second = engines["second"]
    stranger.swarm_leave(force=True)
    stranger.swarm_init(second.address, f"{second.address}:2377", [OLDER_POOL], 24)
    swarm = stranger.swarm_inspect()["ID"]
    heir.post("nodes/second/remove/", confirmation="second")
    assert "belongs to another swarm by now" in heir.done().log
    assert stranger.swarm_inspect()["ID"] == swarm
    assert not Node.objects.present().filter(cluster=heir.cluster).exists()
    heir.cluster.refresh_from_db()
    assert heir.cluster.swarm_id == ""
