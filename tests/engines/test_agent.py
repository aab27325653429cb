"""The agent's image on a real node: what it captures, brings back, and leaves as it was."""

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backups import image, jobs, opening, restic
from backups.agent import policy, secrets, snapshot, volumes
from backups.agent.freezing import CAPTURE, OWNER, frozen
from backups.agent.volumes import Seen, Setting
from backups.forms.repository import RepositoryForm
from backups.models import Repository
from clusters.engine import Engine, NotFound
from clusters.gateway import on_node
from clusters.local.configuration import configured
from clusters.models import Node
from medstack.failures import Failure
from medstack.operations import Waiting
from tests.engines.agents import (
    VALUE,
    Json,
    agent,
    credentials,
    done,
    engine,
    fill,
    folder_of,
    job,
    looks,
    node,
    operation,
    part_of,
    report_of,
    repository,
    settled,
    snapshot_job,
    volume_mount,
)
from tests.engines.conftest import IMAGE, World
from tests.engines.ways import until
from tests.repositories.servers import SERVERS
from tests.stores import PASSWORD

__all__ = ["credentials", "engine", "node", "repository"]
pytestmark = [pytest.mark.engines, pytest.mark.no_database]
HOUR = datetime(2026, 3, 1, 10, tzinfo=UTC)
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]


def test_what_a_careless_backup_loses_comes_back_into_another_volume(
    world: World, node: Node, repository: restic.Repository, engine: Engine
) -> None:
    engine.volume_create({"Name": "data"})
    engine.volume_create({"Name": "copy"})
    fill(folder_of(node, "data"))

    told = done(world, node, snapshot_job(repository, HOUR), docker=True)
    part = part_of(repository, HOUR, "data")

    assert told["captured"] == 2 and part.state == "captured", part.reason
    values: Json = {
        "volume": "data",
        "snapshot": part.snapshot,
        "tree": part.tree,
        "files": part.files,
        "bytes": part.bytes,
        "clear": True,
    }
    result = done(
        world,
        node,
        job("restore", repository, **values),
        mounts=[volume_mount("copy", "data")],
    )
    assert looks(folder_of(node, "copy")) == looks(folder_of(node, "data"))
    assert (result["files"], result["bytes"]) == (part.files, part.bytes)

    # Not once more over it, and a drill sees every difference.
    with pytest.raises(Failure, match="not empty"):
        done(
            world,
            node,
            job("restore", repository, **values | {"clear": False}),
            mounts=[volume_mount("copy", "data")],
        )
    engine.volume_create({"Name": "scratch"})
    drilled = done(
        world,
        node,
        job("drill", repository, **values | {"clear": False, "tree": "0" * 64}),
        mounts=[volume_mount("scratch", "data")],
    )
    assert len(drilled["differences"]) == 1 and "manifest" in drilled["differences"][0]
    for name in ("copy", "scratch"):
        engine.volume_remove(name)
    assert {seen.name for seen in volumes.listed(engine)} == {"data"}


def test_without_room_nothing_is_touched(
    world: World, node: Node, repository: restic.Repository, engine: Engine
) -> None:
    part = part_of(repository, HOUR, "data")
    before = looks(folder_of(node, "data"))
    values: Json = {
        "volume": "data",
        "snapshot": part.snapshot,
        "tree": part.tree,
        "files": part.files,
        "bytes": 10**16,
        "clear": True,
    }
    with pytest.raises(Failure, match="not enough room"):
        done(
            world,
            node,
            job("restore", repository, **values),
            mounts=[volume_mount("data", "data")],
        )
    assert looks(folder_of(node, "data")) == before


def test_a_volume_that_is_gone_fails_and_is_not_made_anew(
    node: Node, repository: restic.Repository, engine: Engine
) -> None:
    setting = Setting(
        engine=engine,
        repository=repository,
        cluster="c1",
        node="node-1",
        due=HOUR + timedelta(minutes=1),
        policy=policy.Policy(image=image.name()),
        tell=lambda _line: None,
    )
    there = next(one for one in volumes.listed(engine) if one.name == "data")
    # Docker takes the last change in a volume's own folder for the time when it was created.
    (folder_of(node, "data") / "written since").touch()
    parts = volumes.capture_all(setting, [Seen("vanished", True), there])

    assert {part.volume: part.state for part in parts} == {"vanished": "failed", "data": "captured"}
    assert "it is gone" in next(part.reason for part in parts if part.volume == "vanished")
    with pytest.raises(NotFound):
        engine.volume("vanished")
    assert "written since" in os.listdir(folder_of(node, "data"))
    assert "medstack.made-for" not in (engine.volume("data").get("Labels") or {})


