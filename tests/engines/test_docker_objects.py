"""Configs and secrets on real Engines: made, mounted, rotated and deleted by the pages."""

import base64
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from clusters.gateway import on_node
from clusters.models import Config, Node, Secret
from clusters.tasks import objects
from medstack.models import Event, Operation
from medstack.operations import RUN
from medstack.queue import enqueue
from tests.engines.acting import (
    Json,
    deploy,
    edit,
    everything_kept,
    inside,
    remove,
    settled,
    tasks_of,
    two_nodes,
)
from tests.engines.conftest import IMAGE, World, work_until

pytestmark = pytest.mark.engines

TEXT = "# Größe\r\nlisten = 8080\r\n\ttrailing space \r\n"
BYTES = bytes(range(256)) + b"\r\n\0end"
# Never at a line's end, so that it is the same in a form, in a file and in a log.
PLANTED = "planted-Xq7-value-that-nobody-may-read"
SUCCESSOR = "successor-Zw4-value-that-nobody-may-read"


@pytest.fixture(scope="module", autouse=True)
def heard() -> Iterator[io.StringIO]:
    """Keep everything that is logged while this module runs."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture(scope="module", autouse=True)
def nodes(world: World, heard: io.StringIO) -> None:
    two_nodes(world)


def everything_told(world: World) -> str:
    """Return all that the Engines tell about services, tasks, containers and secrets."""
    found: list[object] = []
    with world.manager() as engine:
        found += [engine.services(), engine.tasks(), engine.secrets(), engine.configs()]
    for node in Node.objects.present().filter(cluster=world.cluster):
        with on_node(node) as engine:
            found += [engine.container(c["Id"]) for c in engine.containers(all=True)]
    return str(found)


def shapes(value: str) -> list[str]:
    """Return the value and what a careless program would make of it."""
    raw = value.encode()
    # Within other data the value may begin at any of three places of a base64 group.
    coded = [base64.b64encode(b"." * n + raw).decode()[4:-4] for n in range(3)]
    return [value, raw.hex(), *coded]


def assert_nowhere(value: str, text: str, where: str) -> None:
    """Look for the value in every shape."""
    for shape in shapes(value):
        assert shape not in text, f"The value is in {where}, as {shape}."


def engine_names(world: World, kind: str) -> set[str]:
    """Return the names of the swarm's own secrets or configs."""
    with world.manager() as engine:
        return {item["Spec"]["Name"] for item in getattr(engine, kind)()}


def test_a_config_and_a_secret_reach_the_container_byte_for_byte(world: World) -> None:
    world.post("docker/configs/new/", name="settings", text=TEXT)
    file = SimpleUploadedFile("key.bin", BYTES)
    world.post("docker/secrets/new/", name="key", file=file)
    world.done()
    deploy(
        world,
        "reader",
        args="api",
        **{
            "configs-0-name": "settings",
            "configs-0-target": "/etc/reader/settings.ini",
            "secrets-0-name": "key",
            "secrets-0-uid": "1000",
            "secrets-0-gid": "1000",
            "secrets-0-mode": "0400",
        },
    )
    assert inside(world, "reader", "cat", "/etc/reader/settings.ini") == [
        TEXT.replace("\r\n", "\n").encode()
    ]
    assert inside(world, "reader", "cat", "/run/secrets/key") == [BYTES]
    assert inside(world, "reader", "stat", "-Lc", "%u:%g %a", "/run/secrets/key") == [
        b"1000:1000 400\n"
    ]
    page = world.page("docker/configs/settings/")
    assert "Größe" in page and "reader" in page


def test_a_config_comes_from_a_file_and_a_secret_from_a_text(world: World) -> None:
    world.post("docker/configs/new/", name="logo", file=SimpleUploadedFile("logo", BYTES))
    world.post("docker/secrets/new/", name="password", text=PLANTED)
    assert_nowhere(PLANTED, everything_kept(), "the database before the Engine has it")
    world.done()
    for number in (1, 2):
        deploy(
            world,
            f"user-{number}",
            args="api",
            constraints=f"node.hostname==node-{number}",
            **{"configs-0-name": "logo", "secrets-0-name": "password"},
        )
        assert inside(world, f"user-{number}", "cat", "/logo") == [BYTES]
        assert inside(world, f"user-{number}", "cat", "/run/secrets/password") == [PLANTED.encode()]


def test_what_services_use_is_not_deleted_and_they_are_named(world: World) -> None:
    for path in ("docker/secrets/password/delete/", "docker/configs/logo/delete/"):
        text = world.post(path, status=422)
        assert "is used by user-1, user-2" in text
    assert {"password", "key"} <= engine_names(world, "secrets")
    assert "logo" in engine_names(world, "configs")


def test_a_rotated_secret_reaches_every_service_and_its_former_version_goes(world: World) -> None:
    world.post("docker/secrets/password/rotate/", text=SUCCESSOR)
    assert_nowhere(SUCCESSOR, everything_kept(), "the database before the Engine has it")
    settled(world)
    for name in ("user-1", "user-2"):
        assert inside(world, name, "cat", "/run/secrets/password") == [SUCCESSOR.encode()]
        assert inside(world, name, "cat", "/logo") == [BYTES]
        assert not world.service(name).drift
    names = engine_names(world, "secrets")
    assert "password-v2" in names and "password" not in names and "key" in names
    page = world.page("docker/secrets/password/")
    assert "password-v2" in page and "user-1" in page


