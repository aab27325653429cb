"""The agent's image on a real node: what it captures, brings back, and leaves as it was."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backups import image, jobs, opening, restic
from backups.agent import hourly, policy, snapshot, volumes
from backups.agent.freezing import CAPTURE, frozen
from backups.agent.messages import Job
from backups.agent.tags import tags
from backups.agent.volumes import Seen, Setting
from backups.forms.repository import RepositoryForm
from backups.manifest import parse
from backups.models import Repository
from backups.parts import Report
from clusters.engine import Engine, NotFound
from clusters.gateway import on_node
from clusters.local.configuration import configured
from clusters.local.node import LocalNode
from clusters.models import Node
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Waiting
from tests.engines.conftest import IMAGE, World
from tests.repositories.servers import SERVERS
from tests.stores import PASSWORD, empty_store

pytestmark = [pytest.mark.engines, pytest.mark.no_database]
Json = dict[str, Any]
VALUE = bytes(range(256)) + b"\nno end of line"
HOUR = datetime(2026, 3, 1, 10, tzinfo=UTC)
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]


def until(condition: Callable[[], Any], within: float = 60) -> Any:
    """Return what a condition answers as soon as it is true."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, "The condition never came true."
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def node(world: World) -> Node:
    world.add_node("node-1", "manager")
    world.done()
    world.load_images()
    found = world.node("node-1")
    image.ensure(found)
    return found


@pytest.fixture(scope="module")
def repository(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[restic.Repository]:
    """Serve a repository that can be added to only, at the address that the nodes see."""
    folder = tmp_path_factory.mktemp("repository")
    address = str(configured().gateway)
    with socket.socket() as free:
        free.bind((address, 0))
        port = free.getsockname()[1]
    empty_store(folder)
    rclone = str(Path(sys.executable).with_name("rclone"))
    options = ["--append-only", "--addr", f"{address}:{port}", str(folder)]
    command = [rclone, "serve", "restic", *options]
    server = subprocess.Popen(
        command, env={"HOME": str(folder)}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    found = restic.Repository(f"rest:http://{address}:{port}/", PASSWORD)

    def answers() -> bool:
        with suppress(restic.Unreachable):
            return restic.exists(found)
        return False

    try:
        until(answers)
        yield found
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module", autouse=True)
def credentials(node: Node, repository: restic.Repository) -> None:
    """Put on the swarm what the console gives to its agents, and a secret of the application."""
    access = {"url": repository.url, "password": repository.password}
    brought = json.dumps({"cluster": "c1", "repository": access}).encode()
    with on_node(node) as engine:
        engine.secret_create("medstack-agent-1", brought, {"medstack.kind": "agent"})
        engine.secret_create("key", VALUE, {})


@pytest.fixture
def engine(node: Node) -> Iterator[Engine]:
    with on_node(node, timeout=60) as found:
        yield found


def folder_of(node: Node, volume: str) -> Path:
    """Return where the machine keeps a volume's files."""
    return LocalNode(node.local_name, configured()).folder / "data/volumes" / volume / "_data"


def job(kind: str, repository: restic.Repository, **values: Any) -> Job:
    return Job(kind=kind, cluster="c1", repository=repository, values=values)


def operation(world: World) -> Operation:
    return Operation.objects.create(
        kind="test",
        title="Test",
        company=world.company,
        cluster=world.cluster,
        target_kind="cluster",
        target_id=world.cluster.pk,
        target_name="test",
        deadline=timezone.now() + timedelta(minutes=5),
        # No worker is to carry it on: the test itself does.
        state=Operation.State.DONE,
        ended_at=timezone.now(),
    )


def done(world: World, node: Node, work: Job, **options: Any) -> Json:
    """Let a container do a job, as an operation does, and return what it says in the end."""
    row = operation(world)
    try:
        told: Json = until(lambda: settled(jobs.follow(row, node, work, **options)), 120)
        return told
    finally:
        jobs.remove(row, node)


def settled(answer: Waiting | Json) -> Json | None:
    return None if isinstance(answer, Waiting) else answer


def snapshot_job(repository: restic.Repository, due: datetime, **handling: Json) -> Job:
    rules = {f"node-1/{name}": one for name, one in handling.items()}
    return job(
        "snapshot",
        repository,
        due=due.isoformat(),
        node="node-1",
        trigger="manual",
        version="test",
        environment=False,
        policy={"volumes": rules, "image": image.name()},
    )


def report_of(repository: restic.Repository, due: datetime) -> Report:
    (found,) = restic.snapshots(repository, tags=tags("report", due))
    return parse(Report, b"".join(restic.dump(repository, found.id, "/report.json")))


def part_of(repository: restic.Repository, due: datetime, volume: str) -> Any:
    return next(p for p in report_of(repository, due).volumes if p.volume == volume)


def agent(node: Node, repository: restic.Repository, now: datetime) -> hourly.Agent:
    return hourly.Agent(
        "c1",
        repository,
        policy.Policy(image=image.name()),
        open_engine=lambda: on_node(node, timeout=60),
        clock=lambda: now,
        tell=lambda _line: None,
    )


def fill(folder: Path) -> None:
    """Put in what a careless backup loses."""
    for name in ("-rf", "a*b?[c]", "new\nline", "ünïcode", 'quo"te', "back\\slash", b"\xff.raw"):
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        Path(os.fsdecode(path)).write_bytes(os.fsencode(name) * 3)
    (folder / "empty").touch()
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep").chmod(0o1770)
    (folder / "deep/er/link").symlink_to("../../no such thing")
    os.link(folder / "empty", folder / "deep/also empty")
    with (folder / "sparse").open("wb") as file:
        file.seek(20_000_000)
        file.write(b"end")
    (folder / "owned").write_text("mine")
    os.chown(folder / "owned", 1234, 4321)
    (folder / "owned").chmod(0o4755)
    os.mkfifo(folder / "pipe", 0o640)


def looks(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return everything about a folder that has to come back."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content: object = ""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif path.is_symlink():
            content = path.readlink()
        name = str(path.relative_to(folder))
        found[name] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content)
    return found


def volume_mount(volume: str, target: str) -> Json:
    return {"Type": "volume", "Source": volume, "Target": f"/volumes/{target}"}


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
