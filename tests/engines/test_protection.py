"""Agents on real nodes: installed with the node, and taking snapshots by themselves."""

import json
from pathlib import Path

import pytest

from backups import opening, restic
from backups.agent.tags import read
from backups.models import Agent, Protection, Repository
from backups.tasks.agents import apply
from clusters.gateway import on_node
from clusters.models import Node
from tests.engines.conftest import World, work_until

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
