"""Agents on real nodes: they come with the node, take snapshots by themselves, and hide nothing."""

import json
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.test import override_settings

from backups import agent_image, opening, restic
from backups.agent.halting import STOPPED
from backups.agent.tags import read
from backups.models import Agent, Protection, Repository, Snapshot, VolumeBackup
from backups.tasks.agents import apply
from clusters import local
from clusters.engine import Engine
from clusters.gateway import on_node
from clusters.models import Node, Volume
from tests.engines.acting import containers_of, deploy, ids_of, live, remove, run_in
from tests.engines.conftest import World, finish, run_due, work_until
from tests.engines.workers import until

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]


def kept(world: World) -> dict[str, list[restic.Snapshot]]:
    """Return what the repository holds, by its kind."""
    row = Repository.objects.current().get(cluster=world.cluster)
    found: dict[str, list[restic.Snapshot]] = {}
    for one in restic.snapshots(opening.for_console(row)):
        tags = read(one.tags)
        assert tags
        found.setdefault(tags.kind, []).append(one)
    return found


@pytest.fixture(scope="module")
def protected(world: World, repository_server: Path) -> World:
    """A cluster of two nodes whose agents run."""
    world.add_node("one")
    world.done()
    world.add_node("two")
    operation = world.done()
    assert "The agent runs" in operation.log, operation.log
    return world


def test_the_agent_comes_with_the_node(protected: World) -> None:
    apply(protected.cluster.pk)
    work_until(lambda: agents(protected) == {"one": "running", "two": "running"})
    assert Protection.objects.get(cluster=protected.cluster).agent_error == ""
    assert Protection.objects.get(cluster=protected.cluster).since


def agents(world: World) -> dict[str, str]:
    apply(world.cluster.pk)
    rows = Agent.objects.filter(node__cluster=world.cluster).select_related("node")
    return {row.node.name: row.state for row in rows}


def test_an_agent_takes_the_running_hours_snapshot_by_itself(protected: World) -> None:
    work_until(lambda: len(kept(protected).get("report", [])) >= 2, within=90)
    assert {one.host for one in kept(protected)["report"]} == {"one", "two"}


def test_no_credential_shows_on_any_node(protected: World) -> None:
    row = Repository.objects.current().get(cluster=protected.cluster)
    password = opening.access_of(row.node_access)["password"]
    for node in Node.objects.present().filter(cluster=protected.cluster):
        with on_node(node) as engine:
            shown = json.dumps([engine.container(one["Id"]) for one in engine.containers(all=True)])
        assert row.password not in shown
        assert password not in shown
    with protected.manager() as manager:
        shown = json.dumps([manager.services(), manager.configs(), manager.secrets()])
    assert row.password not in shown
    assert password not in shown


# What somebody who has taken a node over would try, with what lies in the agent's container.
ATTACK = """
from dataclasses import replace
from backups import restic
from backups.agent import work
_, own = work.credentials()
ids = [one.id for one in restic.snapshots(own)]
def tried(what):
    try:
        return what()
    except restic.ResticError as error:
        return type(error).__name__
print(tried(lambda: restic.forget(own, ids)))
print(restic.can_overwrite(own, ids[0]))
neighbour = replace(own, url=own.url.rsplit("/", 2)[0] + "/neighbour/")
print(tried(lambda: restic.snapshots(neighbour)))
"""


def agent_of(node: Node, engine: Engine) -> str:
    """Return the container of a node's agent."""
    label = "com.docker.swarm.service.name=medstack-agent"
    found = engine.containers(filters={"label": [label], "status": ["running"]})
    assert found, f"No agent runs on {node}."
    return str(found[0]["Id"])


def test_who_has_taken_a_node_over_can_neither_delete_nor_overwrite_nor_look_elsewhere(
    protected: World, repository_server: Path
) -> None:
    row = Repository.objects.current().get(cluster=protected.cluster)
    neighbour = restic.Repository(str(repository_server / "neighbour"), row.password)
    if not restic.exists(neighbour):
        restic.initialise(neighbour)
    before = {one.id for some in kept(protected).values() for one in some}
    assert before
    node = protected.node("two")
    with on_node(node, timeout=20) as engine:
        container = agent_of(node, engine)
    said = run_in(node, container, "python3", "-c", ATTACK).decode().split()
    assert said == ["Refused", "False", "Refused"]
    assert before <= {one.id for some in kept(protected).values() for one in some}


