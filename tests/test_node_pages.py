"""A node's page: what is wrong with it, what it may not do, and a kernel that was replaced."""

import gzip
import io
import tarfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Node
from clusters.tasks.refresh import refresh_cluster
from medstack.models import Event, Operation
from tests.engines.conftest import run_due
from tests.fake_engine import FakeEngine
from tests.unwell import (
    Fakes,
    let_time_pass,
    list_in_swarm,
    more_nodes,
)

CONFIG = "/containers/medstack-kernel-probe/archive"


def packed(config: str) -> bytes:
    """Return a kernel's configuration as the Engine's archive call sends /proc/config.gz."""
    content = gzip.compress(config.encode())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_the_page_of_a_node_warns_of_all_that_is_amiss(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    Node.objects.filter(pk=node.pk).update(has_esp=False, has_ipvs=False)
    late = datetime.now(UTC) - timedelta(minutes=2)
    fake.info |= {"ServerVersion": "20.10.5", "SystemTime": late.isoformat(), "NCPU": 4}
    refresh_cluster(cluster.pk)
    page = browser.get(node.get_absolute_url()).text
    for words in (
        "The kernel cannot encrypt between nodes",
        "Docker Engine 20.10.5 is old",
        "The kernel has no IPVS",
        "s behind the console&#x27;s",
    ):
        assert words in page
        assert words in browser.get(cluster.get_absolute_url()).text
    Node.objects.filter(pk=node.pk).update(has_esp=True, has_ipvs=True)
    fake.info |= {"ServerVersion": "20.10.24", "SystemTime": datetime.now(UTC).isoformat()}
    refresh_cluster(cluster.pk)
    page = browser.get(node.get_absolute_url()).text
    assert "callout-warning" not in page and "Supported" in page


def test_a_node_that_has_started_with_another_kernel_is_looked_at_again(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    Node.objects.filter(pk=node.pk).update(
        has_esp=False, has_ipvs=False, kernel="5.10-tiny", abilities_kernel="5.10-tiny"
    )
    fake.raw[CONFIG] = packed("CONFIG_INET_ESP=m\nCONFIG_IP_VS=y\n")
    fake.info |= {"KernelVersion": "5.10-tiny"}
    refresh_cluster(cluster.pk)
    run_due()
    node.refresh_from_db()
    assert (node.has_esp, node.has_ipvs) == (False, False), "It is the kernel that is known."
    assert f"GET {CONFIG}" not in fake.calls

    fake.info |= {"KernelVersion": "6.1.0-18-amd64"}
    # A look that fails, or whose container another look has removed, changes nothing; each
    # refresh sees that it is still to be done.
    fake.fail("/images/create", "no space left on device", times=1)
    fake.fail(CONFIG, "No such container: medstack-kernel-probe", status=404, times=1)
    for _ in range(2):
        refresh_cluster(cluster.pk)
        run_due()
        node.refresh_from_db()
        assert (node.has_esp, node.abilities_kernel) == (False, "5.10-tiny")
    refresh_cluster(cluster.pk)
    run_due()
    node.refresh_from_db()
    assert (node.has_esp, node.has_ipvs) == (True, True)
    assert node.abilities_kernel == "6.1.0-18-amd64"
    assert "cannot encrypt" not in browser.get(node.get_absolute_url()).text
    looks = fake.calls.count(f"GET {CONFIG}")
    refresh_cluster(cluster.pk)
    run_due()
    assert fake.calls.count(f"GET {CONFIG}") == looks


def more_managers(cluster: Cluster, *ages: int) -> None:
    """Give the cluster further managers that were heard so many seconds ago."""
    for number, age in enumerate(ages, 2):
        Node.objects.create(
            cluster=cluster,
            name=f"node-{number}",
            endpoint_url=f"unix:///nonexistent/{number}.sock",
            role=Node.Role.MANAGER,
            swarm_node_id=f"swarmnode{number}",
            swarm_state="ready",
            availability="active",
            seen_at=timezone.now() - timedelta(seconds=age),
        )


def demote(browser: Client, node: Node) -> Any:
    url = reverse("node_role", args=[node.cluster.slug, node.name])
    return browser.post(url, {"role": "worker"})


def remove(browser: Client, node: Node, **extra: str) -> Any:
    url = reverse("remove_node", args=[node.cluster.slug, node.name])
    return browser.post(url, {"confirmation": node.name, **extra})


SILENT = 300
ONE_OF_TWO = "of the 2 managers that would remain, 1 answers, and 2 are needed."


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([], "it is the only manager"),
        ([SILENT], "of the 1 managers that would remain, 0 answer, and 1 are needed."),
        ([0, SILENT], ONE_OF_TWO),
        ([0, 0, SILENT, SILENT], "of the 4 managers that would remain, 2 answer, and 3 are needed"),
    ],
)
def test_what_would_lose_the_quorum_is_refused_with_the_reason(
    others: list[int], reason: str, browser: Client, cluster: Cluster, node: Node
) -> None:
    more_managers(cluster, *others)
    Node.objects.create(cluster=cluster, name="worker", swarm_node_id="w", swarm_state="ready")
    for answer, doing in (
        (demote(browser, node), "Demoting"),
        (remove(browser, node), "Removing"),
        (remove(browser, node, force="on"), "Removing"),
    ):
        assert answer.status_code == 422
        assert f"{doing} “node-1” would lose the quorum: {reason}" in answer.text
    assert not Operation.objects.exists() and not Event.objects.exists()


