"""The demo cluster that `make up` brings up: something alive on the first page."""

import socket
import ssl

import pytest

from tests.product.installation import Installation, eventually
from tests.product.visitor import Visitor

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]
DOMAIN = "app.localhost"
NO_ESP = "The kernel cannot encrypt between nodes"


def visited(installation: Installation) -> str:
    """Open the application as a browser on this machine does; return its page."""
    ((chain,),) = installation.sql("SELECT chain FROM clusters_certificate WHERE name = 'demo'")
    port = int(installation.environment["MEDSTACK_DEMO_PORT"])
    trusted = ssl.create_default_context(cadata=chain)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as door,
            trusted.wrap_socket(door, server_hostname=DOMAIN) as secure,
        ):
            secure.sendall(f"GET / HTTP/1.0\r\nHost: {DOMAIN}\r\n\r\n".encode())
            return b"".join(iter(lambda: secure.recv(4096), b"")).decode()
    except (ConnectionError, TimeoutError, ssl.SSLEOFError):
        return ""


def test_its_two_services_find_each_other_by_name(installation: Installation, demo: str) -> None:
    eventually(lambda: "visits" in visited(installation), within=60, what="the application answers")
    page = visited(installation)
    assert "HTTP/1.0 200" in page
    assert "This page comes from the service <b>web</b>" in page
    assert "The service <b>api</b> answered: <code>{" in page


def test_its_network_is_encrypted_and_a_kernel_that_cannot_is_named(
    installation: Installation, demo: str, visitor: Visitor
) -> None:
    engines = installation.nodes("demo")
    assert list(engines) == ["node-1", "node-2"]
    with installation.engine(engines["node-1"]) as manager:
        assert "encrypted" in manager.network("internal")["Options"]
        members = {node["ID"]: node["Description"]["Hostname"] for node in manager.nodes()}
        tasks = manager.tasks(filters={"desired-state": ["running"]})
        talking = {
            members[task["NodeID"]]
            for task in tasks
            if manager.service(task["ServiceID"])["Spec"]["Name"] in ("api", "web")
        }
    page = visitor.get(demo).text
    if installation.sql("SELECT 1 FROM clusters_node WHERE has_esp = false"):
        assert talking == {"node-1"}, "What must talk stays where no packet has to be encrypted."
        assert NO_ESP in page and "Keep what must talk to each other on one node" in page
    else:
        assert NO_ESP not in page
