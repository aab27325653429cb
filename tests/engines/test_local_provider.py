"""Local nodes are real Engines that survive crashes and leave nothing behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import pytest

from clusters import local
from clusters.local.images import busybox_tar, demo_image
from clusters.local.node import LocalNode
from clusters.local.processes import started
from medstack.failures import Failure
from tests.engines.machine import (
    FOLDER,
    client,
    engine_process,
    eventually,
    kill_engine,
    network_of,
    output,
    page,
    reachable,
    sweep_after_killed_runs,
    traces,
)

pytestmark = [pytest.mark.engines, pytest.mark.no_database]
NODES = ("alpha", "beta", "gamma")
IMAGE = "test.invalid/visits:1"


@pytest.fixture(scope="module")
def network() -> Iterator[local.LocalNetwork]:
    """Return a network of this run's own, after clearing away what killed runs have left."""
    if reasons := local.supported():
        pytest.fail(f"Real Engines are needed here. {' '.join(reasons)}")
    sweep_after_killed_runs()
    own = network_of(os.getpid())
    yield own
    local.sweep(set(), network=own)


@pytest.fixture(scope="module")
def engines(network: local.LocalNetwork) -> dict[str, local.LocalEngine]:
    """Start three Engines at once."""
    with ThreadPoolExecutor() as pool:
        started_engines = pool.map(lambda name: start(name, network), NODES)
        return dict(zip(NODES, started_engines, strict=True))


@pytest.fixture
def extra(network: local.LocalNetwork) -> Iterator[str]:
    """Return the name of a node that one test may spoil."""
    yield "extra"
    local.destroy("extra", network=network)


def start(name: str, network: local.LocalNetwork) -> local.LocalEngine:
    """Have a node running."""
    return local.ensure_running(name, network=network)


def test_three_nodes_started_at_once_are_three_different_machines(
    engines: dict[str, local.LocalEngine],
) -> None:
    facts = []
    for engine in engines.values():
        with client(engine) as connection:
            facts.append(connection.info())
    assert [fact["Name"] for fact in facts] == list(NODES)
    assert len({fact["ID"] for fact in facts}) == 3
    assert len({engine.address for engine in engines.values()}) == 3
    assert {fact["DockerRootDir"] for fact in facts} == {"/var/lib/docker"}


def test_a_running_engine_is_returned_and_not_started_again(
    engines: dict[str, local.LocalEngine], network: local.LocalNetwork
) -> None:
    process = engine_process(network, "alpha")
    assert start("alpha", network) == engines["alpha"]
    assert engine_process(network, "alpha") == process


def test_one_node_asked_for_by_many_at_once_is_started_once(
    network: local.LocalNetwork, extra: str
) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(lambda _: start(extra, network), range(6)))
    assert len(found) == 1
    configuration = f"{network.root}/{extra}/daemon.json"
    assert [line for line in output("ps", "axww").splitlines() if configuration in line][1:] == []


def test_nodes_form_a_swarm_whose_services_find_each_other(
    engines: dict[str, local.LocalEngine], network: local.LocalNetwork
) -> None:
    form_swarm(engines)
    for name in NODES:
        with client(engines[name]) as connection:
            archive, changes = demo_image()
            repository, tag = IMAGE.split(":")
            connection.import_image_from_data(
                archive.read(), repository=repository, tag=tag, changes=changes
            )
    with client(engines["alpha"]) as manager:
        manager.create_network("lab", driver="overlay", attachable=True)
        manager.create_service(**service("api", "beta"))
        manager.create_service(**service("web", "gamma", port=8080))
        text = eventually(lambda: page(engines["gamma"], 8080))
        tasks = manager.tasks(filters={"service": "api", "desired-state": "running"})
        container = tasks[0]["Status"]["ContainerStatus"]["ContainerID"]
    assert f'"hostname": "{container[:12]}"' in text

    local.stop("gamma", network=network)
    assert start("gamma", network) == engines["gamma"]
    assert "visits" in eventually(lambda: page(engines["gamma"], 8080))
    # Here the service is not waited for: after a crash Docker may take half a minute to give
    # up on the Engine's former self before it attaches a task to an overlay network.
    kill_engine(network, "beta")
    assert start("beta", network) == engines["beta"]
    with client(engines["alpha"]) as manager:
        eventually(lambda: {node["Status"]["State"] for node in manager.nodes()} == {"ready"})


