"""What operations on registries, services and volumes send to an Engine, seen on the wire."""

import base64
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Node, Registry, Service, Volume
from clusters.tasks.refresh import refresh_cluster
from medstack.models import Operation
from tests.engines.conftest import run_due
from tests.fake_engine import FakeEngine
from tests.unwell import let_time_pass, service_on

IMAGE = "registry.example.com/team/web:1"
FIRST, SECOND = "first-password", "second-password"


@pytest.fixture
def registry(cluster: Cluster) -> Registry:
    return Registry.objects.create(
        cluster=cluster, address="registry.example.com/team", username="ci", password=FIRST
    )


@pytest.fixture
def service(fake: FakeEngine, cluster: Cluster, registry: Registry) -> Service:
    """Return a service of no tasks, which is therefore always as it is wanted."""
    template = {"ContainerSpec": {"Image": IMAGE}}
    return service_on(fake, cluster, TaskTemplate=template, Mode={"Replicated": {"Replicas": 0}})


def passwords_with(fake: FakeEngine, service: Service) -> list[str]:
    """Return the password that came with each update of the service, and forget the calls."""
    path = f"POST /services/{service.engine_id}/update"
    pairs = zip(fake.calls, fake.headers, strict=True)
    found = [headers.get("X-Registry-Auth", "") for call, headers in pairs if call == path]
    fake.calls.clear()
    fake.headers.clear()
    fake.bodies.clear()
    fake.queries.clear()
    return [str(json.loads(base64.urlsafe_b64decode(one))["password"]) for one in found if one]


def act(browser: Client, service: Service, what: str, **fields: Any) -> None:
    """Press one of the buttons of a service's page, and let a worker do it."""
    url = reverse(f"{what}_service", args=[service.cluster.slug, service.name])
    assert browser.post(url, fields).status_code == 302
    run_due()
    let_time_pass()
    run_due()
    operation = Operation.objects.filter(target_kind="service").latest("pk")
    assert operation.state == "done", (operation.error, operation.detail)


def test_the_registrys_password_goes_with_every_change_of_a_service(
    browser: Client, fake: FakeEngine, service: Service
) -> None:
    act(browser, service, "scale", replicas=0)
    assert passwords_with(fake, service) == [FIRST]
    act(browser, service, "restart")
    assert passwords_with(fake, service) == [FIRST]
    act(browser, service, "roll_back")
    # The Engine's own rollback, and then the generation that the console counts.
    assert passwords_with(fake, service) == [FIRST, FIRST]


def test_a_new_password_is_sent_to_the_services_and_used_from_then_on(
    browser: Client, fake: FakeEngine, registry: Registry, service: Service
) -> None:
    before = fake.state["services"][service.engine_id]["Spec"]["TaskTemplate"]
    url = reverse("registry", args=[registry.cluster.slug, registry.pk])
    browser.post(url, {"username": "ci", "password": SECOND})
    run_due()
    assert Operation.objects.get(kind="registry.apply").state == "done"
    assert passwords_with(fake, service) == [SECOND]
    after = fake.state["services"][service.engine_id]["Spec"]["TaskTemplate"]
    assert after == before, "No task is replaced for it."
    act(browser, service, "scale", replicas=0)
    assert passwords_with(fake, service) == [SECOND]


def test_a_volume_that_the_node_has_as_another_kind_is_not_taken_for_the_wanted_one(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    fake.add("volumes", "images", Name="images", Options=None)
    share = {"kind": "nfs", "nfs_server": "nfs.example.com", "nfs_path": "/exports/images"}
    form = {"name": "images", "node": node.pk, "tmpfs_size": "64m", **share}
    assert browser.post(reverse("new_volume", args=[cluster.slug]), form).status_code == 302
    run_due()
    operation = Operation.objects.get()
    assert operation.state == "failed"
    assert "node-1 has a volume named “images” already, which is of another kind" in operation.error
    refresh_cluster(cluster.pk)
    volume = Volume.objects.get()
    assert (volume.options, volume.gone_at) == ("", None), "It is listed as what it is."
