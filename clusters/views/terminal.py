"""A terminal in a container, on whichever node runs it."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from clusters import engine
from clusters.actions.terminals import Place, place_of, terminal_closed, terminal_opened
from clusters.models import Task
from clusters.shell import Shell
from clusters.views import docker
from clusters.views.service_page import has_terminal, task_label
from medstack import access
from medstack.models import User
from medstack.models.events import Actor

T = TypeVar("T")

IDLE = 15 * 60.0
LONGEST = 8 * 3600.0
# So long a person whose role is taken away, or who signs out, keeps an open terminal.
CHECK_EVERY = 30.0
MOST_ROWS = 1000

NOT_FOUND = 4404
ENDED = 1000
REFUSED = 4409


@login_required
@access.confirmed
@require_safe
def terminal(request: HttpRequest, slug: str, name: str, pk: int) -> HttpResponse:
    """Show a terminal in one task's container."""
    service = access.service_for(request, slug, name, access.OPERATE)
    task = get_object_or_404(tasks_for(access.user_of(request)), pk=pk, service=service)
    context = docker.frame(request, service.cluster, "services", within=True) | {
        "service": service,
        "task": task,
        "title": task_label(task),
        "is_possible": has_terminal(task),
        "socket_url": f"/terminal/{task.pk}/",
    }
    status = 200 if context["is_possible"] else 409
    return render(request, "clusters/terminal.html", context, status=status)


def tasks_for(user: User) -> QuerySet[Task]:
    """Return the tasks in whose containers the user may open a terminal."""
    return Task.objects.filter(
        cluster__company__in=access.companies_for(user, access.OPERATE),
        service__deleted_at=None,
    ).select_related("service__cluster__company", "node")


class Terminal(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Carry bytes between a browser and a shell, and record both ends of the session."""

    place: Place | None = None
    shell: Shell | None = None
    workers: frozenset[asyncio.Task[None]] = frozenset()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection; whatever ends it, the shell is closed and the end recorded."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(self.finish("The connection was lost."))

    async def connect(self) -> None:
        """Let only an Owner or Operator of the task's company in."""
        task = await database_sync_to_async(self.find)()
        if task is None:
            await self.close(code=NOT_FOUND)
            return
        await self.accept()
        if not has_terminal(task):
            await self.refuse("This task has no running container on an attached node.")
            return
        self.pool = ThreadPoolExecutor(3, thread_name_prefix="terminal")
        try:
            self.shell = await self.call(lambda: Shell(task.node, task.container_id))
        except engine.EngineError as error:
            self.pool.shutdown(wait=False)
            await self.refuse(str(error))
            return
        self.place, self.opened_at = place_of(task), monotonic()
        self.typed_at = self.opened_at
        await database_sync_to_async(terminal_opened)(self.place, by=self.actor())
        self.workers = frozenset(map(asyncio.create_task, (self.read(), self.watch())))

    def find(self) -> Task | None:
        """Return the task if the one who asks may open a terminal there."""
        user = self.scope.get("user")
        if not isinstance(user, User) or user.must_change_password:
            # The middleware that asks for a new password does not see this connection.
            return None
        return tasks_for(user).filter(pk=self.scope["url_route"]["kwargs"]["task_pk"]).first()

    def actor(self) -> Actor:
        """Return who acts, and from where."""
        client = self.scope.get("client") or [None]
        headers = dict(self.scope.get("headers") or [])
        meta = {
            "REMOTE_ADDR": client[0],
            "HTTP_X_FORWARDED_FOR": headers.get(b"x-forwarded-for", b"").decode("latin-1"),
        }
        return Actor(user=self.scope["user"], address=access.address_of(meta))

    async def refuse(self, reason: str) -> None:
        """Say why there is no terminal."""
        await self.send(text_data=json.dumps({"error": reason}))
        await self.close(code=REFUSED)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Pass on what was typed, or the size of the window."""
        if self.shell is None:
            return
        shell, self.typed_at = self.shell, monotonic()
        with contextlib.suppress(engine.EngineError):
            # A shell that has ended cannot be written to; read() sees the end and says so.
            if bytes_data:
                await self.call(lambda: shell.send(bytes_data))
            elif text_data and (size := size_of(text_data)):
                await self.call(lambda: shell.resize(*size))

    async def read(self) -> None:
        """Pass on what the shell writes, to its end."""
        assert self.shell
        shell = self.shell
        exit_code: int | None = None
        reason = "The command ended."
        try:
            while data := await self.call(shell.recv):
                await self.send(bytes_data=data)
            exit_code = await self.call(shell.exit_code)
        except engine.EngineError as error:
            reason = str(error)
        told = {"error": reason} if exit_code is None else {"exit": exit_code}
        await self.end(reason, told, exit_code=exit_code)

    async def watch(self) -> None:
        """End a terminal that is idle, too old, or whose user may no longer use it."""
        while True:
            now = monotonic()
            ends = min(self.typed_at + IDLE, self.opened_at + LONGEST)
            if now >= ends:
                idle = now >= self.typed_at + IDLE
                reason = "Nothing was typed for 15 minutes." if idle else "8 hours are over."
                break
            await asyncio.sleep(min(ends - now, CHECK_EVERY))
            if not await database_sync_to_async(self.is_still_allowed)():
                reason = "The user may no longer use this terminal."
                break
        await self.end(reason, {"error": reason})

    def is_still_allowed(self) -> bool:
        """Say whether the user is still signed in and still an Owner or Operator."""
        assert self.place
        session = self.scope["session"]
        user = User.objects.filter(pk=self.scope["user"].pk, is_active=True).first()
        company = self.place.service.cluster.company
        return bool(
            user
            and session.exists(session.session_key)
            and access.companies_for(user, access.OPERATE).filter(pk=company.pk).exists()
        )

    async def end(self, reason: str, told: dict[str, Any], *, exit_code: int | None = None) -> None:
        """Tell the browser why it is over, and close."""
        if self.shell is None:
            return
        # The worker that ends the session goes on to say so; finish() stops only the other.
        self.workers -= {asyncio.current_task()}
        await asyncio.shield(self.finish(reason, exit_code=exit_code))
        with contextlib.suppress(Exception):
            # The browser may be gone already; there is nobody left to tell.
            await self.send(text_data=json.dumps(told))
            await self.close(code=ENDED)

    async def disconnect(self, code: int) -> None:
        """End the shell when the browser leaves."""
        await self.finish("The browser left.")

    async def finish(self, reason: str, *, exit_code: int | None = None) -> None:
        """Close the shell and record the end, once."""
        shell, self.shell = self.shell, None
        if shell is None or self.place is None:
            return
        for worker in self.workers:
            worker.cancel()
        await self.call(shell.close)
        self.pool.shutdown(wait=False)
        await database_sync_to_async(terminal_closed)(
            self.place,
            by=self.actor(),
            seconds=monotonic() - self.opened_at,
            exit_code=exit_code,
            reason=reason,
        )

    async def call(self, work: Callable[[], T]) -> T:
        """Run something that blocks in one of the session's own threads."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)


def size_of(text: str) -> tuple[int, int] | None:
    """Return rows and columns from a message, or nothing when it is not one."""
    try:
        rows, columns = json.loads(text)["resize"]
    except (ValueError, TypeError, KeyError):
        return None
    sizes = (rows, columns)
    if not all(isinstance(size, int) and 0 < size <= MOST_ROWS for size in sizes):
        return None
    return rows, columns
