"""What changed, the same change made elsewhere, and what must never be shown."""

from typing import Any

from hypothesis import given

from clusters.drift import (
    HIDDEN,
    MISSING,
    Change,
    changes,
    meaningful,
    overlaps,
    patch,
    redacted,
    same,
)
from tests.strategies import OBJECTS

ENVIRONMENT = ("TaskTemplate", "ContainerSpec", "Env")


@given(OBJECTS, OBJECTS)
def test_a_patch_with_the_changes_gives_the_later_object(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert same(patch(before, changes(before, after)), after)


@given(OBJECTS)
def test_nothing_changes_between_equal_objects(value: dict[str, Any]) -> None:
    assert changes(value, dict(reversed(value.items()))) == []


def test_each_change_names_its_place_in_a_stable_order() -> None:
    before = {"Name": "web", "Mode": {"Replicated": {"Replicas": 2}}, "Init": None}
    after = {"Mode": {"Replicated": {"Replicas": 3}}, "Name": "web", "Labels": {"a": "b"}}

    assert changes(before, after) == [
        Change(("Mode", "Replicated", "Replicas"), 2, 3),
        Change(("Init",), None, MISSING),
        Change(("Labels",), MISSING, {"a": "b"}),
    ]


def test_lists_are_compared_as_a_whole() -> None:
    assert changes({"Args": ["a"]}, {"Args": ["a", "b"]}) == [Change(("Args",), ["a"], ["a", "b"])]


def test_true_is_not_1_but_1_is_1_point_0() -> None:
    assert changes({"a": 1, "b": 1}, {"a": True, "b": 1.0}) == [Change(("a",), 1, True)]


def test_a_patch_leaves_what_it_was_given_alone() -> None:
    live: dict[str, Any] = {"Labels": {"a": "1"}}
    wanted = [Change(("Labels", "b"), MISSING, ["x"])]

    result = patch(live, wanted)
    result["Labels"]["b"].append("y")

    assert live == {"Labels": {"a": "1"}}
    assert wanted[0].after == ["x"]


def test_a_patch_makes_the_way_and_removes_what_is_gone_already() -> None:
    found = patch(
        {"Mode": None},
        [Change(("Mode", "Global"), MISSING, {}), Change(("Labels", "a"), "1", MISSING)],
    )

    assert found == {"Mode": {"Global": {}}}


def test_changes_overlap_where_one_lies_within_the_other() -> None:
    scale = Change(("Mode", "Replicated", "Replicas"), 2, 3)
    whole = Change(("Mode",), {"Replicated": {}}, {"Global": {}})
    label = Change(("Labels", "a"), "1", "2")

    assert overlaps([scale, label], [whole]) == [scale]
    assert overlaps([whole], [scale, label]) == [whole]
    assert overlaps([scale], [label]) == []


def test_both_intents_land_when_they_touch_different_places() -> None:
    applied = {"Labels": {"a": "1"}, "Mode": {"Replicated": {"Replicas": 1}}}
    wanted = {"Labels": {"a": "2"}, "Mode": {"Replicated": {"Replicas": 1}}}
    live = {"Labels": {"a": "1"}, "Mode": {"Replicated": {"Replicas": 5}}}
    intent = changes(applied, wanted)

    assert overlaps(intent, changes(applied, live)) == []
    assert patch(live, intent) == {
        "Labels": {"a": "2"},
        "Mode": {"Replicated": {"Replicas": 5}},
    }


def test_our_own_bookkeeping_is_not_meaningful() -> None:
    before = {"TaskTemplate": {"ForceUpdate": 1}, "Labels": {"medstack.generation": "1"}}
    after = {"TaskTemplate": {"ForceUpdate": 2}, "Labels": {"medstack.generation": "2", "a": "b"}}

    assert [change.path for change in meaningful(changes(before, after))] == [("Labels", "a")]


def test_changes_are_told_in_plain_words() -> None:
    image = ("TaskTemplate", "ContainerSpec", "Image")

    assert str(Change(image, "web:1", "web:2")) == (
        "TaskTemplate.ContainerSpec.Image changed from “web:1” to “web:2”"
    )
    assert str(Change(("Labels", "a"), MISSING, "b")) == "Labels.a was added: “b”"
    assert str(Change(("Labels", "a"), "b", MISSING)) == "Labels.a was removed; it was “b”"
    assert str(Change(ENVIRONMENT, ["A=1", "B=1"], ["A=1", "B=2"])) == (
        "TaskTemplate.ContainerSpec.Env: added “B=2”; removed “B=1”"
    )
    assert str(Change(ENVIRONMENT, ["A", "B"], ["B", "A"])).endswith("in another order")


def test_a_changed_secret_is_told_without_its_value() -> None:
    change = Change(ENVIRONMENT, ["DB_PASSWORD=old1"], ["DB_PASSWORD=new2"])
    label = Change(("Labels", "api.token"), "old1", "new2")

    for text in (str(change), str(label), str(change.shown_before), str(label.shown_after)):
        assert "old1" not in text
        assert "new2" not in text
    assert "DB_PASSWORD" in str(change)
    assert str(label) == "Labels.api.token changed; its value is hidden"


def test_values_that_look_secret_are_hidden_wherever_a_spec_holds_them() -> None:
    container = {
        "Env": [
            "DB_PASSWORD=hunter2",
            "api_key=hunter2",
            "DATABASE_URL=postgres://app:hunter2@db/app",
            "SENTRY_DSN=hunter2",
            "TOKEN=",
            "MODE=production",
            "DB_PASSWORD_FILE=/run/secrets/db",
        ],
        "Args": ["serve", "--password=hunter2", "--token", "hunter2", "--port=80"],
        "Command": ["sh", "-c", "PGPASSWORD='hunter2' psql -h db"],
        "Secrets": [{"SecretName": "db-password", "SecretID": "abc"}],
        "Mounts": [
            {
                "Source": "share",
                "VolumeOptions": {
                    "DriverConfig": {"Options": {"o": "addr=nas,password=hunter2,rw"}}
                },
            }
        ],
    }
    spec = {
        "Labels": {"admin.password": "hunter2", "tier": "front"},
        "TaskTemplate": {
            "ContainerSpec": container,
            "LogDriver": {"Name": "splunk", "Options": {"splunk-token": "hunter2"}},
        },
    }

    shown = redacted(spec)

    assert "hunter2" not in str(shown)
    assert shown["TaskTemplate"]["ContainerSpec"]["Env"] == [
        f"DB_PASSWORD={HIDDEN}",
        f"api_key={HIDDEN}",
        f"DATABASE_URL=postgres://{HIDDEN}@db/app",
        f"SENTRY_DSN={HIDDEN}",
        "TOKEN=",
        "MODE=production",
        "DB_PASSWORD_FILE=/run/secrets/db",
    ]
    assert shown["TaskTemplate"]["ContainerSpec"]["Args"][-1] == "--port=80"
    assert shown["TaskTemplate"]["ContainerSpec"]["Secrets"] == container["Secrets"]
    assert shown["Labels"]["tier"] == "front"
    assert "hunter2" in str(spec)
