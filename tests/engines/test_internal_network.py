"""Services that find each other by name, and containers that nobody outside can reach."""

import socket

import pytest

from clusters.gateway import on_node
from clusters.models import Node
from tests.engines.acting import containers_of, deploy, inside, remove, two_nodes
from tests.engines.conftest import World, work_until

pytestmark = pytest.mark.engines
PORT = 8080
# The same request by hand: the image's wget crashes on some kernels.
REQUEST = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 3 {host} 8080 2>&1"


@pytest.fixture(scope="module", autouse=True)
def nodes(world: World) -> None:
    """Make the demo's two services, each on a node of its own, and one on neither's network."""
    two_nodes(world)
    for number, name in enumerate(("api", "web"), start=1):
        deploy(world, name, args=name, constraints=f"node.hostname==node-{number}")
    deploy(world, "stranger", args="api", networks=[])


def asked(world: World, name: str, host: str) -> str:
    """Let a service's container ask a host; return all that came back."""
    (answer,) = inside(world, name, "sh", "-c", REQUEST.format(host=host))
    return answer.decode()


def addresses_of(world: World, name: str) -> list[tuple[Node, str]]:
    """Return every address that the containers of a service have, with their node."""
    found = []
    for node, container in containers_of(world, name):
        with on_node(node) as engine:
            networks = engine.container(container)["NetworkSettings"]["Networks"]
        found += [(node, str(network["IPAddress"])) for network in networks.values()]
    return found


def is_reachable(address: str) -> bool:
    """Say whether one of the two services answers there; a machine's gateway may answer, too."""
    try:
        with socket.create_connection((address, PORT), timeout=1) as connection:
            connection.send(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return False
    return b"visits" in answer or b"Two services" in answer


def test_the_two_services_find_each_other_by_name_across_nodes(world: World) -> None:
    work_until(lambda: '"visits"' in asked(world, "web", "api"), within=30, what="api answers web")
    page = asked(world, "api", "web")
    assert "200 OK" in page and "This page comes from the service <b>web</b>" in page
    # web itself asked api by its name, on the other node, to fill in its page.
    assert '"visits"' in page
    nodes = {node.name for name in ("api", "web") for node, _ in containers_of(world, name)}
    assert nodes == {"node-1", "node-2"}


def test_a_container_is_not_reachable_from_the_machine_outside(world: World) -> None:
    found = [*addresses_of(world, "api"), *addresses_of(world, "web")]
    assert len(found) >= 2
    for node, address in found:
        assert not is_reachable(address), f"{address} on {node} is reachable."
    for node in Node.objects.present().filter(cluster=world.cluster):
        assert node.address and not is_reachable(node.address)
        with on_node(node) as engine:
            published = [p for c in engine.containers() for p in c["Ports"] if "PublicPort" in p]
        assert published == []


def test_a_service_on_no_common_network_does_not_find_the_others(world: World) -> None:
    assert '"visits"' not in asked(world, "stranger", "api")
    ((_, address),) = [
        (node, one) for node, one in addresses_of(world, "api") if one.startswith("10.")
    ]
    assert '"visits"' not in asked(world, "stranger", address)
    remove(world, "stranger")
