"""Logs followed live, and terminals, on whichever node the container runs."""

import json
import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from clusters.models import Task
from medstack.models import Event
from tests.engines.acting import deploy, inside, settled, two_nodes
from tests.engines.conftest import World, work_until
from tests.test_terminal import Socket

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]
ANSWER = re.compile(r"42 on \S+\s")
TALKER = 'sh -c "while true; do echo said by $HOSTNAME; sleep 1; done"'


@pytest.fixture(scope="module")
def talker(world: World) -> World:
    """Return a cluster with a service of two tasks that go on talking, one on each node."""
    two_nodes(world)
    deploy(world, "talker", command=TALKER, replicas="2", max_replicas="1")
    return world


def tasks(world: World) -> list[Task]:
    return list(Task.objects.filter(cluster=world.cluster, service__name="talker", state="running"))


def test_the_log_page_has_the_lines_of_all_tasks(talker: World) -> None:
    page = talker.page("docker/services/talker/logs/")
    hosts = {line.strip().decode() for line in inside(talker, "talker", "hostname")}
    assert len(hosts) == 2
    assert all(f"said by {host}" in page for host in hosts)


def test_a_follower_gets_new_lines_from_both_nodes(talker: World) -> None:
    async def follow() -> set[str]:
        client = AsyncClient()
        client.cookies = talker.client.cookies
        response: Any = await client.get(f"{talker.url}docker/services/talker/logs/stream/")
        assert response["Content-Type"].startswith("text/event-stream")
        told: set[str] = set()
        async for part in response.streaming_content:
            for line in part.decode().splitlines():
                if line.startswith("data: {"):
                    told.add(json.loads(line[6:])["task"])
            if len(told) == 2:
                break
        await response.streaming_content.aclose()
        return told

    assert len(async_to_sync(follow)()) == 2


def test_a_terminal_opens_on_the_node_that_runs_the_container(talker: World) -> None:
    settled(talker)
    for task in tasks(talker):
        assert f"/terminal/{task.pk}/" in talker.page(
            f"docker/services/talker/tasks/{task.pk}/terminal/"
        )
        said = async_to_sync(typed)(talker, task, b"echo $((6*7)) on $(hostname)\n")
        hosts = [host.strip().decode() for host in inside(talker, "talker", "hostname")]
        assert [host for host in hosts if f"42 on {host}" in said], said
    opened = Event.objects.filter(cluster=talker.cluster, action="terminal.opened")
    closed = Event.objects.filter(cluster=talker.cluster, action="terminal.closed")
    assert opened.count() == closed.count() == 2
    assert {event.actor_name for event in opened} == {talker.user.email}


async def typed(world: World, task: Task, command: bytes) -> str:
    """Type a command into a terminal and return all that is shown until the answer is there."""
    socket = Socket(world.client, task)
    answer = await socket.connect()
    assert answer["type"] == "websocket.accept"
    await socket.type(command)
    shown = ""
    while not ANSWER.search(shown):
        part = await socket.read()
        shown += part.decode(errors="replace") if isinstance(part, bytes) else ""
    await socket.leave()
    return shown


def test_a_terminal_that_is_left_leaves_nothing_running(talker: World) -> None:
    task = tasks(talker)[0]
    async_to_sync(typed)(talker, task, b"echo $((6*7)) on $(hostname); sleep 4711\n")
    work_until(
        lambda: b"sleep 4711" not in b"".join(inside(talker, "talker", "ps")),
        within=30,
        what="what was typed last has ended, too",
    )
