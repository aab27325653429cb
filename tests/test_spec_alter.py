"""Service specs between names and ids, and the small changes of a whole one."""

from typing import Any

import pytest

from clusters import spec as specs
from clusters.spec.defaults import DEFAULTS
from medstack.failures import Failure

Json = dict[str, Any]


def full_spec() -> Json:
    """Make a spec that uses one of each."""
    reference = {"target": "app", "uid": "0", "gid": "0", "mode": 0o444}
    return specs.service_spec(
        DEFAULTS
        | {
            "name": "web",
            "image": "web:1",
            "secrets": [{"name": "db-v1", **reference}],
            "configs": [{"name": "app-v1", **reference}],
            "volumes": [{"volume": "n1/data", "path": "/data", "read_only": False}],
            "networks": ["internal"],
        }
    )


def container_of(spec: Json) -> Json:
    """Return the container's part."""
    found: Json = spec["TaskTemplate"]["ContainerSpec"]
    return found


def test_resolving_fills_in_ids_and_the_generation() -> None:
    spec = full_spec()

    result = specs.resolve(
        spec,
        generation=7,
        secrets={"db-v1": "S1"},
        configs={"app-v1": "C1"},
        networks={"internal": "N1"},
    )

    assert container_of(result)["Secrets"][0]["SecretID"] == "S1"
    assert container_of(result)["Configs"][0]["ConfigID"] == "C1"
    assert result["TaskTemplate"]["Networks"] == [{"Target": "N1"}]
    assert result["Labels"]["medstack.generation"] == "7"
    assert spec == full_spec()


def test_resolving_names_all_that_is_missing() -> None:
    with pytest.raises(Failure) as refusal:
        specs.resolve(full_spec(), generation=1, secrets={}, configs={}, networks={})

    for words in ("the secret “db-v1”", "the config “app-v1”", "the network “internal”"):
        assert words in str(refusal.value)


def test_a_network_that_is_an_id_already_is_left_to_the_engine() -> None:
    spec = {"TaskTemplate": {"Networks": [{"Target": "m7kwm2p7nvl0aaj4tp8jxs2ky"}]}}

    result = specs.resolve(spec, generation=1, secrets={}, configs={}, networks={})

    assert result["TaskTemplate"] == spec["TaskTemplate"] | {"ContainerSpec": {}}


def test_a_live_spec_is_named_as_it_is_stored() -> None:
    wanted = full_spec()
    live = specs.resolve(
        wanted,
        generation=7,
        secrets={"db-v1": "S1"},
        configs={"app-v1": "C1"},
        networks={"internal": "N1"},
    )
    live["Labels"]["medstack.service"] = "12"
    live = specs.with_image(live, f"web:1@sha256:{'0' * 64}")

    assert specs.named(live, wanted, networks={"internal": "N1"}) == wanted
    assert container_of(specs.named(live))["Image"].startswith("web:1@")


def test_what_a_service_uses_is_listed() -> None:
    assert specs.uses(full_spec()) == specs.Uses(
        secrets=frozenset({"db-v1"}),
        configs=frozenset({"app-v1"}),
        volumes=frozenset({"data"}),
        networks=frozenset({"internal"}),
        image="web:1",
    )
    assert specs.uses({}) == specs.Uses()


@pytest.mark.parametrize(("kind", "key"), [("secret", "Secret"), ("config", "Config")])
def test_a_rotation_points_to_the_new_version_under_the_same_file_name(kind: str, key: str) -> None:
    spec = full_spec()
    old = container_of(spec)[f"{key}s"][0][f"{key}Name"]

    result = specs.repoint(spec, kind, old, "new-v2")

    assert container_of(result)[f"{key}s"][0][f"{key}Name"] == "new-v2"
    assert container_of(result)[f"{key}s"][0]["File"]["Name"] == "app"
    assert specs.repoint(spec, kind, "other", "new-v2") == spec == full_spec()


def test_scaling_changes_the_number_only() -> None:
    spec = full_spec()

    assert specs.scaled(spec, 5)["Mode"] == {"Replicated": {"Replicas": 5}}
    assert specs.scaled({}, 0)["Mode"] == {"Replicated": {"Replicas": 0}}
    with pytest.raises(Failure, match="fewer than 0"):
        specs.scaled(spec, -1)
    with pytest.raises(Failure, match="Only a replicated service"):
        specs.scaled({"Mode": {"Global": {}}}, 2)


def test_forcing_counts_up() -> None:
    once = specs.forced({})

    assert once["TaskTemplate"]["ForceUpdate"] == 1
    assert specs.forced(once)["TaskTemplate"]["ForceUpdate"] == 2


def test_pinning_adds_the_constraint_once() -> None:
    once = specs.pinned({}, "n1")

    assert once["TaskTemplate"]["Placement"]["Constraints"] == ["node.id==n1"]
    assert specs.pinned(once, "n1") == once
    spaced = {"TaskTemplate": {"Placement": {"Constraints": ["node.id == n1"]}}}
    assert specs.pinned(spaced, "n1") == spaced


def test_a_service_may_run_where_its_constraints_on_the_id_allow() -> None:
    pinned = specs.pinned({}, "n1")
    excluded = {"TaskTemplate": {"Placement": {"Constraints": ["node.id!=n1", "odd"]}}}

    assert specs.may_run_on(pinned, "n1")
    assert not specs.may_run_on(pinned, "n2")
    assert not specs.may_run_on(excluded, "n1")
    assert specs.may_run_on(excluded, "n2")
    assert specs.may_run_on({}, "n1")


def test_the_automatic_endpoint_mode_follows_the_kernels() -> None:
    spec = full_spec()

    assert specs.endpoint_mode(spec, ipvs=True)["EndpointSpec"]["Mode"] == "vip"
    assert specs.endpoint_mode(spec, ipvs=False)["EndpointSpec"]["Mode"] == "dnsrr"
    chosen = specs.service_spec(DEFAULTS | {"endpoint_mode": "vip"})
    assert specs.endpoint_mode(chosen, ipvs=False) == chosen
    spec["EndpointSpec"]["Ports"] = [{"TargetPort": 80, "PublishedPort": 80}]
    assert specs.endpoint_mode(spec, ipvs=False)["EndpointSpec"]["Mode"] == "vip"
