"""Logs, the last lines and those that follow, from Engines that answer, refuse, or are slow."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from clusters.models import Cluster, Node, Service, Task
from medstack.models import User
from tests.fake_engine import FakeEngine, frame
from tests.pages import SignIn
from tests.running import engine_behind, running_service
from tests.signing import give_factor

LOGS = "/clusters/production/docker/services/web/logs/"
STREAM = f"{LOGS}stream/"
TASK_LABEL = "com.docker.swarm.task.id"


@pytest.fixture
def web(cluster: Cluster, node: Node) -> Service:
    """Return a service that runs."""
    return running_service(cluster, node)


@pytest.fixture
def task(web: Service) -> Task:
    """Return the first of its tasks."""
    return web.tasks.get(slot=1)


@pytest.fixture
def fake(tmp_path: Path, node: Node) -> Iterator[FakeEngine]:
    """Put an Engine that speaks the wire behind the node."""
    with engine_behind(node, tmp_path) as fake:
        yield fake


def swarm_line(text: str, *, second: int = 1, stream: int = 1) -> bytes:
    """Return a line as the swarm sends it."""
    return frame(stream, f"2026-01-01T10:00:{second:02d}.5Z {TASK_LABEL}=task1 {text}\n")


def node_line(text: str) -> bytes:
    """Return a line as a node sends one of its own containers."""
    return frame(1, f"2026-01-01T10:00:01.5Z {text}\n")


# The last lines


def test_the_page_shows_the_last_lines_with_their_tasks(
    task: Task, fake: FakeEngine, auditor: User, client_for: SignIn
) -> None:
    red = "\x1b[31mcannot connect\x1b[0m"
    fake.raw["/services/service1/logs"] = swarm_line("ready") + swarm_line(red, second=2, stream=2)
    response = client_for(auditor).get(LOGS)
    assert response.context["lines"] == [
        {"stream": "stdout", "at": "10:00:01.500", "task": "web.1", "text": "ready"},
        {"stream": "stderr", "at": "10:00:02.500", "task": "web.1", "text": "cannot connect"},
    ]
    # What follows begins after what is shown.
    assert "since=2026-01-01T10%3A00%3A02.500000" in response.context["stream_url"]
    asked = fake.queries[fake.calls.index("GET /services/service1/logs")]
    assert (asked["tail"], asked["follow"]) == ("200", "0")


def test_one_task_can_be_chosen(
    task: Task, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    fake.raw["/tasks/task1/logs"] = swarm_line("ready")
    response = client_for(operator).get(LOGS, {"task": task.pk})
    assert [line["text"] for line in response.context["lines"]] == ["ready"]
    assert client_for(operator).get(LOGS, {"task": "999"}).status_code == 404
    assert client_for(operator).get(LOGS, {"task": "x"}).status_code == 404


def test_what_the_swarm_refuses_is_read_from_the_node_itself(
    task: Task, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    words = "warning: incomplete log stream. some logs could not be retrieved"
    fake.raw["/services/service1/logs"] = frame(3, words)
    fake.raw["/containers/container1/logs"] = node_line("ready")
    response = client_for(operator).get(LOGS)
    assert [line["text"] for line in response.context["lines"]] == ["ready"]
    assert not response.context["error"]


@pytest.mark.parametrize("path", ["/services/service1/logs", "*"])
def test_a_slow_engine_does_not_hold_the_page(
    path: str, web: Service, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    fake.delay(path, 30)
    client, began = client_for(operator), monotonic()
    response = client.get(LOGS)
    assert monotonic() - began < 3
    assert response.status_code == 200
    assert "The last lines could not be read" in response.content.decode()
    assert "within" in response.context["error"]


def test_what_the_engine_refuses_is_said_in_its_words(
    web: Service, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    words = "configured logging driver does not support reading"
    fake.fail("/services/service1/logs", words)
    response = client_for(operator).get(LOGS)
    assert response.status_code == 200
    assert words in response.content.decode()


# The stream


def follow(user: User | None, url: str = STREAM, **headers: str) -> tuple[int, str]:
    """Return the status and all that the stream sends until it ends."""

    if user:
        give_factor(user)

    async def read() -> tuple[int, str]:
        client = AsyncClient()
        if user:
            await client.aforce_login(user)
        response: Any = await client.get(url, headers=headers)
        if not response.streaming:
            return response.status_code, ""
        parts = [part async for part in response.streaming_content]
        return response.status_code, b"".join(parts).decode()

    found: tuple[int, str] = async_to_sync(read)()
    return found


def lines_of(stream: str) -> list[dict[str, Any]]:
    """Return the lines among a stream's events."""
    events = [event.splitlines() for event in stream.split("\n\n") if "event: ended" not in event]
    data = [line[6:] for event in events for line in event if line.startswith("data: ")]
    return [json.loads(text) for text in data]


def test_the_stream_sends_the_lines_after_a_moment_and_says_when_it_ends(
    task: Task, fake: FakeEngine, auditor: User
) -> None:
    fake.raw["/services/service1/logs"] = b"".join(
        swarm_line(text, second=second) for second, text in enumerate(("old", "last", "new"), 1)
    )
    status, stream = follow(auditor, f"{STREAM}?since=2026-01-01T10:00:02.500000%2B00:00")
    assert status == 200
    assert [line["text"] for line in lines_of(stream)] == ["new"]
    assert "id: 2026-01-01T10:00:03.500000+00:00" in stream
    assert stream.endswith("event: ended\ndata: no task writes any more\n\n")
    asked = datetime.fromtimestamp(float(fake.queries[-1]["since"]), UTC)
    assert asked == datetime(2026, 1, 1, 10, 0, 2, 500000, UTC)


def test_a_broken_connection_goes_on_after_the_browsers_last_line(
    task: Task, fake: FakeEngine, auditor: User
) -> None:
    fake.raw["/services/service1/logs"] = swarm_line("a") + swarm_line("b", second=2)
    _, stream = follow(auditor, **{"Last-Event-ID": "2026-01-01T10:00:01.500000+00:00"})
    assert [line["text"] for line in lines_of(stream)] == ["b"]


def test_the_stream_follows_the_nodes_where_the_swarm_refuses(
    task: Task, fake: FakeEngine, auditor: User
) -> None:
    fake.fail("/services/service1/logs", "node swarmnode1 is not available")
    fake.raw["/containers/container1/logs"] = node_line("ready")
    _, stream = follow(auditor)
    assert [(line["task"], line["text"]) for line in lines_of(stream)] == [("web.1", "ready")]


def test_the_stream_says_why_it_ends(web: Service, fake: FakeEngine, auditor: User) -> None:
    fake.fail("/services/service1/logs", "logs are not available")
    assert "event: ended\ndata: logs are not available\n\n" in follow(auditor)[1]


def test_the_stream_is_for_members_only(web: Service, fake: FakeEngine, stranger: User) -> None:
    assert follow(stranger)[0] == 404
    assert follow(None)[0] == 302
    assert not fake.calls