def form_swarm(engines: dict[str, local.LocalEngine]) -> None:
    """Join all Engines into one swarm, the first as its manager."""
    first, *others = engines.values()
    with client(first) as manager:
        manager.init_swarm(
            first.address, f"{first.address}:2377", default_addr_pool=["10.201.0.0/16"]
        )
        token = manager.inspect_swarm()["JoinTokens"]["Worker"]
    for engine in others:
        with client(engine) as worker:
            worker.join_swarm([f"{first.address}:2377"], token, engine.address, engine.address)


def service(part: str, node: str, *, port: int = 0) -> dict[str, Any]:
    """Return the spec of one part of the demo application, on one node."""
    published: list[Any] = [{"PublishedPort": port, "TargetPort": 8080, "PublishMode": "host"}]
    return {
        "name": part,
        "task_template": docker.types.TaskTemplate(
            docker.types.ContainerSpec(IMAGE, args=[part]),
            placement=docker.types.Placement(constraints=[f"node.hostname=={node}"]),
            networks=["lab"],
        ),
        "endpoint_spec": docker.types.EndpointSpec(mode="dnsrr", ports=published if port else None),
    }


def test_a_killed_engine_starts_again_with_its_address_and_data(
    network: local.LocalNetwork, extra: str
) -> None:
    before = start(extra, network)
    with client(before) as connection:
        connection.import_image_from_data(busybox_tar(), repository="test.invalid/box", tag="1")
        connection.create_volume("kept")
        box = connection.create_container("test.invalid/box:1", ["sleep", "600"])
        connection.start(box)
        orphan = connection.inspect_container(box)["State"]["Pid"]
    kill_engine(network, extra)
    assert started(orphan), "The container outlives its Engine."
    assert start(extra, network) == before
    assert started(orphan) is None
    with client(before) as connection:
        assert [volume["Name"] for volume in connection.volumes()["Volumes"]] == ["kept"]
        assert connection.inspect_container(box)["State"]["Running"] is False


def test_a_stopped_node_has_no_process_and_keeps_its_place(
    network: local.LocalNetwork, extra: str
) -> None:
    before = start(extra, network)
    local.stop(extra, network=network)
    assert not local.is_running(extra, network=network)
    assert [trace for trace in traces(network, extra) if "docker" in trace] == []
    assert start(extra, network) == before
    local.stop(extra, network=network)
    local.stop(extra, network=network)


def test_a_restarted_node_is_reached_by_those_who_remember_it(
    engines: dict[str, local.LocalEngine], network: local.LocalNetwork, extra: str
) -> None:
    assert engines  # While other nodes use the bridge, the machine forgets nobody on it.
    silent = replace(network, outside=False)  # It asks nobody, so nobody hears of its return.
    engine = start(extra, silent)
    assert reachable(engine)
    local.stop(extra, network=silent)
    start(extra, silent)
    assert reachable(engine)


def test_a_process_that_got_the_engines_old_number_is_spared(
    network: local.LocalNetwork, extra: str
) -> None:
    start(extra, network)
    record = network.root / extra / "engine.pid"
    _, born, boot = record.read_text().split()
    local.stop(extra, network=network)
    with subprocess.Popen(["sleep", "600"]) as innocent:
        record.write_text(f"{innocent.pid} {born} {boot}\n")
        try:
            assert not local.is_running(extra, network=network)
            local.stop(extra, network=network)
            start(extra, network)
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_an_engine_that_ends_at_once_is_a_failure_with_its_own_words(
    network: local.LocalNetwork, extra: str
) -> None:
    start(extra, network)
    local.stop(extra, network=network)
    containers = network.root / extra / "data/containers"
    containers.rmdir()
    containers.write_text("a file where Docker wants a folder")
    with pytest.raises(Failure, match="containers: not a directory"):
        start(extra, network)
    containers.unlink()
    start(extra, network)
    assert local.is_running(extra, network=network)


def test_a_node_whose_links_were_cut_is_mended(network: local.LocalNetwork, extra: str) -> None:
    engine = start(extra, network)
    output("ip", "link", "delete", network.bridge)
    output("iptables", "-D", "FORWARD", "-i", network.bridge, "-o", network.bridge, "-j", "ACCEPT")
    assert start(extra, network) == engine
    assert reachable(engine)
    assert f"-A FORWARD -i {network.bridge} -o {network.bridge} -j ACCEPT" in output(
        "iptables-save"
    )


