"""Attaching an Engine: what cannot be a node is refused at its field, and nothing is kept."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from clusters.models import Cluster, Node
from medstack.models import Event, Operation
from tests.fake_engine import FakeEngine
from tests.unwell import WORDS, Fakes


def attach_form(browser: Client, cluster: Cluster, url: str) -> Any:
    """Fill in the form that attaches an Engine."""
    form = {"name": "node-9", "endpoint_url": url, "address": "192.0.2.19", "role": "worker"}
    return browser.post(reverse("attach_node", args=[cluster.slug]), form)


def refused_with(browser: Client, cluster: Cluster, url: str) -> str:
    """Return what the form says at the endpoint; nothing is kept of it."""
    before = (Node.objects.count(), Operation.objects.count(), Event.objects.count())
    answer = attach_form(browser, cluster, url)
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert set(errors) == {"endpoint_url"}
    words = str(errors["endpoint_url"][0])
    assert escape(words) in answer.text
    assert (Node.objects.count(), Operation.objects.count(), Event.objects.count()) == before
    return words


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (lambda fake: fake.answer("*", b"<html>Welcome</html>"), "is not a Docker Engine."),
        (lambda fake: fake.answer("*", b"no", status=404), "is not a Docker Engine"),
        (lambda fake: fake.refuse("*"), "closes the connection without an answer"),
        (lambda fake: fake.stop(), "does not answer: no such file or directory"),
        (lambda fake: fake.fail("/info", WORDS), WORDS),
        (lambda fake: fake.cut("/version"), "breaks off in the middle of its answer"),
        (lambda fake: None, "already belongs to a swarm"),
    ],
)
def test_an_engine_that_cannot_be_a_node_is_refused_at_its_field(
    trouble: Callable[[FakeEngine], None],
    words: str,
    browser: Client,
    cluster: Cluster,
    fakes: Fakes,
) -> None:
    fake = fakes()
    trouble(fake)
    assert words in refused_with(browser, cluster, fake.url)


def test_an_engine_that_is_too_old_is_refused_with_the_version_that_is_needed(
    browser: Client, cluster: Cluster, fakes: Fakes
) -> None:
    old = fakes(api="1.40")
    assert "too old: Docker Engine 20.10 or newer" in refused_with(browser, cluster, old.url)


@pytest.mark.parametrize(
    "url", ["http://example.org", "/var/run/docker.sock", "unix://docker.sock", "docker"]
)
def test_an_endpoint_that_is_none_is_refused_at_its_field(
    url: str, browser: Client, cluster: Cluster
) -> None:
    assert refused_with(browser, cluster, url)


def test_an_engine_that_is_slow_at_everything_does_not_hold_the_form_for_longer_than_a_page(
    browser: Client, cluster: Cluster, fakes: Fakes
) -> None:
    fake = fakes()
    # Each answer alone would come in time.
    fake.delay("*", 1.5)
    assert refused_with(browser, cluster, fake.url) == "No answer within 2.5 seconds."


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_an_address_that_no_other_node_could_reach_is_refused_at_its_field(
    address: str, browser: Client, cluster: Cluster, fakes: Fakes
) -> None:
    fake = fakes()
    fake.info |= {"Swarm": {"LocalNodeState": "inactive"}}
    form = {"name": "node-9", "endpoint_url": fake.url, "address": address, "role": "worker"}
    answer = browser.post(reverse("attach_node", args=[cluster.slug]), form)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"address"}
    assert "The other nodes cannot reach this one" in answer.text
    assert not Node.objects.filter(name="node-9").exists()
