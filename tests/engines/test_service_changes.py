"""Changes from two sides: other operators, and people who use the Engine itself."""

from collections.abc import Callable

import pytest

from clusters.models import Service
from medstack.models import Event
from tests.engines.acting import (
    Json,
    act,
    create,
    deploy,
    edit,
    form_on,
    ids_of,
    inside,
    live,
    remove,
    send,
    settled,
    two_nodes,
)
from tests.engines.conftest import IMAGE, World

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module", autouse=True)
def nodes(world: World) -> None:
    two_nodes(world)
    deploy(world, "api", args="api", environment="COLOUR=red", labels="team=radiology")


def outside(world: World, name: str, change: Callable[[Json], object]) -> None:
    """Change a service by the Engine's own API, as somebody with the docker command does."""
    with world.manager() as engine:
        found = engine.service(name)
        change(found["Spec"])
        engine.service_update(found["ID"], found["Version"]["Index"], found["Spec"])
    world.refresh()


def container_of(spec: Json) -> Json:
    container: Json = spec["TaskTemplate"]["ContainerSpec"]
    return container


def colours(world: World) -> list[bytes]:
    return inside(world, "api", "sh", "-c", "echo $COLOUR $SIZE")


def decide(world: World, choice: str) -> None:
    """Press one of the two buttons below the drift."""
    form = form_on(world.page("docker/services/api/"), "version")
    act(world, "api", "drift", choice=choice, **form)


def test_what_was_changed_outside_is_shown_and_accepted(world: World) -> None:
    outside(world, "api", lambda spec: container_of(spec).update(Env=["COLOUR=green"]))
    page = world.page("docker/services/api/")
    assert "Changed outside the console" in page
    assert "COLOUR=red" in page and "COLOUR=green" in page
    decide(world, "accept")
    assert container_of(world.service("api").spec)["Env"] == ["COLOUR=green"]
    assert "Changed outside the console" not in world.page("docker/services/api/")
    # What was accepted survives the next change.
    act(world, "api", "restart")
    settled(world)
    assert colours(world) == [b"green\n"]


def test_what_was_changed_outside_is_overwritten(world: World) -> None:
    outside(world, "api", lambda spec: container_of(spec).update(Env=["COLOUR=blue"]))
    assert world.service("api").drift
    decide(world, "overwrite")
    settled(world)
    assert not world.service("api").drift
    assert container_of(live(world, "api")["Spec"])["Env"] == ["COLOUR=green"]
    assert colours(world) == [b"green\n"]
    actions = set(Event.objects.values_list("action", flat=True))
    assert {"service.drift_accepted", "service.drift_overwritten"} <= actions


def test_nobody_decides_about_what_the_page_did_not_show(world: World) -> None:
    outside(world, "api", lambda spec: container_of(spec).update(Env=["COLOUR=grey"]))
    form = form_on(world.page("docker/services/api/"), "version")
    outside(world, "api", lambda spec: container_of(spec).update(Env=["COLOUR=pink"]))
    text = world.post("docker/services/api/drift/", 422, choice="accept", **form)
    assert "has changed again" in text


def test_a_change_that_conflicts_with_one_from_outside_is_not_made(world: World) -> None:
    edit(world, "api", environment="COLOUR=white")
    error = world.failed()
    assert "Somebody changed the same settings outside the console" in error
    assert "COLOUR=pink" in error
    assert container_of(live(world, "api")["Spec"])["Env"] == ["COLOUR=pink"]
    world.refresh()
    assert world.service("api").status == "Not applied"
    decide(world, "overwrite")
    settled(world)
    assert colours(world) == [b"white\n"]
    assert world.service("api").status == "Running"


def test_a_change_beside_one_from_outside_leaves_that_alone(world: World) -> None:
    outside(world, "api", lambda spec: spec["Labels"].update(pager="4711"))
    act(world, "api", "scale", replicas=2)
    settled(world)
    spec = live(world, "api")["Spec"]
    assert spec["Labels"]["pager"] == "4711" and spec["Labels"]["team"] == "radiology"
    assert spec["Mode"]["Replicated"]["Replicas"] == 2
    assert [change.path for change in world.service("api").drift] == [("Labels", "pager")]


def test_the_second_of_two_operators_gets_a_conflict(world: World) -> None:
    path = "docker/services/api/edit/"
    first, second = world.page(path), world.page(path)
    send(world, path, first, 302, {"environment": "COLOUR=black"})
    text = send(world, path, second, 422, {"environment": "COLOUR=brown"})
    assert "changed this service while the form was open" in text
    assert "COLOUR=brown" in text
    settled(world)
    assert colours(world) == [b"black\n", b"black\n"]


def test_scaling_and_editing_at_once_both_land(world: World) -> None:
    edit(world, "api", environment="COLOUR=gold")
    act(world, "api", "scale", replicas=1)
    settled(world)
    assert colours(world) == [b"gold\n"]
    assert world.service("api").replicas == 1 and len(ids_of(world, "api")) == 1


def test_a_name_that_is_taken_on_the_swarm_is_refused_and_the_stranger_adopted(
    world: World,
) -> None:
    with world.manager() as engine:
        engine.service_create(
            {
                "Name": "foreign",
                "Labels": {"whose": "theirs"},
                "TaskTemplate": {"ContainerSpec": {"Image": IMAGE, "Args": ["api"]}},
                "Mode": {"Replicated": {"Replicas": 1}},
            }
        )
    # Nobody has looked since, so only the Engine knows of it.
    create(world, "foreign", args="web")
    assert world.failed() == "A service named “foreign” exists already on the swarm."
    assert live(world, "foreign")["Spec"]["Labels"] == {"whose": "theirs"}
    world.refresh()
    service = world.service("foreign")
    assert service.is_external and service.container["Args"] == ["api"]
    assert "foreign" in world.page("docker/services/")
    text = create(world, "foreign", 422)
    assert "There is a service named “foreign” already." in text


def test_an_adopted_service_can_be_worked_with(world: World) -> None:
    before = ids_of(world, "foreign")
    act(world, "foreign", "scale", replicas=2)
    settled(world)
    assert before < ids_of(world, "foreign") and len(ids_of(world, "foreign")) == 2
    assert live(world, "foreign")["Spec"]["Labels"]["whose"] == "theirs"
    assert not world.service("foreign").drift
    remove(world, "foreign")


def test_a_service_that_was_removed_outside_is_missing_and_comes_back(world: World) -> None:
    with world.manager() as engine:
        engine.service_remove("api")
    world.refresh()
    assert world.service("api").status == "Missing"
    assert "no longer has this service" in world.page("docker/services/api/")
    act(world, "api", "restart")
    settled(world)
    assert colours(world) == [b"gold\n"]
    assert world.service("api").status == "Running"
    remove(world, "api")
    assert not Service.objects.present().filter(cluster=world.cluster).exists()