@pytest.fixture
def beyond(network: local.LocalNetwork) -> Iterator[str]:
    """Put a machine behind this one that has an address as a metadata service has one, too."""
    name, link = f"{network.bridge}-out", f"{network.bridge}o"
    output("ip", "netns", "add", name)
    output("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    output("ip", "address", "add", "198.18.77.1/30", "dev", link)
    output("ip", "link", "set", link, "up")
    for address in ("198.18.77.2/30", f"{METADATA}/32"):
        output("ip", "-n", name, "address", "add", address, "dev", "eth0")
    output("ip", "-n", name, "link", "set", "eth0", "up")
    output("ip", "-n", name, "route", "add", "default", "via", "198.18.77.1")
    output("ip", "route", "add", METADATA, "dev", link)
    yield "198.18.77.2"
    output("ip", "link", "delete", link)
    output("ip", "netns", "delete", name)


METADATA = "169.254.169.254"
# Nothing listens there: who refuses was reached.
KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=1)
except ConnectionRefusedError:
    print("reached")
except OSError as error:
    print(error)
"""


def test_a_node_reaches_others_outside_but_no_metadata_service(
    network: local.LocalNetwork, extra: str, beyond: str
) -> None:
    start(extra, network)
    inside = ("ip", "netns", "exec", LocalNode(extra, network).namespace)
    found = [output(*inside, sys.executable, "-c", KNOCK, to) for to in (beyond, METADATA)]
    assert [one.strip() for one in found] == ["reached", "timed out"]


def test_the_bridge_stays_as_long_as_an_engine_runs(
    network: local.LocalNetwork, extra: str
) -> None:
    engine = start(extra, network)
    local.disconnect(network=network)
    assert f" {network.bridge}: " in output("ip", "-o", "link")
    assert reachable(engine)


def test_a_second_root_cannot_take_over_the_bridge(
    network: local.LocalNetwork, extra: str, tmp_path: Path
) -> None:
    start(extra, network)
    thief = local.LocalNetwork(
        FOLDER / f"{network.root.name}-thief", network.bridge, network.subnet
    )
    try:
        with pytest.raises(Failure, match=f"belongs to {network.root}"):
            start(extra, thief)
    finally:
        local.sweep(set(), network=thief)
    assert local.is_running(extra, network=network)
    assert not thief.root.exists()


def test_a_subnet_that_the_machine_uses_is_refused(network: local.LocalNetwork, extra: str) -> None:
    start(extra, network)
    other = local.LocalNetwork(
        FOLDER / f"{network.root.name}-other", f"{network.bridge}b", network.subnet
    )
    try:
        with pytest.raises(Failure, match="overlaps"):
            start("other", other)
    finally:
        local.sweep(set(), network=other)
    assert traces(other) == []


def test_sweeping_destroys_what_is_not_kept(network: local.LocalNetwork, extra: str) -> None:
    keep = {path.name for path in network.root.iterdir() if path.is_dir()}
    engine = start(extra, network)
    kill_engine(network, extra)
    assert local.sweep(keep, network=network) == [extra]
    assert traces(network, extra) == []
    assert local.sweep(keep, network=network) == []
    assert start(extra, network).address == engine.address, "The address is free again."


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "A", "a" * 41, "nö"])
def test_a_name_that_could_leave_the_folder_is_refused(
    network: local.LocalNetwork, name: str
) -> None:
    for function in (local.ensure_running, local.stop, local.destroy):
        with pytest.raises(Failure, match="no name for a local node"):
            function(name, network=network)


@pytest.mark.parametrize("root", ["/run/nodes", "/var/run/nodes", "/var/lib/docker/x", "nodes"])
def test_a_root_that_is_hidden_inside_a_node_is_refused(root: str) -> None:
    with pytest.raises(Failure, match="cannot live in"):
        local.LocalNetwork(Path(root), "mst0", IPv4Network("10.84.0.0/24"))


def test_without_root_the_reason_is_said() -> None:
    asked = "import os; from clusters import local; os.setuid(65534); print(local.supported())"
    answer = output(sys.executable, "-c", asked)
    assert "Local nodes need root." in answer


def test_the_last_nodes_end_leaves_nothing_behind(
    engines: dict[str, local.LocalEngine], network: local.LocalNetwork
) -> None:
    for name in engines:
        start(name, network)
    local.destroy(NODES[0], network=network)
    assert traces(network, NODES[0]) == []
    assert local.is_running(NODES[1], network=network)
    assert local.sweep(set(), network=network) == sorted(NODES[1:])
    assert traces(network) == []
    local.destroy(NODES[0], network=network)
    assert traces(network) == []
