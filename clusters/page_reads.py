"""Ask an Engine for a page, within the time that a page may take, whatever the Engine does."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from time import monotonic
from typing import TypeVar

from clusters import engine
from clusters.engine import Endpoint
from clusters.models import Cluster, Node

T = TypeVar("T")
Question = Callable[[engine.Engine], T]

# A page answers within 3 seconds; what it has to do itself takes the rest.
PAGE_TIMEOUT = 2.5
# A manager that is silent must leave time to ask another one.
PING_TIMEOUT = 0.8


def ask_manager(cluster: Cluster, question: Question[T], *, within: float = PAGE_TIMEOUT) -> T:
    """Return a manager's answer; raise Unreachable when there is none in time."""
    endpoints = [node.endpoint for node in Node.objects.reachable_managers(cluster)]
    if not endpoints:
        raise engine.Unreachable("The cluster has no manager yet.")
    return in_time(lambda: first_answer(endpoints, question, within=within), within=within)


def ask(endpoint: Endpoint, question: Question[T], *, within: float = PAGE_TIMEOUT) -> T:
    """Return an Engine's answer; raise Unreachable when there is none in time."""
    return in_time(lambda: first_answer([endpoint], question, within=within), within=within)


def first_answer(endpoints: list[Endpoint], question: Question[T], *, within: float) -> T:
    """Ask the first Engine that answers; no row is read here, for it runs in another thread."""
    end = monotonic() + within
    *others, last = endpoints
    for endpoint in others:
        try:
            with engine.connect(endpoint, timeout=PING_TIMEOUT) as connection:
                connection.ping()
        except engine.EngineError:
            continue
        last = endpoint
        break
    with engine.connect(last, timeout=max(end - monotonic(), 0.1)) as connection:
        return question(connection)


def in_time(work: Callable[[], T], *, within: float) -> T:
    """Return what the work returns, or stop waiting for it; it then ends by its own time-outs."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001  # the thread that waits raises it again
            future.set_exception(error)

    Thread(target=run, name="page-read", daemon=True).start()
    try:
        return future.result(timeout=within)
    except TimeoutError:
        raise engine.Unreachable(f"No answer within {within:g} seconds.") from None
