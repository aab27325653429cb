"""Read a service's logs: from the swarm or, where the swarm cannot say, from each node itself."""

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from threading import Event, Lock, Thread
from time import monotonic

from clusters import engine
from clusters.engine import Endpoint, LogLine
from clusters.models import Node, Service, Task
from clusters.page_reads import PAGE_TIMEOUT, in_time

# The swarm's own logs may hang when a node is gone; the nodes must still have time to answer.
SWARM_SHARE = 1.5
AT_ONCE = 16
LONGEST_LINE = 8000
# What was written while the page was on its way to the browser.
MOST_MISSED = 2000
COLOURS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")


@dataclass(frozen=True)
class Line:
    """One line as the page shows it."""

    stream: str
    at: datetime | None
    task: str
    text: str


@dataclass(frozen=True)
class Source:
    """One stream of lines: a service's or a task's from managers, or a container's from a node."""

    endpoints: tuple[Endpoint, ...]
    kind: str
    engine_id: str
    names: dict[str, str] = field(default_factory=dict)
    name: str = ""

    def open(
        self, connection: engine.Engine, *, tail: int, since: datetime | None, follow: bool
    ) -> engine.LogStream:
        """Begin to read."""
        read = getattr(connection, f"{self.kind}_logs")
        stream: engine.LogStream = read(self.engine_id, tail=tail, since=since, follow=follow)
        return stream

    def line(self, found: LogLine) -> Line:
        """Return a line with the name of the task that wrote it."""
        text = COLOURS.sub("", found.text)[:LONGEST_LINE]
        name = self.name or self.names.get(found.task_id, found.task_id[:12])
        return Line(found.stream, found.at, name, text)


@dataclass(frozen=True)
class Sources:
    """Where to read, taken from the rows at once: threads that read must not ask the database."""

    swarm: Source
    containers: tuple[Source, ...]


def sources(service: Service, task: Task | None = None) -> Sources:
    """Return where the lines of a service, or of one of its tasks, can be read."""
    managers = Node.objects.reachable_managers(service.cluster)
    tasks = list(service.tasks.select_related("node"))
    for one in tasks:
        # The name of a task begins with its service's.
        one.service = service
    chosen = [one for one in tasks if task is None or one.pk == task.pk]
    swarm = Source(
        tuple(node.endpoint for node in managers),
        "task" if task else "service",
        task.engine_id if task else service.engine_id,
        names={one.engine_id: str(one) for one in tasks},
        name=str(task) if task else "",
    )
    containers = tuple(
        Source((one.node.endpoint,), "container", one.container_id, name=str(one))
        for one in chosen
        if one.container_id and one.node and one.node.endpoint_url and (task or one.is_live)
    )
    return Sources(swarm, containers)


def last_lines(found: Sources, *, tail: int) -> list[Line]:
    """Return the last lines, within the time of a page; raise EngineError when there are none."""
    try:
        lines = in_time(
            lambda: read(found.swarm, tail=tail, within=SWARM_SHARE), within=SWARM_SHARE
        )
    except engine.EngineError as error:
        if not found.containers:
            raise
        rest = PAGE_TIMEOUT - SWARM_SHARE
        try:
            lines = in_time(lambda: read_containers(found, tail=tail, within=rest), within=rest)
        except engine.EngineError:
            raise error from None
    earliest = datetime.min.replace(tzinfo=UTC)
    return sorted(lines, key=lambda line: line.at or earliest)[-tail:]


def read(source: Source, *, tail: int, within: float) -> list[Line]:
    """Read one source to its present end."""
    with open_first(source, timeout=within) as connection:
        stream = source.open(connection, tail=tail, since=None, follow=False)
        return [source.line(line) for line in stream if line is not None]


def read_containers(found: Sources, *, tail: int, within: float) -> list[Line]:
    """Read the containers on their nodes, all at once; a node that is down leaves out its own."""
    errors: list[engine.EngineError] = []

    def attempt(source: Source) -> list[Line]:
        try:
            return read(source, tail=tail, within=within)
        except engine.EngineError as error:
            errors.append(error)
            return []

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lines = list(chain.from_iterable(pool.map(attempt, found.containers)))
    if errors and not lines:
        raise errors[0]
    return lines


def open_first(source: Source, *, timeout: float) -> engine.Engine:
    """Connect to the first of the source's Engines that answers."""
    end, failure = monotonic() + timeout, engine.Unreachable("The cluster has no manager yet.")
    for number, endpoint in enumerate(source.endpoints, start=1):
        left = end - monotonic()
        if left <= 0:
            break
        is_last = number == len(source.endpoints)
        try:
            return engine.connect(endpoint, timeout=left if is_last else left / 2)
        except engine.Unreachable as error:
            failure = error
    raise failure


class Feed:
    """Bring lines from threads that read into one queue of the event loop.

    The queue is short and nothing is dropped: when the browser is slow, the threads wait, and
    with them the Engines, which keep the lines in their files anyway.
    """

    def __init__(self, *, size: int = 500) -> None:
        self.queue: asyncio.Queue[Line | engine.EngineError | None] = asyncio.Queue(size)
        self._loop = asyncio.get_running_loop()
        self._closed = Event()
        self._lock = Lock()
        self._open: set[engine.Engine] = set()

    def start(self, source: Source, *, since: datetime | None) -> None:
        """Follow one source; its end is None in the queue, its failure an error."""
        Thread(target=self._run, args=(source, since), name="log-follower", daemon=True).start()

    def close(self) -> None:
        """Stop all threads and close their Engines; safe to call again, and it does not wait."""
        self._closed.set()
        while not self.queue.empty():
            # A thread that waits for room in the queue must wake to see that it is over.
            self.queue.get_nowait()
        Thread(target=self._close_engines, name="log-closer", daemon=True).start()

    def _close_engines(self) -> None:
        with self._lock:
            held, self._open = self._open, set()
        for connection in held:
            connection.close()

    def _run(self, source: Source, since: datetime | None) -> None:
        end: engine.EngineError | None = None
        try:
            self._follow(source, since)
        except engine.EngineError as error:
            end = error
        if not self._closed.is_set():
            self._put(end)

    def _follow(self, source: Source, since: datetime | None) -> None:
        with open_first(source, timeout=10) as connection:
            with self._lock:
                self._open.add(connection)
            # Without a beginning only what is written from now on.
            tail = MOST_MISSED if since else 0
            with closing(source.open(connection, tail=tail, since=since, follow=True)) as stream:
                for line in fresh(stream, since, self._closed.is_set):
                    self._put(source.line(line))
            with self._lock:
                self._open.discard(connection)

    def _put(self, item: Line | engine.EngineError | None) -> None:
        asyncio.run_coroutine_threadsafe(self.queue.put(item), self._loop).result()


def fresh(
    stream: Iterator[LogLine | None], since: datetime | None, is_over: Callable[[], bool]
) -> Iterator[LogLine]:
    """Yield the lines after a moment, until it is over; the Engine includes the moment itself."""
    for line in stream:
        if is_over():
            return
        if line is not None and not (since and line.at and line.at <= since):
            yield line
