"""The agents' service: when it is put right, what its objects are called, what a node shows."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from backups import agent_service
from backups.schedule import asked_at
from tests.histories import at

REFERENCES = {"id": "abc", "name": "medstack-agent-123"}


def service(pulled_with: str = "") -> dict[str, Any]:
    return agent_service.service(
        image="medstack.invalid/agent:1",
        credentials=REFERENCES,
        policy_config=REFERENCES,
        pulled_with=pulled_with,
    )


def as_the_engine_shows_it() -> dict[str, Any]:
    """Return the service with what an Engine adds by itself."""
    live = deepcopy(service())
    container = live["TaskTemplate"]["ContainerSpec"]
    container["Image"] += "@sha256:" + "0" * 64
    container["Isolation"] = "default"
    del container["Env"]
    live["TaskTemplate"]["Runtime"] = "container"
    live["EndpointSpec"] = {"Mode": "vip"}
    return live


def test_what_the_engine_adds_by_itself_makes_no_other_service() -> None:
    assert not agent_service.differs(as_the_engine_shows_it(), service())


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("Env", ["LD_PRELOAD=/evil.so"]),
        ("Image", "somebody.example/agent:1"),
        ("CapabilityDrop", []),
        ("Mounts", []),
        ("Secrets", []),
    ],
)
def test_an_agent_that_somebody_changed_is_put_right(part: str, value: object) -> None:
    live = as_the_engine_shows_it()
    live["TaskTemplate"]["ContainerSpec"][part] = value
    assert agent_service.differs(live, service())


def test_agents_that_somebody_bound_to_one_node_are_put_right() -> None:
    live = as_the_engine_shows_it()
    live["TaskTemplate"]["Placement"] = {"Constraints": ["node.hostname==one"]}
    assert agent_service.differs(live, service())


def test_other_credentials_for_the_image_reach_the_swarm() -> None:
    assert agent_service.differs(as_the_engine_shows_it(), service(pulled_with="another"))


def test_the_name_of_an_object_follows_from_content_and_key_and_gives_neither_away() -> None:
    def name(content: str, key: str) -> str:
        return agent_service.named("registries", {"password": content}, key=key)[0]

    assert name("short", "k1") == name("short", "k1")
    assert len({name("short", "k1"), name("other", "k1"), name("short", "k2")}) == 3


def test_a_node_shows_why_it_has_no_agent() -> None:
    assert "drained" in agent_service.seen([], "drain")["error"]
    assert agent_service.seen([], "active")["state"] == "missing"


def test_a_node_whose_agent_waits_for_its_next_start_shows_what_it_failed_of() -> None:
    def task(state: str, error: str) -> dict[str, Any]:
        spec = {"ContainerSpec": {"Image": "medstack.invalid/agent:1@sha256:0"}}
        return {"Status": {"State": state, "Err": error}, "Spec": spec}

    failed, waiting = task("failed", "exit code 3"), task("ready", "")
    seen = agent_service.seen([failed, waiting], "active")
    assert seen == {"state": "ready", "version": "1", "error": "exit code 3"}
    assert agent_service.seen([failed, task("running", "")], "active")["error"] == ""


def test_a_snapshot_that_is_asked_for_never_takes_the_full_hours_place() -> None:
    hour = at("2025-06-18 12:00")
    assert asked_at(hour) == hour + timedelta(seconds=1)
    assert asked_at(at("2025-06-18 12:00:07.5")) == at("2025-06-18 12:00:07")
