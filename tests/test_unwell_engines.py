"""Engines that are down, slow or confused: one section says so, and nothing else suffers."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Node, Volume
from clusters.tasks.refresh import refresh_cluster
from tests.fake_engine import FakeEngine
from tests.unwell import (
    WORDS,
    Fakes,
    list_in_swarm,
    more_nodes,
    service_on,
)


@pytest.mark.parametrize(
    "page",
    [
        "clusters",
        "cluster",
        "node",
        "registries",
        "configs",
        "secrets",
        "volumes",
        "volume",
        "services",
        "service",
        "networks",
        "new_service",
        "new_volume",
        "operations",
    ],
)
def test_a_page_asks_no_engine(
    page: str, browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    service = service_on(fake, cluster)
    volume = Volume.objects.create(node=node, name="data", observed_at=timezone.now())
    own: dict[str, list[object]] = {
        "clusters": [],
        "operations": [],
        "node": [cluster.slug, node.name],
        "service": [cluster.slug, service.name],
        "volume": [cluster.slug, volume.pk],
    }
    fake.delay("*", 30)
    answer = browser.get(reverse(page, args=own.get(page, [cluster.slug])))
    assert answer.status_code == 200
    assert fake.calls == []


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (lambda fake: fake.fail("*", WORDS), WORDS),
        (lambda fake: fake.delay("*", 30), "answer within"),
        (lambda fake: fake.stop(), "does not answer: no such file or directory"),
        (lambda fake: fake.refuse("*"), "closes the connection without an answer"),
    ],
)
def test_logs_of_an_unwell_engine_are_a_callout_on_the_page(
    trouble: Callable[[FakeEngine], None],
    words: str,
    browser: Client,
    cluster: Cluster,
    fake: FakeEngine,
) -> None:
    service = service_on(fake, cluster)
    trouble(fake)
    answer = browser.get(reverse("service_logs", args=[cluster.slug, service.name]))
    assert answer.status_code == 200
    assert "The last lines could not be read" in answer.text
    assert words in answer.text


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (lambda fake: fake.fail("*", WORDS), WORDS),
        (lambda fake: fake.stop(), "does not answer: no such file or directory"),
        (lambda fake: fake.cut("/info"), "breaks off in the middle of its answer"),
        (lambda fake: fake.answer("*", b"<html>502</html>", status=502), "502"),
        (lambda fake: fake.answer("/info", b"<html>hello</html>"), "no Docker Engine would"),
    ],
)
def test_a_node_that_does_not_answer_is_down_with_the_engines_words(
    trouble: Callable[[FakeEngine], None],
    words: str,
    browser: Client,
    cluster: Cluster,
    node: Node,
    fake: FakeEngine,
) -> None:
    fake.info |= {"NCPU": 4, "MemTotal": 2**33}
    refresh_cluster(cluster.pk)
    node.refresh_from_db()
    assert node.status == "Ready"

    trouble(fake)
    refresh_cluster(cluster.pk)
    node.refresh_from_db()
    assert node.status == "Down"
    assert words in node.last_error
    page = browser.get(node.get_absolute_url()).text
    assert "The Engine does not answer" in page
    assert words in page
    assert "4 CPUs" in page, "What it said last is shown still."
    assert "Down" in browser.get(cluster.get_absolute_url()).text


def test_a_node_that_answers_again_is_ready_again(
    cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    fake.fail("*", WORDS)
    refresh_cluster(cluster.pk)
    fake.heal()
    refresh_cluster(cluster.pk)
    node.refresh_from_db()
    assert (node.status, node.last_error) == ("Ready", "")


def test_a_node_that_has_been_silent_for_45_seconds_is_down(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    for age, status in ((40, "Ready"), (50, "Down")):
        Node.objects.filter(pk=node.pk).update(seen_at=timezone.now() - timedelta(seconds=age))
        node.refresh_from_db()
        assert node.status == status
        assert f"{status}</span>" in browser.get(node.get_absolute_url()).text
    assert "1 of 1 node down" in browser.get(reverse("clusters")).text


def test_one_node_that_is_down_leaves_the_others_as_they_are(
    cluster: Cluster, node: Node, fake: FakeEngine, fakes: Fakes
) -> None:
    broken, well = more_nodes(cluster, fakes, 2)
    for other in Node.objects.filter(cluster=cluster):
        list_in_swarm(other, fake)
    broken.fail("*", WORDS)
    well.add("volumes", "data", Name="data")
    refresh_cluster(cluster.pk)
    states = {other.name: other.status for other in Node.objects.filter(cluster=cluster)}
    assert states == {"node-1": "Ready", "worker-0": "Down", "worker-1": "Ready"}
    assert Volume.objects.filter(node__name="worker-1", name="data").exists()
    cluster.refresh_from_db()
    assert cluster.observed_error == ""


def test_a_swarm_without_an_answering_manager_says_why_and_keeps_what_it_said_last(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    service_on(fake, cluster)
    fake.fail("/services", "rpc error: code = Unknown desc = The swarm does not have a leader.")
    refresh_cluster(cluster.pk)
    page = browser.get(cluster.get_absolute_url()).text
    assert "No manager answers" in page
    assert "The swarm does not have a leader." in page
    assert "web" in browser.get(reverse("services", args=[cluster.slug])).text


def test_an_engine_that_cannot_measure_its_volumes_in_time_is_not_down(
    cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    fake.add("volumes", "data", Name="data")
    fake.fail("/system/df", "a disk usage operation is already running")
    refresh_cluster(cluster.pk)
    node.refresh_from_db()
    assert node.status == "Ready"
    assert Volume.objects.get(node=node, name="data").size_bytes is None


def test_fifty_nodes_are_read_at_once(cluster: Cluster, fakes: Fakes) -> None:
    together = threading.Barrier(50)
    for fake in more_nodes(cluster, fakes, 50):
        # Nobody is answered before all of them have been asked.
        fake.hold("/info", lambda: together.wait(timeout=4))
    refresh_cluster(cluster.pk)
    nodes = Node.objects.filter(cluster=cluster)
    assert [node.last_error for node in nodes if node.last_error] == []
    assert not together.broken