def take(world: World, *codes: int) -> Snapshot:
    """Take a snapshot by command line, as a script does that waits for the end."""
    # No worker runs here: what the command would wait for happens meanwhile.
    sleep = mock.Mock(side_effect=lambda _: run_due())
    with (
        mock.patch("backups.management.commands.snapshot.time.sleep", sleep),
        pytest.raises(SystemExit) as ended,
    ):
        call_command("snapshot", world.cluster.slug, "--wait")
    assert ended.value.code in codes
    found = Snapshot.objects.filter(cluster=world.cluster, trigger="manual").first()
    assert found
    return found


def part(snapshot: Snapshot, volume: str) -> VolumeBackup:
    return VolumeBackup.objects.get(snapshot=snapshot, volume_name=volume)


@pytest.fixture(scope="module")
def database(protected: World) -> World:
    """Give node one a service with a volume, and each node a volume beside it."""
    protected.load_images()
    for name, node in (("base", "one"), ("files", "one"), ("far", "two")):
        protected.post("docker/volumes/new/", name=name, node=protected.node(node).pk, kind="local")
        protected.done()
    volume = f"{protected.node('one').swarm_node_id}/base"
    fields = {"volumes-0-volume": volume, "volumes-0-path": "/srv/base", "user": "0"}
    deploy(protected, "base", args="web", **fields)
    return protected


def decide(world: World, volume: str, **fields: Any) -> None:
    """Decide on its page how a volume is backed up."""
    row = Volume.objects.present().get(node__cluster=world.cluster, name=volume)
    world.post(f"backups/coverage/{row.pk}/", **fields)


def files_of(world: World, backup: VolumeBackup) -> str:
    return world.page(f"backups/volumes/{backup.pk}/files/")


def test_a_command_before_makes_a_dump_and_one_after_removes_it(database: World) -> None:
    before, after = "echo dumped > /srv/base/dump.sql", "mv /srv/base/dump.sql /srv/base/gone.sql"
    decide(database, "base", before_command=before, after_command=after)
    found = take(database, 0)
    assert (found.state, found.reasons) == ("complete", [])
    first = files_of(database, part(found, "base"))
    assert "dump.sql" in first and "gone.sql" not in first
    # The one after has run since: the next backup has what it left.
    decide(database, "base", before_command="test -e /srv/base/gone.sql")
    assert "gone.sql" in files_of(database, part(take(database, 0), "base"))


def test_a_command_that_fails_fails_its_volume_only_and_the_one_after_still_runs(
    database: World,
) -> None:
    decide(
        database,
        "base",
        before_command="echo no connection >&2; exit 3",
        after_command="touch /srv/base/after",
    )
    found = take(database, 1)
    assert found.state == "partial"
    failed = part(found, "base")
    assert failed.state == "failed"
    assert "ended with code 3: no connection" in failed.reason
    assert failed.reason in " ".join(found.reasons)
    assert {part(found, name).state for name in ("files", "far")} == {"captured"}
    page = database.page(f"backups/snapshots/{found.pk}/")
    assert "Why it is partial" in page and "no connection" in page
    decide(database, "base")
    assert "after" in files_of(database, part(take(database, 0), "base"))


def is_stopped(world: World, name: str) -> bool:
    spec = live(world, name)["Spec"]
    return STOPPED in spec["Labels"] and spec["Mode"]["Replicated"]["Replicas"] == 0


def is_back(world: World, name: str) -> bool:
    """Say whether a service runs as it did before it was stopped."""
    spec = live(world, name)["Spec"]
    wanted = spec["Mode"]["Replicated"]["Replicas"]
    return STOPPED not in spec["Labels"] and wanted == 1 == len(ids_of(world, name))


