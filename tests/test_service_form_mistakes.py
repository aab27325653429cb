"""The service form: what it says about mistakes, and where."""

from typing import Any

import pytest

from clusters.forms.service import ServiceForm
from tests.service_forms import submit

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("name", "-web", "begins and ends"),
        ("name", "DB", "There is a service named"),
        ("name", "", "required"),
        ("image", "Nginx", "no capital letters"),
        ("image", "registry.example.com:70000/app", "between 1 and 65535"),
        ("command", "echo 'a", "not closed"),
        ("environment", "A", "Line 1: write KEY=value"),
        ("environment", "A=1\nA=2", "second time"),
        ("environment", "1A=2", "not a variable's name"),
        ("environment", "A=\0", "Null characters"),
        ("hostname", "a_b", "host name"),
        ("working_dir", "srv", "begins with /"),
        ("user", "a:b:c", "USER:GROUP"),
        ("replicas", "", "how many"),
        ("replicas", "-1", "greater than or equal to 0"),
        ("memory_limit", "lots", "such as 512M"),
        ("memory_limit", "1M", "at least 6M"),
        ("cpu_limit", "0.0001", "at least 0.001"),
        ("constraints", "node.role=worker", "key==value"),
        ("constraints", "node.color==red", "not something to place by"),
        ("preferences", "zone", "label to spread over"),
        ("networks", ["absent"], "not one of the available choices"),
        ("health_interval", "often", "such as 10s"),
        ("update_delay", "10", "with its unit"),
        ("update_monitor", "0s", "at least 1ms"),
        ("update_max_failure_ratio", "2", "less than or equal to 1"),
        ("no_new_privileges", "on", "1.44"),
        ("labels", "medstack.generation=9", "console's own"),
        ("labels", "traefik.enable=true", "console's own"),
        ("container_labels", "a b=c", "no spaces"),
        ("log_options", "max-size=1m", "Choose the log driver"),
        ("stop_signal", "SIGNONE", "such as SIGTERM"),
    ],
)
def test_a_mistake_is_explained_at_its_field(
    field: str, typed: str | list[str], words: str
) -> None:
    form = submit({field: typed})

    assert not form.is_valid()
    assert list(form.errors) == [field]
    assert words in form.errors[field][0]


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"health_mode": "shell"}, "health_command", "Write the command"),
        ({"health_mode": "exec", "health_command": "a 'b"}, "health_command", "not closed"),
        ({"mode": "replicated-job", "restart_condition": "none"}, "total_completions", "how many"),
        ({"mode": "global-job"}, "restart_condition", "A job's tasks end"),
        ({"mode": "global", "max_replicas": "1"}, "max_replicas", "Only a replicated"),
        ({"cpu_limit": "1", "cpu_reservation": "2"}, "cpu_reservation", "more than the limit"),
        (
            {
                "volumes-0-volume": "n1/data",
                "volumes-0-path": "/data",
                "constraints": "node.hostname==beta",
            },
            "constraints",
            "node.hostname==beta excludes it",
        ),
        (
            {
                "volumes-0-volume": "n1/data",
                "volumes-0-path": "/data",
                "constraints": "node.id==n2",
            },
            "constraints",
            "volumes are on alpha",
        ),
    ],
)
def test_what_does_not_fit_together_is_explained(
    typed: dict[str, str], field: str, words: str
) -> None:
    form = submit(typed)

    assert not form.is_valid()
    assert words in form.errors[field][0]


@pytest.mark.parametrize(
    ("kind", "typed", "field", "words"),
    [
        ("volumes", {"volume": "n1/data"}, "path", "required"),
        ("volumes", {"path": "/data"}, "volume", "required"),
        ("volumes", {"volume": "n1/data", "path": "data"}, "path", "begins with /"),
        ("volumes", {"volume": "n1/data", "path": "/"}, "path", "other than /"),
        ("volumes", {"volume": "logs", "path": "/logs"}, "volume", "Several nodes"),
        ("volumes", {"volume": "none", "path": "/none"}, "volume", "No node has"),
        ("volumes", {"volume": "n2/data", "path": "/data"}, "volume", "No such node"),
        ("tmpfs", {"path": "/tmp", "size": "1K"}, "size", "at least 1M"),
        ("tmpfs", {"size": "1M"}, "path", "required"),
        ("secrets", {"name": "absent"}, "name", "not one of the available"),
        ("secrets", {"target": "x"}, "name", "required"),
        ("secrets", {"name": "api", "mode": "999"}, "mode", "octal"),
        ("secrets", {"name": "api", "uid": "root"}, "uid", "user's number"),
        ("configs", {"name": "app", "target": "../app"}, "target", "without"),
    ],
)
def test_a_mistake_in_a_row_is_explained_at_the_row(
    kind: str, typed: dict[str, str], field: str, words: str
) -> None:
    form = submit({f"{kind}-0-{key}": value for key, value in typed.items()})

    assert not form.is_valid()
    assert words in form.rows[kind].forms[0].errors[field][0]
    assert "correct the marked row" in form.non_field_errors()[0]


def two_rows(kind: str, first: Json, second: Json) -> ServiceForm:
    """Send the form with two rows of a kind."""
    typed = {f"{kind}-TOTAL_FORMS": "2"}
    typed |= {f"{kind}-0-{key}": value for key, value in first.items()}
    typed |= {f"{kind}-1-{key}": value for key, value in second.items()}
    return submit(typed)


def test_two_volumes_must_be_on_one_node() -> None:
    form = two_rows(
        "volumes",
        {"volume": "n1/data", "path": "/data"},
        {"volume": "n2/logs", "path": "/logs"},
    )

    assert not form.is_valid()
    assert "on one node" in form.volume_rows.forms[1].errors["volume"][0]
    assert not form.volume_rows.forms[0].errors


def test_a_volume_of_no_certain_node_is_not_joined_by_one_of_a_node() -> None:
    mount = {"Type": "volume", "Source": "old", "Target": "/old"}
    foreign = {"Name": "db", "TaskTemplate": {"ContainerSpec": {"Image": "a", "Mounts": [mount]}}}
    added = {"volumes-1-volume": "n1/data", "volumes-1-path": "/data"}

    form = submit(added, spec=foreign)

    assert not form.is_valid()
    assert "whichever node runs it" in form.volume_rows.forms[1].errors["volume"][0]
    assert submit(spec=foreign).is_valid()


def test_a_path_can_be_taken_once() -> None:
    form = two_rows("secrets", {"name": "api"}, {"name": "db-v2", "target": "/run/secrets/api"})

    assert not form.is_valid()
    assert "/run/secrets/api" in form.secret_rows.forms[1].errors["target"][0]


def test_a_path_is_taken_across_kinds() -> None:
    form = submit({"configs-0-name": "app", "configs-0-target": "/data", "tmpfs-0-path": "/data/"})

    assert not form.is_valid()
    assert "takes /data already" in form.tmpfs_rows.forms[0].errors["path"][0]
