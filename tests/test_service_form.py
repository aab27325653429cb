"""The service form: what it makes of what a browser sends."""

from typing import Any

from clusters import spec as specs
from clusters.forms.service import ServiceChoices, ServiceForm
from clusters.spec.defaults import DEFAULTS
from tests.service_forms import (
    CHOICES,
    GIGABYTE,
    INTERNAL_ID,
    MODERN,
    SECOND,
    container_of,
    rich_spec,
    saved,
    submit,
)

Json = dict[str, Any]


def test_a_name_and_an_image_make_a_service_with_all_defaults() -> None:
    spec = saved(submit())

    expected = DEFAULTS | {"name": "web", "image": "nginx:1", "networks": ["internal"]}
    assert specs.initial(spec) == expected
    assert spec == specs.service_spec(expected)


def test_an_unchanged_form_gives_the_same_spec() -> None:
    assert saved(submit(spec=rich_spec())) == rich_spec()


def test_a_job_and_a_global_service_stay_as_they_are() -> None:
    job = DEFAULTS | {"name": "once", "image": "a", "mode": "replicated-job", "replicas": None}
    job |= {"total_completions": 3, "max_concurrent": 1, "restart_condition": "none"}
    everywhere = DEFAULTS | {"name": "agent", "image": "a", "mode": "global", "replicas": None}

    for values in (job, everywhere):
        spec = specs.service_spec(values)
        assert saved(submit(spec=spec)) == spec


def test_a_foreign_service_shows_the_names_of_its_networks() -> None:
    live: Json = {
        "Name": "old",
        "Labels": {"traefik.enable": "true"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "old:1", "Mounts": [{"Type": "bind", "Target": "/b"}]},
            "Networks": [{"Target": INTERNAL_ID}],
        },
    }

    spec = saved(submit({"replicas": "2"}, spec=live))

    assert spec["TaskTemplate"]["Networks"] == [{"Target": "internal"}]
    assert spec["Labels"] == {"traefik.enable": "true"}
    assert container_of(spec) == container_of(live)
    assert spec["Mode"] == {"Replicated": {"Replicas": 2}}


def test_what_is_typed_reaches_the_engine_in_its_terms() -> None:
    spec = saved(
        submit(
            {
                "command": "sh -c\r\n'echo hello'",
                "environment": 'A=1\r\n\r\nMOTD="two\\nlines"',
                "memory_limit": "1.5G",
                "cpu_limit": "0.25",
                "pids_limit": "100",
                "constraints": "node.role == worker",
                "preferences": "spread=node.labels.zone",
                "max_replicas": "1",
                "update_delay": "1m30s",
                "update_order": "start-first",
                "stop_grace_period": "500ms",
                "stop_signal": "quit",
                "health_mode": "shell",
                "health_command": "curl -f localhost || exit 1",
                "labels": "team=a",
                "capability_drop": ["ALL"],
                "read_only": "on",
                "log_driver": "json-file",
                "log_options": "max-size=10m",
            }
        )
    )

    template, container = spec["TaskTemplate"], container_of(spec)
    assert container["Command"] == ["sh", "-c", "echo hello"]
    assert container["Env"] == ["A=1", "MOTD=two\nlines"]
    assert container["Healthcheck"]["Test"] == ["CMD-SHELL", "curl -f localhost || exit 1"]
    assert container["StopGracePeriod"] == SECOND // 2
    assert container["StopSignal"] == "SIGQUIT"
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["ReadOnly"] is True
    assert template["Resources"]["Limits"] == {
        "MemoryBytes": 3 * GIGABYTE // 2,
        "NanoCPUs": SECOND // 4,
        "Pids": 100,
    }
    assert template["Placement"] == {
        "Constraints": ["node.role==worker"],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
        "MaxReplicas": 1,
    }
    assert template["LogDriver"] == {"Name": "json-file", "Options": {"max-size": "10m"}}
    assert spec["UpdateConfig"]["Delay"] == 90 * SECOND
    assert spec["UpdateConfig"]["Order"] == "start-first"
    assert spec["Labels"]["team"] == "a"


def test_a_secret_is_mounted_under_the_name_that_people_gave_it() -> None:
    spec = saved(submit({"secrets-0-name": "db-v2", "secrets-0-mode": "0400"}))

    assert container_of(spec)["Secrets"] == [
        {
            "File": {"Name": "db", "UID": "0", "GID": "0", "Mode": 0o400},
            "SecretName": "db-v2",
        }
    ]


def test_the_chosen_registry_stands_before_the_image() -> None:
    assert container_of(saved(submit({"registry": "1", "image": "shop:2"})))["Image"] == (
        "registry.example.com/lib/shop:2"
    )
    kept = submit({"registry": "1", "image": "registry.example.com/lib/shop:2"})
    assert container_of(saved(kept))["Image"] == "registry.example.com/lib/shop:2"
    other = submit({"registry": "1", "image": "ghcr.io/shop:2"})
    assert "names a registry already" in other.errors["image"][0]