@pytest.mark.parametrize("others", [[0], [0, 0], [0, 0, SILENT, 0]])
def test_a_manager_whose_fellows_keep_the_quorum_may_go(
    others: list[int], browser: Client, cluster: Cluster, node: Node
) -> None:
    more_managers(cluster, *others)
    assert demote(browser, node).status_code == 302


def test_a_silent_manager_may_be_struck_off_while_the_others_decide(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    more_managers(cluster, 0, SILENT)
    lost = Node.objects.get(name="node-3")
    assert remove(browser, lost, force="on").status_code == 302


def test_a_quorum_that_was_lost_meanwhile_stops_the_demotion_at_its_step(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    more_managers(cluster, 0, 0)
    fake.state["nodes"][node.swarm_node_id]["Spec"]["Role"] = "manager"
    assert demote(browser, node).status_code == 302
    Node.objects.filter(name="node-3").update(last_error="does not answer")
    run_due()
    operation = Operation.objects.get()
    assert operation.state == "failed" and ONE_OF_TWO in operation.error
    assert fake.state["nodes"][node.swarm_node_id]["Spec"]["Role"] == "manager"


def test_two_managers_cannot_be_demoted_at_once(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    more_managers(cluster, 0, 0)
    assert demote(browser, node).status_code == 302
    second = demote(browser, Node.objects.get(name="node-2"))
    assert second.status_code == 422 and "is still running" in second.text


def test_a_silent_node_is_not_drained_by_a_removal_that_cannot_be_finished(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine, fakes: Fakes
) -> None:
    (worker_engine,) = more_nodes(cluster, fakes, 1)
    worker = Node.objects.get(name="worker-0")
    list_in_swarm(worker, fake)
    worker_engine.stop()
    assert remove(browser, worker).status_code == 302
    run_due()
    operation = Operation.objects.get()
    assert operation.state == "failed"
    assert "Remove it with “even if it does not answer”" in operation.error
    assert not [call for call in fake.calls if call.endswith("/update")], "Nothing was begun."
    fake.state["nodes"][worker.swarm_node_id]["Status"]["State"] = "down"
    assert remove(browser, worker, force="on").status_code == 302
    run_due()
    let_time_pass()
    run_due()
    assert Operation.objects.latest("pk").state == "done"
    assert worker.swarm_node_id not in fake.state["nodes"]


def test_the_node_that_a_console_runs_on_is_neither_drained_nor_removed(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    Node.objects.filter(pk=node.pk).update(labels={"medstack.console": "true"})
    drained = browser.post(
        reverse("node_availability", args=[cluster.slug, node.name]), {"availability": "drain"}
    )
    for refused in (drained, remove(browser, node)):
        assert refused.status_code == 422
        assert "would end the console that runs there" in refused.text
    assert not Operation.objects.exists()
    assert remove(browser, node, force="on").status_code == 302
