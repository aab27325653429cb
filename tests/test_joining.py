"""Bringing an Engine into a swarm when something is in the way: nothing half-done is left."""

from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters import addresses
from clusters.models import Cluster, Node
from medstack.models import Operation
from tests.engines.conftest import run_due
from tests.fake_engine import FakeEngine
from tests.unwell import Fakes, attach, let_time_pass

TIMED_OUT = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the "
    'background. Use the "docker info" command to see the current swarm status of your node.'
)
OUTSIDE = {"Swarm": {"LocalNodeState": "inactive"}}
TRYING = {"Swarm": {"LocalNodeState": "pending"}}


@pytest.fixture
def manager(fakes: Fakes, cluster: Cluster, node: Node) -> FakeEngine:
    """Put a fake Engine behind the cluster's manager."""
    manager = fakes("manager")
    attach(node, manager)
    Cluster.objects.filter(pk=cluster.pk).update(first_node=node)
    return manager


@pytest.fixture
def joining(fakes: Fakes) -> FakeEngine:
    """Return an Engine that belongs to no swarm yet."""
    joining = fakes("joining")
    joining.info |= OUTSIDE
    return joining


def attach_through_the_form(browser: Client, cluster: Cluster, engine: FakeEngine) -> Operation:
    url = reverse("attach_node", args=[cluster.slug])
    form = {"name": "node-2", "role": "worker", "endpoint_url": engine.url}
    assert browser.post(url, form | {"address": "192.0.2.12"}).status_code == 302
    run_due()
    return Operation.objects.get()


def sent(engine: FakeEngine, call: str) -> list[Any]:
    """Return the bodies that an Engine got with a call."""
    pairs = zip(engine.calls, engine.bodies, strict=True)
    return [body for found, body in pairs if found == call]


def test_an_engine_that_does_not_reach_the_managers_gives_up_joining(
    browser: Client, cluster: Cluster, manager: FakeEngine, joining: FakeEngine
) -> None:
    joining.fail("/swarm/join", TIMED_OUT, status=503, after=lambda: joining.info.update(TRYING))
    operation = attach_through_the_form(browser, cluster, joining)
    assert operation.state == "failed"
    assert "does not reach the managers at 192.0.2.10:2377: open port 2377/tcp" in operation.error
    # Left alone it would enter the swarm by itself once somebody opens the firewall.
    assert joining.calls.count("POST /swarm/leave") == 1
    assert "POST /swarm/update" in manager.calls, "The token that it holds is worthless."
    assert not Node.objects.present().filter(name="node-2").exists()
    page = browser.get(reverse("operation", args=[operation.pk])).text
    assert "does not reach the managers" in page


def test_an_attempt_to_join_that_a_killed_worker_began_is_given_up_with_the_operation(
    browser: Client, cluster: Cluster, manager: FakeEngine, joining: FakeEngine
) -> None:
    joining.cut("/swarm/join", times=1)
    operation = attach_through_the_form(browser, cluster, joining)
    joining.info |= TRYING
    let_time_pass()
    run_due()
    operation.refresh_from_db()
    assert operation.is_active and "“pending”" in operation.detail
    assert "POST /swarm/leave" not in joining.calls
    Operation.objects.update(deadline=timezone.now() - timedelta(seconds=1))
    let_time_pass()
    run_due()
    operation.refresh_from_db()
    assert operation.state == "failed" and "“pending”" in operation.error
    assert joining.calls.count("POST /swarm/leave") == 1


def test_an_engine_that_somebody_put_into_another_swarm_meanwhile_is_left_there(
    browser: Client, cluster: Cluster, manager: FakeEngine, joining: FakeEngine
) -> None:
    url = reverse("attach_node", args=[cluster.slug])
    form = {"name": "node-2", "role": "worker", "endpoint_url": joining.url}
    browser.post(url, form | {"address": "192.0.2.12"})
    joining.info |= {"Swarm": {"LocalNodeState": "active", "Cluster": {"ID": "another"}}}
    run_due()
    operation = Operation.objects.get()
    assert operation.state == "failed"
    assert "already belongs to another swarm" in operation.error
    assert "POST /swarm/leave" not in joining.calls
    assert not Node.objects.present().filter(name="node-2").exists()


def test_the_swarms_address_pool_avoids_every_network_that_is_known(
    browser: Client, cluster: Cluster, joining: FakeEngine
) -> None:
    Cluster.objects.filter(pk=cluster.pk).update(swarm_id="")
    first, second = (str(pool) for pool in addresses.POOLS[:2])
    joining.add("networks", "lan", None, IPAM={"Config": [{"Subnet": "10.201.7.0/24"}]})
    joining.info |= {"DefaultAddressPools": [{"Base": second, "Size": 24}]}
    attach_through_the_form(browser, cluster, joining)
    (body,) = sent(joining, "POST /swarm/init")
    (pool,) = (IPv4Network(text) for text in body["DefaultAddrPool"])
    taken = [IPv4Network(first), IPv4Network(second), *addresses.of_this_machine()]
    assert not [network for network in taken if network.overlaps(pool)]
    assert body["AdvertiseAddr"] == "192.0.2.12" and body["SubnetSize"] == 20


def test_the_pool_of_a_swarm_whose_worker_was_killed_is_read_from_the_engine(
    browser: Client, cluster: Cluster, joining: FakeEngine
) -> None:
    Cluster.objects.filter(pk=cluster.pk).update(swarm_id="")
    joining.swarm["DefaultAddrPool"] = ["10.211.0.0/16"]
    joining.cut("/swarm/init", times=1)
    attach_through_the_form(browser, cluster, joining)
    joining.info |= {
        "Swarm": {"LocalNodeState": "active", "NodeID": "n1", "ControlAvailable": True}
    }
    let_time_pass()
    run_due()
    cluster.refresh_from_db()
    assert (cluster.swarm_id, cluster.address_pool) == ("swarm1", "10.211.0.0/16")
    assert len(sent(joining, "POST /swarm/init")) == 1
