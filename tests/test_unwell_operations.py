"""Operations on Engines that are confused: each intent lands once, or says why not."""

import pytest
from django.test import Client
from django.urls import reverse

from clusters.actions import services as service_actions
from clusters.models import Cluster, Node, Service
from medstack.models import Operation, User
from tests.engines.conftest import run_due
from tests.fake_engine import OUT_OF_SEQUENCE, FakeEngine
from tests.unwell import Fakes, attach, by, let_time_pass, replicas, service_on


def test_an_update_out_of_sequence_is_read_again_and_both_intents_land(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    member = fake.state["nodes"][node.swarm_node_id]

    def somebody_else() -> None:
        member["Version"]["Index"] += 1
        member["Spec"]["Labels"] = {"rack": "b"}

    fake.hold(f"/nodes/{node.swarm_node_id}/update", somebody_else, times=1)
    url = reverse("node_availability", args=[cluster.slug, node.name])
    browser.post(url, {"availability": "drain"})
    run_due()
    assert Operation.objects.get().state == "done"
    assert member["Spec"]["Availability"] == "drain"
    assert member["Spec"]["Labels"] == {"rack": "b"}


def test_an_engine_that_stays_out_of_sequence_is_tried_again_later(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    fake.fail(f"/nodes/{node.swarm_node_id}/update", OUT_OF_SEQUENCE)
    url = reverse("node_availability", args=[cluster.slug, node.name])
    browser.post(url, {"availability": "drain"})
    run_due()
    operation = Operation.objects.get()
    assert (operation.state, operation.detail) == ("running", "update out of sequence")
    fake.heal()
    let_time_pass()
    run_due()
    assert Operation.objects.get().state == "done"
    assert fake.state["nodes"][node.swarm_node_id]["Spec"]["Availability"] == "drain"


@pytest.mark.parametrize(
    "words",
    [
        'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while '
        'dialing dial unix /var/run/docker/swarm/control.sock: connect: no such file or directory"',
        "This node is not a swarm manager. Worker nodes can't be used to view cluster state.",
        "rpc error: code = Unknown desc = The swarm does not have a leader.",
    ],
)
def test_a_manager_that_is_just_stepping_down_is_asked_again(
    words: str, browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    fake.fail(f"/nodes/{node.swarm_node_id}/update", words, status=503, times=1)
    url = reverse("node_availability", args=[cluster.slug, node.name])
    browser.post(url, {"availability": "drain"})
    run_due()
    assert Operation.objects.get().state == "running"
    let_time_pass()
    run_due()
    assert Operation.objects.get().state == "done"


def test_a_change_that_meets_somebody_elses_keeps_both(
    operator: User, cluster: Cluster, fake: FakeEngine
) -> None:
    service = service_on(fake, cluster)
    live = fake.state["services"][service.engine_id]

    def somebody_else() -> None:
        live["Version"]["Index"] += 1
        live["Spec"] = {**live["Spec"], "Labels": {**live["Spec"]["Labels"], "team": "b"}}

    fake.hold(f"/services/{service.engine_id}/update", somebody_else, times=1)
    service_actions.scale_service(service, 3, by=by(operator))
    run_due()
    assert replicas(fake, service) == 1, "The Engine refused the stale write."
    let_time_pass()
    run_due()
    assert replicas(fake, service) == 3
    assert live["Spec"]["Labels"]["team"] == "b"


def test_a_change_whose_answer_was_lost_is_not_made_twice_and_not_forgotten(
    operator: User, cluster: Cluster, fake: FakeEngine
) -> None:
    service = service_on(fake, cluster)
    update = f"/services/{service.engine_id}/update"
    fake.cut(update, times=1)
    operation = service_actions.scale_service(service, 3, by=by(operator))
    run_due()
    operation.refresh_from_db()
    assert "breaks off in the middle of its answer" in operation.detail
    let_time_pass()
    run_due()
    operation.refresh_from_db()
    assert operation.step == 1
    assert replicas(fake, service) == 3
    assert fake.calls.count(f"POST {update}") == 1

    service_actions.scale_service(service, 1, by=by(operator))
    let_time_pass()
    run_due()
    assert replicas(fake, service) == 1, "Going back to what was before is a change, too."


def test_a_change_that_follows_one_whose_answer_was_lost_does_not_take_it_for_somebody_elses(
    operator: User, cluster: Cluster, fake: FakeEngine
) -> None:
    service = service_on(fake, cluster)
    fake.cut(f"/services/{service.engine_id}/update", times=1)
    first = service_actions.scale_service(service, 3, by=by(operator))
    run_due()
    second = service_actions.scale_service(service, 1, by=by(operator))
    for _ in range(2):
        let_time_pass()
        run_due()
    for operation in (first, second):
        operation.refresh_from_db()
        assert (operation.error, operation.step) == ("", 1)
    assert replicas(fake, service) == 1


def test_a_service_whose_creation_was_cut_short_is_created_once_and_can_be_changed(
    operator: User, cluster: Cluster, fake: FakeEngine
) -> None:
    fake.cut("/services/create", times=1)
    spec = {
        "Name": "web",
        "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1.27"}},
        "Mode": {"Replicated": {"Replicas": 2}},
    }
    service_actions.create_service(cluster, spec, by=by(operator))
    for _ in range(2):
        run_due()
        let_time_pass()
    service = Service.objects.get()
    assert fake.calls.count("POST /services/create") == 1
    assert service.engine_id in fake.state["services"]
    assert service.applied_generation == 1
    service_actions.scale_service(service, 5, by=by(operator))
    run_due()
    assert replicas(fake, service) == 5


def test_a_half_read_answer_is_tried_again(
    browser: Client, cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    fake.cut("/volumes/create", times=1)
    url = reverse("new_volume", args=[cluster.slug])
    form = {"name": "data", "node": node.pk, "kind": "local", "tmpfs_size": "64m"}
    assert browser.post(url, form).status_code == 302
    run_due()
    operation = Operation.objects.get()
    assert (operation.state, operation.error) == ("running", "")
    assert "breaks off in the middle of its answer" in operation.detail
    let_time_pass()
    run_due()
    assert Operation.objects.get().state == "done"
    assert [volume["Name"] for volume in fake.listed("volumes")] == ["data"]


def test_a_join_token_that_was_rotated_in_between_is_read_again(
    browser: Client, cluster: Cluster, node: Node, fakes: Fakes
) -> None:
    manager, joining = fakes("manager"), fakes("joining")
    attach(node, manager)
    Cluster.objects.filter(pk=cluster.pk).update(first_node=node)
    joining.info |= {"Swarm": {"LocalNodeState": "inactive"}}
    words = "rpc error: code = InvalidArgument desc = A valid join token is necessary to join"
    joining.fail("/swarm/join", words, status=400, times=1)
    url = reverse("attach_node", args=[cluster.slug])
    form = {
        "name": "node-2",
        "role": "worker",
        "endpoint_url": joining.url,
        "address": "192.0.2.12",
    }
    assert browser.post(url, form).status_code == 302
    run_due()
    operation = Operation.objects.get()
    assert operation.detail == "The join token was rotated meanwhile; trying again."
    assert operation.is_active
    manager.swarm["JoinTokens"]["Worker"] = "SWMTKN-1-fake-newer"
    let_time_pass()
    run_due()
    joins = [
        body
        for call, body in zip(joining.calls, joining.bodies, strict=True)
        if call == "POST /swarm/join"
    ]
    assert [body["JoinToken"] for body in joins] == ["SWMTKN-1-fake-worker", "SWMTKN-1-fake-newer"]
    operation.refresh_from_db()
    assert "SWMTKN" not in f"{operation.log}{operation.detail}{operation.intent}"
