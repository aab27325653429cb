"""The agent's hours: each full hour of UTC once, whatever the clock on the wall does."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backups import restic
from backups.agent import hourly, patience
from backups.agent.policy import Policy, from_json
from backups.agent.tags import read, tags
from backups.manifest import parse
from backups.parts import Report
from clusters import engine
from tests.adding_storage import adding_storage
from tests.repositories.conftest import Waiting, children
from tests.stores import PASSWORD, empty_store


class Node:
    """An Engine of a worker; what it answers is all that the agent asks where nothing runs."""

    def __init__(self) -> None:
        self.broken = False
        self.names: list[str] = []
        self.refused = False

    @contextmanager
    def open(self) -> Iterator[Any]:
        if self.broken:
            raise engine.Unreachable("The Engine does not answer.")
        yield self

    def info(self) -> dict[str, Any]:
        return {"Name": "host", "Swarm": {"NodeID": "n1", "ControlAvailable": False}}

    def volumes(self) -> list[dict[str, Any]]:
        return [{"Name": name, "Driver": "local", "CreatedAt": "t"} for name in self.names]

    def services(self, **_options: Any) -> list[dict[str, Any]]:
        raise engine.Refused("This node is not a swarm manager.")

    def containers(self, **_options: Any) -> list[dict[str, Any]]:
        return []

    def container(self, _name: str) -> dict[str, Any]:
        raise engine.NotFound("No such container.")

    def container_create(self, _name: str, _body: dict[str, Any]) -> str:
        raise engine.Refused("The image is not there.")


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "store"
    empty_store(folder)
    return folder


@pytest.fixture
def repository(empty: Path, tmp_path: Path) -> restic.Repository:
    store = tmp_path / "store"
    shutil.copytree(empty, store)
    cache = {"RESTIC_CACHE_DIR": str(tmp_path / "cache")}
    return restic.Repository(str(store), PASSWORD, environment=cache)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first is bound when the function is made; what waits for minutes is not what is tested.
    monkeypatch.setattr(patience.patiently, "__kwdefaults__", {"pauses": (), "sleep": None})


def agent(node: Node, repository: restic.Repository, clock: Clock, **policy: Any) -> hourly.Agent:
    opener: Any = node.open

    def opened() -> AbstractContextManager[Any]:
        found: AbstractContextManager[Any] = opener()
        return found

    known = from_json({"nodes": {"n1": "node-1"}, **policy})
    return hourly.Agent(
        "c1", repository, known, open_engine=opened, clock=clock, tell=lambda _line: None
    )


def hours(repository: restic.Repository) -> list[datetime]:
    """Return the hours that have a report, in order, as often as they have one."""
    found = restic.snapshots(repository, tags=["medstack", "kind:report"])
    assert all(one.host == "node-1" for one in found)
    seen = [read(one.tags) for one in found]
    return sorted(one.due for one in seen if one)


@pytest.mark.parametrize(
    "begin",
    [
        datetime(2026, 1, 31, 22, 58, tzinfo=UTC),
        # The nights in which the clocks of Berlin skip an hour, and have one twice.
        datetime(2026, 3, 29, 1, 58, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2026, 10, 25, 1, 58, tzinfo=ZoneInfo("Europe/Berlin")),
    ],
    ids=["month", "clocks forward", "clocks back"],
)
def test_three_moved_hours_are_taken_once_each(
    repository: restic.Repository, begin: datetime
) -> None:
    first = begin.astimezone(UTC)
    clock = Clock(first)
    running = agent(Node(), repository, clock)
    for minutes in (0, 1, 2, 30, 61, 63, 90, 122, 124):
        clock.now = (first + timedelta(minutes=minutes)).astimezone(begin.tzinfo)
        running.look()

    start = first.replace(minute=0)
    assert hours(repository) == [start + timedelta(hours=n) for n in range(4)]


def test_an_agent_that_starts_again_takes_no_hour_twice(repository: restic.Repository) -> None:
    clock = Clock(datetime(2026, 5, 1, 12, 10, tzinfo=UTC))
    assert agent(Node(), repository, clock).look()
    assert not agent(Node(), repository, clock).look()
    assert hours(repository) == [datetime(2026, 5, 1, 12, tzinfo=UTC)]


def test_a_node_that_does_not_answer_is_asked_again_within_the_hour(
    repository: restic.Repository,
) -> None:
    node, clock = Node(), Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    running = agent(node, repository, clock)
    node.broken = True
    assert not running.look()
    node.broken = False
    assert not running.look()
    clock.now += timedelta(minutes=3)
    assert running.look()
    assert hours(repository) == [datetime(2026, 5, 1, 12, tzinfo=UTC)]


def test_an_agent_that_begins_removes_the_lock_of_the_one_that_was_killed(
    repository: restic.Repository,
) -> None:
    killed = Waiting(repository)
    assert killed.under_way.wait(30)
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    killed.finish()
    assert [*Path(repository.url, "locks").iterdir()]
    clock = Clock(datetime(2026, 5, 1, 12, 10, tzinfo=UTC))
    agent(Node(), repository, clock).begin()
    assert not [*Path(repository.url, "locks").iterdir()]
    # A repository that is away is no reason to end: every hour tries again.
    shutil.rmtree(repository.url)
    agent(Node(), repository, clock).begin()


def test_a_lost_hour_does_not_block_the_next(repository: restic.Repository) -> None:
    node, clock = Node(), Clock(datetime(2026, 5, 1, 12, 59, 40, tzinfo=UTC))
    running = agent(node, repository, clock)
    node.broken = True
    assert not running.look()
    node.broken = False
    # Sooner than the pause after a failure, but in another hour.
    clock.now += timedelta(seconds=20)
    assert running.look()
    assert hours(repository) == [datetime(2026, 5, 1, 13, tzinfo=UTC)]


def test_a_wrong_password_is_said_and_the_hour_taken_once_it_is_right(
    repository: restic.Repository,
) -> None:
    clock = Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    running = agent(Node(), repository, clock)
    said: list[str] = []
    running.tell = said.append
    running.repository = restic.Repository(
        repository.url, "another-password", environment=repository.environment
    )
    assert not running.look()
    assert "password of the repository is wrong" in said[0] and "another-password" not in said[0]
    running.repository = repository
    clock.now += timedelta(minutes=3)
    assert running.look()


def test_a_full_storage_is_said_and_the_next_hour_taken_once_there_is_room(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    with adding_storage() as (url, storage):
        cache = {"RESTIC_CACHE_DIR": str(tmp_path / "cache")}
        stored = restic.Repository(url, PASSWORD, environment=cache)
        restic.initialise(stored)
        room, storage.room = storage.room, 0
        running = agent(Node(), stored, clock)
        said: list[str] = []
        running.tell = said.append
        assert not running.look()
        assert "No space is left." in said[0]
        storage.room = room
        clock.now += timedelta(hours=1)
        assert running.look()
        assert hours(stored) == [datetime(2026, 5, 1, 13, tzinfo=UTC)]


def test_a_storage_out_of_reach_is_said_and_the_hour_taken_once_it_is_back(
    repository: restic.Repository,
) -> None:
    clock = Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    running = agent(Node(), replace(repository, url="rest:http://127.0.0.1:9/"), clock)
    said: list[str] = []
    running.tell = said.append
    assert not running.look()
    assert "cannot be reached" in said[0]
    running.repository = repository
    clock.now += timedelta(minutes=3)
    assert running.look()
    assert hours(repository) == [datetime(2026, 5, 1, 12, tzinfo=UTC)]


def test_the_lock_of_a_killed_capture_is_removed_with_the_next_hour(
    repository: restic.Repository,
) -> None:
    waiting = Waiting(repository)
    assert waiting.under_way.wait(30)
    (child,) = children()
    os.kill(child, signal.SIGKILL)
    waiting.finish()
    locks = Path(repository.url, "locks")
    assert any(locks.iterdir())
    assert agent(Node(), repository, Clock(datetime(2026, 5, 1, 12, tzinfo=UTC))).look()
    assert not any(locks.iterdir())


def test_what_failed_is_reported_and_tried_again_within_the_hour(
    repository: restic.Repository,
) -> None:
    node, clock = Node(), Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    node.names = ["data"]
    running = agent(node, repository, clock)
    assert running.look()
    due = datetime(2026, 5, 1, 12, tzinfo=UTC)
    (found,) = restic.snapshots(repository, tags=tags("report", due))
    report = parse(Report, b"".join(restic.dump(repository, found.id, "/report.json")))
    assert [(part.state, part.reason) for part in report.volumes] == [
        ("failed", "The image is not there.")
    ]
    assert report.seen == ("data",)

    assert not running.look()
    clock.now += timedelta(minutes=3)
    assert running.look()
    node.names = []
    clock.now += timedelta(minutes=57)
    assert running.look()
    assert hours(repository) == [due, due, due + timedelta(hours=1)]


def test_without_a_subscription_no_hour_is_taken(repository: restic.Repository) -> None:
    clock = Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    assert not agent(Node(), repository, clock, active=False).look()
    assert hours(repository) == []


def test_anonymous_volumes_and_the_cache_are_no_data_and_an_exclusion_says_why(
    repository: restic.Repository,
) -> None:
    node, clock = Node(), Clock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    node.names = ["a" * 64, "medstack-agent-cache", "logs"]
    rules = {"node-1/logs": {"excluded": "Only logs."}}
    assert agent(node, repository, clock, volumes=rules).look()
    (found,) = restic.snapshots(repository, tags=["kind:report"])
    report = parse(Report, b"".join(restic.dump(repository, found.id, "/report.json")))
    assert report.seen == ("logs",)
    assert [(p.volume, p.state, p.reason) for p in report.volumes] == [
        ("logs", "excluded", "Only logs.")
    ]


def test_a_policy_says_how_a_volume_is_handled() -> None:
    known = from_json({"volumes": {"node-1/db": {"before": "dump", "freeze": True}}})
    assert not known.handling("node-1", "db").is_plain
    assert known.handling("node-2", "db").is_plain
    assert Policy().node_name("n9", "host") == "host"
