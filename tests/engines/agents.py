"""A node with the agent's image and a repository that it may add to, and jobs for it."""

import json
import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backups import image, jobs, restic
from backups.agent import hourly, policy
from backups.agent.messages import Job
from backups.agent.tags import tags
from backups.manifest import parse
from backups.parts import Report
from backups.server import whole
from clusters.engine import Engine
from clusters.gateway import on_node
from clusters.local.configuration import configured
from clusters.local.node import LocalNode
from clusters.models import Node
from medstack.models import Operation
from medstack.operations import Waiting
from tests.engines.conftest import World
from tests.engines.ways import until
from tests.repositories.servers import free_port, program, serving
from tests.stores import PASSWORD, empty_store

Json = dict[str, Any]
VALUE = bytes(range(256)) + b"\nno end of line"


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
    port = free_port(address)
    empty_store(folder)
    command = (program("rclone"), "serve", "restic", whole.remote(folder), "--append-only")
    with serving(address, port, *command, "--config=/dev/null", f"--addr={address}:{port}"):
        yield restic.Repository(f"rest:http://{address}:{port}/", PASSWORD)


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
        told: Json = until(lambda: settled(jobs.follow(row, node, work, **options)), within=120)
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