@contextmanager
def read_by_a_snapshot(world: World, secret: str) -> Iterator[None]:
    """Let a service hold a secret as the job of a snapshot does."""
    with world.manager() as engine:
        (found,) = [one for one in engine.secrets() if one["Spec"]["Name"] == secret]
        file = {"Name": secret, "UID": "0", "GID": "0", "Mode": 0o400}
        mount = {"SecretID": found["ID"], "SecretName": secret, "File": file}
        container = {"Image": IMAGE, "Secrets": [mount]}
        made = engine.service_create(
            {
                "Name": "medstack-secrets-20260301T100000Z",
                "TaskTemplate": {"ContainerSpec": container},
                "Mode": {"Replicated": {"Replicas": 0}},
            }
        )
        yield
        engine.service_remove(made)


def held() -> bool:
    """Say whether the newest operation waits for what holds a secret."""
    return "in use by" in Operation.objects.latest("pk").detail


def test_a_secret_that_a_snapshot_reads_is_replaced_at_once_and_goes_when_it_was_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.post("docker/secrets/new/", name="read", text=PLANTED)
    settled(world)
    with read_by_a_snapshot(world, "read"):
        world.post("docker/secrets/read/rotate/", text=SUCCESSOR)
        work_until(held)
        assert {"read", "read-v2"} <= engine_names(world, "secrets")
    settled(world)
    assert "read" not in engine_names(world, "secrets")
    monkeypatch.setattr(objects, "HELD_FOR_A_MOMENT", timedelta(0))
    with read_by_a_snapshot(world, "read-v2"):
        world.post("docker/secrets/read/rotate/", text=PLANTED)
        assert "stays until the next change" in settled(world).log
    world.post("docker/secrets/read/rotate/", text=SUCCESSOR)
    settled(world)
    monkeypatch.undo()
    assert {"read-v2", "read-v3"}.isdisjoint(engine_names(world, "secrets"))
    with read_by_a_snapshot(world, "read-v4"):
        world.post("docker/secrets/read/delete/")
        work_until(held)
    settled(world)
    assert not {one for one in engine_names(world, "secrets") if one.startswith("read")}


def test_a_rotated_config_replaces_no_task_of_other_services(world: World) -> None:
    before = {task["ID"] for task in tasks_of(world, "user-1")}
    world.post("docker/configs/settings/rotate/", text="listen = 9090\n")
    settled(world)
    assert inside(world, "reader", "cat", "/etc/reader/settings.ini") == [b"listen = 9090\n"]
    assert {task["ID"] for task in tasks_of(world, "user-1")} == before
    assert engine_names(world, "configs") == {"settings-v2", "logo"}


def test_a_rotation_that_is_carried_out_twice_ends_in_the_same(world: World) -> None:
    world.post("docker/configs/settings/rotate/", text="listen = 7070\n")
    operation = settled(world)
    before = {task["ID"] for task in tasks_of(world, "reader")}
    # A worker that was killed before it could note the end begins at an earlier step again.
    Operation.objects.filter(pk=operation.pk).update(
        state="running", ended_at=None, step=0, not_before=None
    )
    enqueue(RUN, operation.pk)
    settled(world)
    assert engine_names(world, "configs") == {"settings-v3", "logo"}
    assert {task["ID"] for task in tasks_of(world, "reader")} == before


def test_a_value_that_is_too_large_is_refused_and_nothing_is_made(world: World) -> None:
    for path, size in (("docker/secrets/new/", 600), ("docker/configs/new/", 1100)):
        file = SimpleUploadedFile("large", b"x" * size * 1024)
        text = world.post(path, status=422, name="large", file=file)
        assert "must be smaller" in text
    assert not Secret.objects.filter(name="large").exists()
    assert not Config.objects.filter(name="large").exists()


def test_a_name_that_somebody_else_took_on_the_swarm_fails_with_the_reason(world: World) -> None:
    with world.manager() as engine:
        engine.secret_create("taken", b"theirs", {})
    world.post("docker/secrets/new/", name="taken", text=PLANTED)
    assert world.failed() == "A secret named “taken” exists already."
    assert_nowhere(PLANTED, everything_kept(), "the database after a failure")
    world.refresh()
    assert "outside" in world.page("docker/secrets/taken/").lower()


def test_a_secrets_value_is_nowhere_but_in_its_containers(world: World, heard: io.StringIO) -> None:
    kept, told, logged = everything_kept(), everything_told(world), heard.getvalue()
    assert "password-v2" in kept and "password-v2" in told and "docker/secrets" in logged
    pages = "".join(
        world.page(path)
        for path in (
            "",
            "docker/secrets/",
            "docker/secrets/password/",
            "docker/secrets/password/rotate/",
            "docker/services/",
            "docker/services/user-1/",
            "docker/services/user-1/edit/",
        )
    )
    records = str(list(Event.objects.values())) + str(list(Operation.objects.values()))
    for value in (PLANTED, SUCCESSOR):
        assert_nowhere(value, kept, "the database")
        assert_nowhere(value, told, "what the Engines tell")
        assert_nowhere(value, logged, "the logs")
        assert_nowhere(value, pages, "the pages")
        assert_nowhere(value, records, "the audit record")


def test_a_secret_is_deleted_once_nothing_uses_it(world: World) -> None:
    unmounted: Json = {"secrets-0-DELETE": "on"}
    edit(world, "user-1", **unmounted)
    settled(world)
    assert b"No such file" in inside(world, "user-1", "cat", "/run/secrets/password")[0]
    assert "is used by user-2." in world.post("docker/secrets/password/delete/", status=422)
    remove(world, "user-1", "user-2")
    world.post("docker/secrets/password/delete/")
    world.done()
    assert not {name for name in engine_names(world, "secrets") if "password" in name}
    # The name is free again, and its history still says what was.
    world.post("docker/secrets/new/", name="password", text="third")
    world.done()
    assert engine_names(world, "secrets") >= {"password"}
    assert Secret.objects.filter(name="password").count() == 3
