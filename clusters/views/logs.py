"""Logs of a service: the last lines with the page, and what follows as a stream of events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from clusters import engine
from clusters.log_reading import Feed, Line, Sources, last_lines, sources
from clusters.models import Service, Task
from clusters.views import docker
from clusters.views.service_page import service_url, task_label
from medstack import access

TAIL = 200
HEARTBEAT = 15.0
LONGEST = 30 * 60.0
MOST_LINES = 20_000


@login_required
@require_safe
def logs(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Show the last lines of all tasks or of one."""
    service = access.service_for(request, slug, name)
    task = chosen_task(request, service)
    lines: list[Line] = []
    error = ""
    asked_at = datetime.now(UTC)
    if service.engine_id:
        try:
            lines = last_lines(sources(service, task), tail=TAIL)
        except engine.EngineError as failure:
            error = str(failure)
    last = max((line.at for line in lines if line.at), default=asked_at)
    parameters = {"since": last.isoformat()} | ({"task": str(task.pk)} if task else {})
    tasks = list(service.tasks.select_related("node").order_by("slot", "-since"))
    for one in tasks:
        one.service = service
    context = docker.frame(request, service.cluster, "services", within=True) | {
        "service": service,
        "task": task,
        "tasks": [
            {"pk": one.pk, "label": task_label(one), "state": one.state, "is_live": one.is_live}
            for one in tasks
        ],
        "lines": [as_shown(line) for line in lines],
        "error": error,
        "stream_url": f"{service_url(service, 'service_log_stream')}?{urlencode(parameters)}",
    }
    return render(request, "clusters/service_logs.html", context)


def chosen_task(request: HttpRequest, service: Service) -> Task | None:
    """Return the one task whose lines are asked for, or None for all."""
    asked = request.GET.get("task", "")
    if not asked:
        return None
    task = service.tasks.filter(pk=asked).first() if asked.isdecimal() else None
    if task is None:
        raise Http404
    task.service = service
    return task


def as_shown(line: Line) -> dict[str, str]:
    """Return a line as the template draws it; the script draws those that follow alike."""
    at = f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03d}" if line.at else ""
    return {"stream": line.stream, "at": at, "task": line.task, "text": line.text}


@login_required
@require_safe
async def stream(request: HttpRequest, slug: str, name: str) -> StreamingHttpResponse:
    """Follow the logs live, for half an hour at most."""
    found = await sync_to_async(sources_for)(request, slug, name)
    return StreamingHttpResponse(
        events(found, since=beginning(request)),
        content_type="text/event-stream",
        # A proxy that collects the answer before it passes it on would hide every line.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def sources_for(request: HttpRequest, slug: str, name: str) -> Sources:
    """Return where to read, if the user may read there."""
    service = access.service_for(request, slug, name)
    return sources(service, chosen_task(request, service))


def beginning(request: HttpRequest) -> datetime | None:
    """Return after which moment to begin: the browser's last line, or the page's."""
    for text in (request.headers.get("Last-Event-ID", ""), request.GET.get("since", "")):
        with suppress(ValueError):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else None
    return None


async def events(found: Sources, *, since: datetime | None) -> AsyncIterator[str]:
    """Yield server-sent events until the sources end, the time is over, or the browser leaves."""
    feed, running = Feed(), 1
    ends, count, reason = monotonic() + LONGEST, 0, ""
    fallback = found.containers
    feed.start(found.swarm, since=since)
    try:
        # The head of the answer goes out with the first bytes; the page waits for it.
        yield ": following\n\n"
        while True:
            if monotonic() >= ends:
                yield ended("half an hour is over; reload the page to go on")
                return
            try:
                item = await asyncio.wait_for(feed.queue.get(), HEARTBEAT)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if isinstance(item, Line):
                count += 1
                yield event(item)
                if count >= MOST_LINES:
                    yield ended(f"{MOST_LINES} lines are enough; reload the page to go on")
                    return
                continue
            running -= 1
            if isinstance(item, engine.EngineError):
                # The first failure, the swarm's, says more than what a node makes of it.
                reason = reason or str(item)
            if item is not None and fallback:
                # One node that is gone can make the swarm refuse the logs of all others.
                for source in fallback:
                    feed.start(source, since=since)
                running, fallback = len(fallback), ()
            elif not running:
                yield ended(reason if item else "no task writes any more")
                return
    finally:
        feed.close()


def event(line: Line) -> str:
    """Return a line as an event; its id is where a broken connection goes on."""
    at = line.at.isoformat() if line.at else None
    data = json.dumps({"stream": line.stream, "at": at, "task": line.task, "text": line.text})
    return f"id: {at}\ndata: {data}\n\n" if at else f"data: {data}\n\n"


def ended(reason: str) -> str:
    """Return the event after which the browser asks no more."""
    return f"event: ended\ndata: {' '.join(reason.split())}\n\n"