def test_what_is_mounted_from_elsewhere_is_captured_too(
    world: World,
    node: Node,
    repository: restic.Repository,
    engine: Engine,
    tmp_path: Path,
) -> None:
    # As the Engine mounts a share; this kernel has no file system of a network.
    (tmp_path / "shared").write_text("by all nodes")
    options = {"type": "none", "o": "bind", "device": str(tmp_path)}
    engine.volume_create({"Name": "share", "Driver": "local", "DriverOpts": options})
    due = HOUR + timedelta(minutes=6)
    done(world, node, snapshot_job(repository, due), docker=True)
    part = part_of(repository, due, "share")
    assert (part.state, part.files, part.spec["Options"]) == ("captured", 1, options)
    found = restic.dump(repository, part.snapshot, "/volumes/share/shared")
    assert b"".join(found) == b"by all nodes"
    engine.volume_remove("share")


@pytest.mark.parametrize("kind", ["rest", "s3", "sftp"])
def test_a_node_stores_in_storages_elsewhere(
    kind: str, world: World, node: Node, tmp_path: Path
) -> None:
    with SERVERS[kind](tmp_path, str(configured().gateway)) as form:
        typed = RepositoryForm({"password": PASSWORD, **form})
        assert typed.is_valid(), typed.errors
        row = Repository(kind=kind, url=form["url"], password=PASSWORD)
        row.ssh_host_key = form.get("host_key", "")
        row.console_access, row.node_access = typed.access("console"), typed.access("node")
        restic.initialise(opening.for_console(row))
        due = HOUR + timedelta(minutes=7)
        done(world, node, snapshot_job(opening.for_nodes(row), due), docker=True)
        part = part_of(opening.for_console(row), due, "data")
        assert part.state == "captured", part.reason


def test_the_leading_manager_captures_the_environment_and_every_secret_byte_for_byte(
    node: Node, repository: restic.Repository, engine: Engine
) -> None:
    engine.config_create("settings", b"a=1\n", {})
    started = engine.service_create(
        {
            "Name": "web",
            "TaskTemplate": {"ContainerSpec": {"Image": IMAGE, "Command": SLEEP}},
            "UpdateConfig": {"Parallelism": 1, "MaxFailureRatio": 0.25},
        }
    )
    due = HOUR + timedelta(hours=1)
    assert agent(node, repository, due + timedelta(minutes=7)).look()
    report = report_of(repository, due)
    environment = report.environment
    assert environment and environment.failures == ()
    assert [secret.name for secret in environment.secrets] == ["key"]
    assert environment.secrets[0].restorable
    assert [one["Spec"]["Name"] for one in environment.configs] == ["settings"]
    assert "web" in [one["Spec"]["Name"] for one in environment.services]
    value = b"".join(restic.dump(repository, environment.secrets_snapshot, "/medstack-secrets/key"))
    assert value == VALUE
    assert [s["Spec"]["Name"] for s in engine.services() if "secrets" in s["Spec"]["Name"]] == []
    # The agent that starts once more finds the report, and takes nothing twice.
    assert not agent(node, repository, due + timedelta(minutes=9)).look()
    engine.service_remove(started)


def test_a_killed_agents_job_lets_go_of_the_secrets(
    node: Node, repository: restic.Repository, engine: Engine
) -> None:
    (item,) = [one for one in engine.secrets() if one["Spec"]["Name"] == "key"]
    setting = Setting(
        engine=engine,
        repository=repository,
        cluster="c1",
        node="node-1",
        due=HOUR,
        policy=policy.Policy(image=image.name()),
    )
    body = secrets.spec(setting, "medstack-secrets-of-nobody", [item])
    body["Labels"][OWNER] = "0" * 64
    engine.service_create(body)
    mine = secrets.spec(setting, "medstack-secrets-of-somebody", [item])
    engine.service_create(mine)
    agent(node, repository, HOUR).sweep()
    left = [one["Spec"]["Name"] for one in engine.services(filters={"name": [secrets.NAMED]})]
    assert left == ["medstack-secrets-of-somebody"], "Nobody knows whose it is: it may be at work."
    engine.service_remove("medstack-secrets-of-somebody")


@pytest.fixture(scope="module")
def busy(node: Node) -> Iterator[str]:
    """Return a container that writes into a large volume, which takes a while to be captured."""
    with on_node(node, timeout=60) as engine:
        engine.volume_create({"Name": "large"})
        with (folder_of(node, "large") / "random").open("wb") as file:
            for _ in range(60):
                file.write(os.urandom(10_000_000))
        mounts = [{"Type": "volume", "Source": "large", "Target": "/large"}]
        body = {"Image": IMAGE, "Entrypoint": SLEEP, "HostConfig": {"Mounts": mounts}}
        container = engine.container_create("busy", body)
        engine.container_start(container)
        yield container
        engine.container_remove(container)


def captures(engine: Engine, volume: str) -> list[str]:
    """Return the running containers that capture a volume."""
    found = engine.containers(filters={"label": [CAPTURE]})
    return [
        str(one["Id"]) for one in found if volume in {mount.get("Name") for mount in one["Mounts"]}
    ]


def is_frozen(engine: Engine, container: str) -> bool:
    return bool(engine.container(container)["State"]["Paused"])


FROZEN: Json = {"large": {"freeze": True}}