def test_services_of_every_node_are_stopped_while_their_volumes_are_read_and_started_again(
    database: World,
) -> None:
    node = database.node("two")
    fields = {"volumes-0-volume": f"{node.swarm_node_id}/far", "volumes-0-path": "/srv/far"}
    deploy(database, "remote", args="web", **fields)
    before = {name: ids_of(database, name) for name in ("base", "remote")}
    for name in ("base", "far"):
        decide(database, name, stop="on")
    found = take(database, 0)
    assert (found.state, found.reasons) == ("complete", [])
    assert {part(found, name).state for name in ("base", "far")} == {"captured"}
    # What was seen in between is neither kept in the manifest nor shown as somebody's change.
    assert STOPPED not in found.manifest
    for name, ids in before.items():
        until(partial(is_back, database, name), what=f"{name} is back")
        assert not ids & ids_of(database, name)
    database.refresh()
    assert "Changed outside" not in database.page("docker/services/base/")


def test_stopped_services_come_back_when_all_that_stopped_them_was_killed(
    database: World,
) -> None:
    node = database.node("one")
    (container,) = [one for where, one in containers_of(database, "base") if where == node]
    run_in(node, container, "sh", "-c", "head -c 300000000 /dev/urandom > /srv/base/large")
    database.post("backups/snapshots/now/")
    work_until(lambda: is_stopped(database, "base"))
    # From here on no worker works, either.
    with on_node(node, timeout=20) as engine:
        for name in ("medstack-op-", "medstack-capture-", "medstack-agent"):
            for one in engine.containers(filters={"name": [name]}):
                engine.container_kill(one["Id"])
    for name in ("base", "remote"):
        until(partial(is_back, database, name), within=90, what=f"{name} is back")
    finish()
    for name in ("base", "far"):
        decide(database, name)
    remove(database, "remote")
    assert take(database, 0).state == "complete"


def test_an_excluded_volume_is_left_out_with_its_reason_and_the_snapshot_complete(
    database: World,
) -> None:
    decide(database, "files", is_excluded="on", excluded_reason="A cache.")
    found = take(database, 0)
    assert found.state == "complete"
    assert (part(found, "files").state, part(found, "files").reason) == ("excluded", "A cache.")
    page = database.page("backups/coverage/")
    assert "A cache." in page and "Protected" in page
    decide(database, "files")


def test_a_node_that_is_off_is_named_and_the_others_part_is_taken(database: World) -> None:
    node = database.node("two")
    local.stop(node.local_name)
    try:
        found = take(database, 1)
        assert found.state == "partial"
        assert 'Node "two" did not report.' in found.reasons
        assert part(found, "base").state == "captured"
        assert (part(found, "far").state, part(found, "far").reason) == (
            "failed",
            "its node did not report.",
        )
    finally:
        local.ensure_running(node.local_name)
    database.refresh()
    work_until(lambda: agents(database).get("two") == "running")
    assert take(database, 0).state == "complete"


def test_agents_are_upgraded_with_the_console_and_their_page_says_so(protected: World) -> None:
    for node in Node.objects.present().filter(cluster=protected.cluster):
        with on_node(node, timeout=60) as engine:
            changes = [*agent_image.CHANGES, "ENV NEXT=1"]
            engine.image_import(agent_image.archive(), "medstack.invalid/agent", "next", changes)
    with override_settings(AGENT_IMAGE="medstack.invalid/agent:next"):
        work_until(lambda: versions(protected) == {"one": "next", "two": "next"})
        for name in ("one", "two"):
            page = protected.page(f"nodes/{name}/")
            card = page[page.index("Backup agent") :]
            assert card.index("Running") < card.index("next") < card.index("Last report")
    former = agent_image.version()
    work_until(lambda: versions(protected) == {"one": former, "two": former})


def versions(world: World) -> dict[str, str]:
    apply(world.cluster.pk)
    rows = Agent.objects.filter(node__cluster=world.cluster, state="running")
    return {row.node.name: row.version for row in rows.select_related("node")}
