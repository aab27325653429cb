"""Service specs from the form's values and back, with what the form does not know."""

from copy import deepcopy
from typing import Any

from hypothesis import given

from clusters import spec as specs
from clusters.spec.defaults import DEFAULTS, STRATEGY
from tests.strategies import CLEANED

Json = dict[str, Any]
SECOND = 10**9


def container_of(spec: Json) -> Json:
    """Return the container's part."""
    found: Json = spec["TaskTemplate"]["ContainerSpec"]
    return found


@given(CLEANED)
def test_a_spec_is_read_back_as_what_the_form_said(cleaned: Json) -> None:
    assert specs.initial(specs.service_spec(cleaned)) == cleaned


@given(CLEANED, CLEANED)
def test_a_changed_spec_is_read_back_as_what_the_form_said(former: Json, cleaned: Json) -> None:
    base = specs.service_spec(former)

    assert specs.initial(specs.service_spec(cleaned, base)) == cleaned


@given(CLEANED)
def test_an_unchanged_form_changes_nothing(cleaned: Json) -> None:
    spec = specs.service_spec(cleaned)

    assert specs.service_spec(specs.initial(spec), base=spec) == spec


FOREIGN: Json = {
    "Name": "web",
    "Labels": {"com.docker.stack.namespace": "shop", "traefik.enable": "true"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": f"web:1@sha256:{'0' * 64}",
            "Env": ["BARE", "A=1", "A=2"],
            "Privileges": {"CredentialSpec": None, "SELinuxContext": {"Disable": True}},
            "Mounts": [
                {"Type": "bind", "Source": "/etc/localtime", "Target": "/etc/localtime"},
                {
                    "Type": "volume",
                    "Source": "data",
                    "Target": "/data",
                    "VolumeOptions": {"NoCopy": True},
                },
                {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"Mode": 0o1777}},
            ],
            "Secrets": [
                {
                    "File": {"Name": "db", "UID": "0", "GID": "0", "Mode": 0o444},
                    "SecretID": "s1",
                    "SecretName": "db",
                }
            ],
            "Configs": [{"Runtime": {}, "ConfigID": "c1", "ConfigName": "credentials"}],
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "StartInterval": 5 * SECOND},
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
            "Init": None,
        },
        "Resources": {"Reservations": {"GenericResources": [{"NamedResourceSpec": {}}]}},
        "Placement": {"Constraints": ["node.role == manager"], "Platforms": [{"OS": "linux"}]},
        "Networks": [{"Target": "internal", "Aliases": ["shop"]}],
        "ForceUpdate": 3,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {}},
    "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]},
}


def test_a_foreign_spec_is_unchanged_by_an_unchanged_form() -> None:
    assert specs.service_spec(specs.initial(FOREIGN), base=FOREIGN) == FOREIGN


@given(CLEANED)
def test_what_the_form_does_not_know_survives_it(cleaned: Json) -> None:
    before = deepcopy(FOREIGN)

    result = specs.service_spec(cleaned, base=FOREIGN)

    container, former = result["TaskTemplate"]["ContainerSpec"], container_of(FOREIGN)
    assert before == FOREIGN
    assert specs.initial(result) == cleaned
    assert result["Labels"]["traefik.enable"] == "true"
    assert container["Privileges"]["SELinuxContext"] == {"Disable": True}
    assert container["Mounts"][0] == former["Mounts"][0]
    assert container["Configs"][0] == former["Configs"][0]
    assert container["Ulimits"] == former["Ulimits"]
    assert result["TaskTemplate"]["Placement"]["Platforms"] == [{"OS": "linux"}]
    assert result["TaskTemplate"]["ForceUpdate"] == 3
    assert result["EndpointSpec"]["Ports"] == FOREIGN["EndpointSpec"]["Ports"]
    reservations = result["TaskTemplate"]["Resources"]["Reservations"]
    assert reservations["GenericResources"] == [{"NamedResourceSpec": {}}]


def test_known_lists_keep_the_parts_of_an_item_that_the_form_does_not_know() -> None:
    cleaned = specs.initial(FOREIGN)
    cleaned["volumes"][0]["read_only"] = True
    cleaned["tmpfs"][0]["size"] = 2**20
    cleaned["networks"] = ["front", "internal"]
    cleaned["health_retries"] = 7

    result = specs.service_spec(cleaned, base=FOREIGN)

    mounts = container_of(result)["Mounts"]
    assert mounts[1] == {
        "Type": "volume",
        "Source": "data",
        "Target": "/data",
        "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True},
    }
    assert mounts[2]["TmpfsOptions"] == {"Mode": 0o1777, "SizeBytes": 2**20}
    assert result["TaskTemplate"]["Networks"] == [
        {"Target": "front"},
        {"Target": "internal", "Aliases": ["shop"]},
    ]
    assert container_of(result)["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "StartInterval": 5 * SECOND,
        "Retries": 7,
    }


def test_a_part_that_the_base_lacks_is_written_whole() -> None:
    cleaned = specs.initial(FOREIGN) | {"update_delay": 10 * SECOND}

    result = specs.service_spec(cleaned, base=FOREIGN)

    # With nothing but a delay the Engine would take parallelism 0: all tasks at once.
    assert result["UpdateConfig"] == {
        "Order": "stop-first",
        "Parallelism": 1,
        "Delay": 10 * SECOND,
        "Monitor": 5 * SECOND,
        "MaxFailureRatio": 0.0,
        "FailureAction": "pause",
    }
    assert "RollbackConfig" not in result


def test_a_new_spec_holds_every_default() -> None:
    spec = specs.service_spec(DEFAULTS | {"name": "web", "image": "web:1"})

    expected = {"Order": "stop-first", "Parallelism": 1, "Delay": 0, "Monitor": 5 * SECOND}
    expected |= {"MaxFailureRatio": 0.0, "FailureAction": "pause"}
    assert spec["UpdateConfig"] == spec["RollbackConfig"] == expected
    assert spec["TaskTemplate"]["RestartPolicy"] == {
        "Condition": "any",
        "Delay": 5 * SECOND,
        "MaxAttempts": 0,
        "Window": 0,
    }
    assert container_of(spec)["StopGracePeriod"] == 10 * SECOND
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}}


def test_a_job_has_no_update_strategy() -> None:
    cleaned = DEFAULTS | {"name": "once", "mode": "global-job", "replicas": None}

    spec = specs.service_spec(cleaned)

    assert spec["Mode"] == {"GlobalJob": {}}
    assert not {"UpdateConfig", "RollbackConfig"} & spec.keys()


def test_a_volume_pins_the_service_to_its_node() -> None:
    volume = {"volume": "n1/data", "path": "/data", "read_only": False}
    spec = specs.service_spec(DEFAULTS | {"name": "db", "volumes": [volume]})

    assert spec["TaskTemplate"]["Placement"]["Constraints"] == ["node.id==n1"]
    assert specs.initial(spec)["constraints"] == []
    without = specs.service_spec(specs.initial(spec) | {"volumes": []}, base=spec)
    assert without["TaskTemplate"]["Placement"]["Constraints"] == []


def test_the_missing_strategy_of_a_foreign_service_reads_as_the_engines() -> None:
    values = specs.initial({"UpdateConfig": {"Delay": 5}})

    assert values["update_parallelism"] == 0
    assert values["update_order"] == "stop-first"
    assert {key: values[f"rollback_{key}"] for key in STRATEGY} == STRATEGY