def test_a_frozen_container_goes_on_after_its_capture_was_killed(
    world: World, node: Node, repository: restic.Repository, engine: Engine, busy: str
) -> None:
    due = HOUR + timedelta(minutes=2)
    row, work = operation(world), snapshot_job(repository, due, **FROZEN)
    until(lambda: jobs.follow(row, node, work, docker=True) and captures(engine, "large"))
    (capture,) = captures(engine, "large")

    assert is_frozen(engine, busy)
    shown = engine.container(capture)
    assert all(not m["RW"] for m in shown["Mounts"] if m["Destination"].startswith("/volumes/"))
    for one in (shown, engine.container(jobs.name_of(row))):
        assert PASSWORD not in json.dumps(one)
    engine.container_kill(capture)
    until(lambda: settled(jobs.follow(row, node, work, docker=True)))
    jobs.remove(row, node)

    assert not is_frozen(engine, busy)
    report = report_of(repository, due)
    states = {part.volume: part.state for part in report.volumes}
    assert states == {"data": "captured", "large": "failed"}


def test_a_frozen_container_goes_on_after_the_agent_was_killed(
    world: World, node: Node, repository: restic.Repository, engine: Engine, busy: str
) -> None:
    due = HOUR + timedelta(minutes=3)
    row, work = operation(world), snapshot_job(repository, due, **FROZEN)
    until(lambda: jobs.follow(row, node, work, docker=True) and captures(engine, "large"))
    engine.container_kill(jobs.name_of(row))
    until(lambda: not engine.container(jobs.name_of(row))["State"]["Running"])
    with pytest.raises(Failure, match="It was killed"):
        jobs.follow(row, node, work, docker=True)
    jobs.remove(row, node)
    assert is_frozen(engine, busy)

    def thawed() -> bool:
        agent(node, repository, due).sweep()
        return not is_frozen(engine, busy)

    until(thawed)
    assert engine.containers(all=True, filters={"label": [CAPTURE]}) == []


def test_a_job_that_never_heard_what_to_do_is_started_again(
    world: World, node: Node, repository: restic.Repository, engine: Engine
) -> None:
    row = operation(world)
    due = HOUR + timedelta(minutes=4)
    work = snapshot_job(repository, due, large={"excluded": "It is large."})
    # A worker that died right after it had started the container.
    container = engine.container_create(jobs.name_of(row), jobs.body(row, (), docker=True))
    engine.container_start(container, b"\n")
    until(lambda: not engine.container(container)["State"]["Running"])
    until(lambda: settled(jobs.follow(row, node, work, docker=True)))
    jobs.remove(row, node)
    assert part_of(repository, due, "large").state == "excluded"


def test_a_cancelled_job_ends_and_leaves_no_lock(
    world: World, node: Node, repository: restic.Repository, engine: Engine, busy: str
) -> None:
    row = operation(world)
    due = HOUR + timedelta(minutes=5)
    work = snapshot_job(repository, due, data={"excluded": "Not now."})

    def is_reading() -> bool:
        """Say whether the operation shows how far restic is."""
        seen = jobs.follow(row, node, work, docker=True)
        assert isinstance(seen, Waiting), seen
        told = re.fullmatch(r"node-1: ([\d,]+) of ([\d,]+) MB", seen.detail)
        return bool(told and told[1] not in ("0", told[2]) and 0 < seen.fraction < 1)

    until(is_reading)
    assert captures(engine, "large")
    jobs.cancel(row, node)
    with pytest.raises(Failure, match="code 130"):
        jobs.follow(row, node, work, docker=True)
    # Once more is no mistake.
    jobs.cancel(row, node)
    jobs.remove(row, node)
    assert captures(engine, "large") == []
    assert not snapshot.is_reported(repository, "node-1", due)


def test_a_frozen_task_stays_and_a_stopped_one_is_replaced_by_the_orchestrator(
    node: Node, engine: Engine
) -> None:
    """Why an agent freezes containers and stops none; see docs/decisions/0004."""
    check = {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 10**9, "Retries": 1}
    container = {"Image": IMAGE, "Command": SLEEP, "Healthcheck": check}
    template = {"ContainerSpec": container, "RestartPolicy": {"Condition": "any", "Delay": 0}}
    service = engine.service_create({"Name": "clock", "TaskTemplate": template})

    def running() -> list[str]:
        found = engine.containers(filters={"label": ["com.docker.swarm.service.name=clock"]})
        return [one["Id"] for one in found if "(healthy)" in one["Status"]]

    def checks() -> list[str]:
        health = engine.container(first)["State"]["Health"]
        return [entry["Start"] for entry in health["Log"]]

    (first,) = until(running)
    with frozen(engine, [first]):
        assert is_frozen(engine, first)
        before = checks()
        # Without the freezer several checks would come and go in this time, and one would do.
        end = time.monotonic() + 5
        until(lambda: time.monotonic() > end)
        assert len({*checks()} - {*before}) <= 1
    assert until(running) == [first]

    engine.container_stop(first, seconds=1)
    until(lambda: running() and running() != [first])
    engine.service_remove(service)