def test_a_volume_pins_the_service_and_warns_when_tasks_share_it() -> None:
    form = submit(
        {
            "volumes-0-volume": "n1/data",
            "volumes-0-path": "/data",
            "replicas": "2",
            "constraints": "node.id==n1",
        }
    )

    spec = saved(form)

    assert spec["TaskTemplate"]["Placement"]["Constraints"] == ["node.id==n1"]
    assert form.warnings == ["All 2 tasks run on alpha, where the volume is, and share its files."]


def test_a_volume_by_its_name_alone_is_taken_if_one_node_has_it() -> None:
    spec = saved(submit({"volumes-0-volume": "data", "volumes-0-path": "/data"}))

    assert spec["TaskTemplate"]["Placement"]["Constraints"] == ["node.id==n1"]


def test_constraints_that_no_node_meets_are_warned_of() -> None:
    form = submit({"constraints": "node.hostname==gamma\nnode.hostname==alpha"})

    assert form.is_valid()
    assert form.warnings == ["No node of this cluster meets node.hostname==gamma now."]


def test_an_automatic_endpoint_mode_is_remembered() -> None:
    spec = saved(submit())

    assert spec["Labels"] == {"medstack.endpoint-mode": "auto"}
    explicit = saved(submit({"endpoint_mode": "dnsrr"}, spec=spec | {"Name": "web"}))
    assert explicit["EndpointSpec"] == {"Mode": "dnsrr"}
    assert explicit["Labels"] == {}


def test_name_and_mode_of_a_service_cannot_be_changed() -> None:
    spec = saved(submit({"name": "other", "mode": "global"}, spec=rich_spec()))

    assert spec == rich_spec()


def test_the_generation_travels_with_the_form() -> None:
    form = submit(spec=rich_spec())

    assert form.is_valid()
    assert form.cleaned_data["generation"] == 3


def test_a_row_marked_for_removal_is_gone_whatever_stands_in_it() -> None:
    form = submit({"volumes-0-DELETE": "on", "volumes-0-path": "nonsense"}, spec=rich_spec())

    spec = saved(form)

    assert [mount["Type"] for mount in container_of(spec)["Mounts"]] == ["tmpfs"]
    assert spec["TaskTemplate"]["Placement"]["Constraints"] == ["node.role==worker"]


def test_an_emptied_row_is_gone() -> None:
    spec = saved(submit({"secrets-0-name": "", "secrets-0-target": ""}, spec=rich_spec()))

    assert container_of(spec)["Secrets"] == []


def test_what_a_service_has_can_still_be_chosen() -> None:
    assert saved(submit(spec=rich_spec(), choices=ServiceChoices())) == rich_spec()


def test_no_new_privileges_needs_an_engine_that_knows_it() -> None:
    spec = saved(submit({"no_new_privileges": "on"}, choices=MODERN))

    assert container_of(spec)["Privileges"] == {"NoNewPrivileges": True}
    unknown = submit({"no_new_privileges": "on"}, choices=ServiceChoices())
    assert "not known yet" in unknown.errors["no_new_privileges"][0]


def test_published_ports_need_a_virtual_ip() -> None:
    spec = rich_spec()
    spec["EndpointSpec"] = {"Mode": "vip", "Ports": [{"TargetPort": 80, "PublishedPort": 80}]}

    form = submit({"endpoint_mode": "dnsrr"}, spec=spec)

    assert "need a virtual IP" in form.errors["endpoint_mode"][0]


def test_sections_hold_every_field_once_and_open_where_something_is_set() -> None:
    form = ServiceForm(spec=rich_spec(), name="shop", choices=CHOICES)

    names = [
        field.name
        for section in form.sections
        for line in section.fields
        for field in (line if isinstance(line, tuple) else (line,))
    ]
    assert sorted(names) == sorted(field.name for field in form.visible_fields())
    assert [formset.prefix for section in form.sections for formset in section.formsets] == [
        "domains",
        "configs",
        "secrets",
        "volumes",
        "tmpfs",
    ]
    collapsed = {section.title for section in form.sections if section.collapsed}
    assert "Labels" not in collapsed
    assert "Volumes" not in collapsed
    new = ServiceForm(spec=None, name=None, choices=CHOICES)
    assert {s.title for s in new.sections if not s.collapsed} == {"Image", "Replicas"}


def test_a_section_with_a_mistake_says_so() -> None:
    form = submit({"update_delay": "10", "volumes-0-path": "data"})

    assert {s.title for s in form.sections if s.has_errors} == {"Update and rollback", "Volumes"}
