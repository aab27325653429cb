"""Terminals: who may open one, what is recorded, and how each one ends."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from clusters.models import Cluster, Node, Service, Task
from clusters.views import terminal
from medstack.asgi import application
from medstack.models import Event, Membership, User
from tests.fake_engine import FakeEngine
from tests.pages import SignIn
from tests.running import engine_behind, running_service


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


class Socket:
    """Speak to the application as a browser's WebSocket does."""

    def __init__(self, client: Client, task: Task, *, origin: str = "http://localhost") -> None:
        cookie = client.cookies["sessionid"].value if "sessionid" in client.cookies else ""
        path = f"/terminal/{task.pk}/"
        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"origin", origin.encode()), (b"cookie", f"sessionid={cookie}".encode())],
            "subprotocols": [],
            "client": ["192.0.2.7", 50000],
        }
        # asgiref's communicator has no types.
        self.wire: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]

    async def connect(self) -> dict[str, Any]:
        """Ask to be let in and return the answer."""
        await self.wire.send_input({"type": "websocket.connect"})
        answer: dict[str, Any] = await self.wire.receive_output(5)
        return answer

    async def type(self, data: bytes | str) -> None:
        """Send what was typed, or a text such as the window's size."""
        key = "text" if isinstance(data, str) else "bytes"
        await self.wire.send_input({"type": "websocket.receive", key: data})

    async def read(self) -> Any:
        """Return the next bytes, or the next text's JSON."""
        message = await self.wire.receive_output(5)
        return message["bytes"] if message.get("bytes") else json.loads(message["text"])

    async def leave(self) -> None:
        """Go away, as when the page is closed, and wait until the application has ended."""
        await self.wire.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wire.wait(5)


def after(event: Event) -> dict[str, Any]:
    """Return what an event says came of it."""
    assert isinstance(event.after, dict)
    return event.after


def open_terminal(
    client: Client, task: Task, use: Callable[[Socket], Awaitable[None]]
) -> dict[str, Any]:
    """Open a terminal as a browser does, use it, and return how it was let in."""

    async def connect() -> dict[str, Any]:
        socket = Socket(client, task)
        answer = await socket.connect()
        if answer["type"] == "websocket.accept":
            await use(socket)
        await socket.leave()
        return answer

    found: dict[str, Any] = async_to_sync(connect)()
    return found


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the test's connection: Channels closes it, and with it the test's transaction."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


async def nothing(socket: Socket) -> None:
    """Do nothing with the terminal."""


@pytest.fixture
def shell(fake: FakeEngine, kept: None) -> FakeEngine:
    """Let the Engine open a shell that says hello."""
    fake.answer("/containers/container1/exec", b'{"Id": "exec1"}', status=201)
    fake.answer("/exec/exec1/start", b"\x1b]7777;64\x07hello", status=101)
    fake.answer("/exec/exec1/json", b'{"Running": false, "ExitCode": 3}')
    return fake


@pytest.mark.parametrize("who", ["auditor", "stranger"])
def test_a_terminal_is_for_those_who_operate_the_cluster(
    who: str,
    task: Task,
    shell: FakeEngine,
    request: pytest.FixtureRequest,
    client_for: SignIn,
) -> None:
    client = client_for(request.getfixturevalue(who))
    page = f"/clusters/production/docker/services/web/tasks/{task.pk}/terminal/"
    assert client.get(page).status_code == 404
    assert open_terminal(client, task, nothing)["code"] == terminal.NOT_FOUND
    assert not shell.calls
    assert not Event.objects.exists()


def test_nobody_opens_a_terminal_without_signing_in(task: Task, shell: FakeEngine) -> None:
    assert open_terminal(Client(), task, nothing)["code"] == terminal.NOT_FOUND


def test_a_one_time_password_opens_no_terminal(
    task: Task, shell: FakeEngine, operator: User, client_for: SignIn
) -> None:
    User.objects.filter(pk=operator.pk).update(must_change_password=True)
    answer = open_terminal(client_for(operator), task, nothing)
    assert answer["code"] == terminal.NOT_FOUND


def test_another_site_opens_no_terminal(
    task: Task, shell: FakeEngine, operator: User, client_for: SignIn
) -> None:
    client = client_for(operator)

    async def connect() -> str:
        answer = await Socket(client, task, origin="http://evil.example").connect()
        return str(answer["type"])

    assert async_to_sync(connect)() == "websocket.close"


def test_a_session_is_recorded_from_its_opening_to_its_end(
    task: Task, shell: FakeEngine, operator: User, client_for: SignIn
) -> None:
    async def use(socket: Socket) -> None:
        assert await socket.read() == b"hello"
        await socket.type(json.dumps({"resize": [24, 80]}))
        await socket.type("not a size")
        await socket.type(b"cat /etc/passwd")

    assert open_terminal(client_for(operator), task, use)["type"] == "websocket.accept"
    opened, closed = Event.objects.order_by("pk")
    assert (opened.action, closed.action) == ("terminal.opened", "terminal.closed")
    assert opened.actor == closed.actor == operator
    assert opened.address == closed.address == "192.0.2.7"
    place = {"task": "web.1", "node": "node-1", "container": "container1"}
    assert after(opened) == place
    assert after(closed).items() >= place.items()
    assert after(closed)["seconds"] >= 0
    assert "passwd" not in str(after(closed))
    # Else the Engine would let the shell, and what runs in it, go on for ever.
    assert shell.bodies[-2]["Cmd"] == ["/bin/sh", "-c", "kill -HUP 64"]


def test_a_terminal_that_the_engine_refuses_says_why(
    task: Task, fake: FakeEngine, kept: None, operator: User, client_for: SignIn
) -> None:
    fake.fail("/containers/container1/exec", "container is paused", status=409)

    async def use(socket: Socket) -> None:
        assert await socket.read() == {"error": "container is paused"}

    open_terminal(client_for(operator), task, use)
    assert not Event.objects.exists()


def test_a_terminal_without_a_running_container_says_so(
    task: Task, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    Task.objects.filter(pk=task.pk).update(state="failed")
    client = client_for(operator)
    page = client.get(f"/clusters/production/docker/services/web/tasks/{task.pk}/terminal/")
    assert page.status_code == 409
    assert "No terminal can be opened here" in page.content.decode()
    assert "data-socket-url" not in page.content.decode()


def test_a_terminal_ends_with_its_users_role(
    task: Task,
    shell: FakeEngine,
    operator: User,
    client_for: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal, "CHECK_EVERY", 0.05)

    async def use(socket: Socket) -> None:
        assert await socket.read() == b"hello"
        await Membership.objects.filter(user=operator).adelete()
        assert await socket.read() == {"error": "The user may no longer use this terminal."}

    open_terminal(client_for(operator), task, use)
    assert Event.objects.filter(action="terminal.closed").count() == 1


def test_an_idle_terminal_ends(
    task: Task,
    shell: FakeEngine,
    operator: User,
    client_for: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal, "IDLE", 0.2)

    async def use(socket: Socket) -> None:
        assert await socket.read() == b"hello"
        assert await socket.read() == {"error": "Nothing was typed for 15 minutes."}

    open_terminal(client_for(operator), task, use)
    closed = Event.objects.get(action="terminal.closed")
    assert after(closed)["reason"] == "Nothing was typed for 15 minutes."
