"""Services on real Engines: created, scaled, restarted, run to their end and deleted by pages."""

import pytest

from clusters.gateway import on_node
from clusters.models import Node, Service
from medstack.models import Event
from tests.engines.acting import (
    act,
    create,
    deploy,
    edit,
    ids_of,
    inside,
    live,
    remove,
    settled,
    tasks_of,
    two_nodes,
)
from tests.engines.conftest import World, work_until

pytestmark = pytest.mark.engines
SECOND = 10**9


@pytest.fixture(scope="module", autouse=True)
def nodes(world: World) -> None:
    two_nodes(world)


def test_all_that_the_form_says_is_what_the_engine_has(world: World) -> None:
    pk = world.node("node-2").pk
    world.post("docker/volumes/new/", name="records", node=pk, kind="local")
    world.done()
    deploy(
        world,
        "full",
        args="api",
        hostname="desk",
        working_dir="/data",
        user="1000:1000",
        environment='GREETING=hello\nLINES="one\\ntwo"',
        cpu_limit="0.5",
        cpu_reservation="0.1",
        memory_limit="64M",
        memory_reservation="16M",
        pids_limit=50,
        constraints="node.role==worker",
        preferences="node.labels.zone",
        health_mode="shell",
        health_command="true",
        health_interval="5s",
        health_timeout="2s",
        health_retries=2,
        health_start_period="1s",
        restart_condition="on-failure",
        restart_max_attempts=7,
        stop_signal="TERM",
        read_only="on",
        init="on",
        capability_drop=["CAP_NET_RAW", "CAP_CHOWN"],
        labels="team=radiology",
        container_labels="part=api",
        log_driver="json-file",
        log_options="max-size=1m",
        update_parallelism=2,
        update_delay="3s",
        update_max_failure_ratio="0.25",
        update_failure_action="continue",
        rollback_order="start-first",
        **{
            "volumes-0-volume": f"{world.node('node-2').swarm_node_id}/records",
            "volumes-0-path": "/data",
            "tmpfs-0-path": "/tmp",
            "tmpfs-0-size": "1M",
        },
    )
    spec = live(world, "full")["Spec"]
    template = spec["TaskTemplate"]
    container = template["ContainerSpec"]
    expected = {
        "Image": "medstack/demo:1",
        "Args": ["api"],
        "Hostname": "desk",
        "Dir": "/data",
        "User": "1000:1000",
        "Env": ["GREETING=hello", "LINES=one\ntwo"],
        "StopGracePeriod": SECOND,
        "StopSignal": "SIGTERM",
        "ReadOnly": True,
        "Init": True,
        "CapabilityDrop": ["CAP_CHOWN", "CAP_NET_RAW"],
        "Labels": {"part": "api"},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 5 * SECOND,
            "Timeout": 2 * SECOND,
            "Retries": 2,
            "StartPeriod": SECOND,
        },
        "Mounts": [
            {"Type": "volume", "Source": "records", "Target": "/data"},
            {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 2**20}},
        ],
    }
    assert {key: container.get(key) for key in expected} == expected
    assert template["Resources"] == {
        "Limits": {"NanoCPUs": SECOND // 2, "MemoryBytes": 64 * 2**20, "Pids": 50},
        "Reservations": {"NanoCPUs": SECOND // 10, "MemoryBytes": 16 * 2**20},
    }
    pin = f"node.id=={world.node('node-2').swarm_node_id}"
    assert template["Placement"]["Constraints"] == ["node.role==worker", pin]
    assert template["Placement"]["Preferences"] == [
        {"Spread": {"SpreadDescriptor": "node.labels.zone"}}
    ]
    assert template["LogDriver"] == {"Name": "json-file", "Options": {"max-size": "1m"}}
    assert template["RestartPolicy"]["Condition"] == "on-failure"
    assert template["RestartPolicy"]["MaxAttempts"] == 7
    assert spec["Labels"]["team"] == "radiology"
    assert spec["UpdateConfig"] == {
        "Parallelism": 2,
        "Delay": 3 * SECOND,
        "FailureAction": "continue",
        "Monitor": SECOND,
        "MaxFailureRatio": 0.25,
        "Order": "stop-first",
    }
    assert spec["RollbackConfig"]["Order"] == "start-first"
    assert "Ports" not in spec["EndpointSpec"]


def test_the_container_is_as_the_form_says(world: World) -> None:
    command = "exec 2>&1; id -u; hostname; pwd; echo $GREETING; touch /etc/x; mount"
    (printed,) = inside(world, "full", "sh", "-c", command)
    lines = printed.decode().splitlines()
    assert lines[:4] == ["1000", "desk", "/data", "hello"]
    assert "Read-only file system" in lines[4]
    assert any(" /tmp " in line and "size=1024k" in line for line in lines)
    (status,) = inside(world, "full", "cat", "/proc/1/comm")
    assert "init" in status.decode()


def test_a_form_that_is_saved_unchanged_changes_nothing(world: World) -> None:
    before, tasks = world.service("full").spec, ids_of(world, "full")
    edit(world, "full")
    settled(world)
    assert world.service("full").spec == before
    assert ids_of(world, "full") == tasks
    assert not world.service("full").drift


def test_a_service_is_scaled_and_its_tasks_stay(world: World) -> None:
    deploy(world, "api", args="api", replicas=1)
    before = ids_of(world, "api")
    act(world, "api", "scale", replicas=3)
    settled(world)
    after = ids_of(world, "api")
    assert len(after) == 3 and before < after
    assert "3 of 3" in world.page("docker/services/api/")
    assert {task["NodeID"] for task in tasks_of(world, "api")} == {
        world.node(name).swarm_node_id for name in ("node-1", "node-2")
    }
    act(world, "api", "scale", replicas=2)
    settled(world)
    assert len(ids_of(world, "api")) == 2


def test_a_restart_makes_new_tasks_of_the_same_spec(world: World) -> None:
    before, image = ids_of(world, "api"), world.service("api").image
    act(world, "api", "restart")
    settled(world)
    after = ids_of(world, "api")
    assert len(after) == 2 and not after & before
    container = live(world, "api")["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert container["Image"] == image


def test_an_image_that_nobody_has_is_refused_at_its_field(world: World) -> None:
    text = create(world, "nowhere", 422, image="medstack/unheard-of:1")
    assert "No node has this image" in text or "does not know this image" in text
    assert not Service.objects.filter(name="nowhere").exists()


def test_a_service_that_cannot_be_placed_says_why(world: World) -> None:
    create(world, "homeless", constraints="node.labels.disk==tape")
    words = "no suitable node (scheduling constraints not satisfied on 2 nodes)"
    work_until(lambda: words in world.last().detail, what="the swarm's reason is read")
    world.refresh()
    page = world.page("docker/services/homeless/")
    assert words in page and "0 of 1" in page
    remove(world, "homeless")


def test_a_job_runs_to_its_end(world: World) -> None:
    deploy(
        world,
        "migration",
        mode="replicated-job",
        replicas="",
        total_completions=2,
        max_concurrent=1,
        restart_condition="none",
        command="sh -c 'echo migrated'",
    )
    assert world.service("migration").status == "Complete"
    assert len(tasks_of(world, "migration", "complete")) == 2
    assert "Complete" in world.page("docker/services/migration/")


def test_a_job_that_fails_says_so(world: World) -> None:
    create(
        world,
        "failing-job",
        mode="replicated-job",
        replicas="",
        total_completions=1,
        max_concurrent=1,
        restart_condition="none",
        command="false",
    )
    assert "task: non-zero exit (1)" in world.failed()


def test_a_deleted_service_has_stopped_and_its_row_stays(world: World) -> None:
    assert "Type “api”" in (
        world.post("docker/services/api/delete/", status=422, confirmation="ap")
    )
    remove(world, "api", "full", "migration", "failing-job")
    for node in Node.objects.present().filter(cluster=world.cluster):
        with on_node(node) as engine:
            assert not engine.containers()
    with world.manager() as engine:
        assert engine.services() == []
    row = Service.objects.get(cluster=world.cluster, name="api")
    assert row.deleted_at and row.spec["TaskTemplate"]
    assert Event.objects.filter(subject_kind="service", subject_id=row.pk).count() > 4
    # The volume outlives its service, and the name is free again.
    with on_node(world.node("node-2")) as engine:
        assert engine.volume("records")["Name"] == "records"
    deploy(world, "api", args="api")
    remove(world, "api")
