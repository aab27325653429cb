"""Drills by the calendar, and what one that could not be done says about the backup: nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from backups import jobs
from backups.models import Drill, Outcome, Repository, Snapshot, VolumeBackup
from backups.tasks.drills import enqueue_drills
from clusters.models import Cluster, Node
from medstack import operations
from medstack.failures import Failure
from medstack.models import Company, Event, Operation, User
from tests.catalogues import HOUR, filled, protected
from tests.fake_engine import FakeEngine
from tests.pages import SignIn
from tests.unwell import attach, fake_engines

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 11, 12, 5, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 31, 22, tzinfo=UTC)
COUNTS = {"files": 120, "bytes": 2_000_000, "seconds": 3}


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def switched_on(settings: LazySettings) -> None:
    settings.BACKUPS = True


@pytest.fixture
def repository(cluster: Cluster, node: Node) -> Repository:
    """Return the repository of a cluster whose node was seen just now."""
    return protected(cluster, OCTOBER - DAY)


def hour(moment: datetime) -> datetime:
    return moment.replace(minute=0)


def backed_up(repository: Repository, node: Node, at: datetime, *volumes: str) -> None:
    filled(repository.cluster, node, repository, first=hour(at), hours=1, volumes=volumes)


def end_all(outcome: str, **more: Any) -> None:
    """Let the drills that run have ended."""
    Drill.objects.filter(outcome=Outcome.RUNNING).update(outcome=outcome, **more)
    Operation.objects.update(state="done", ended_at=NOON)


def begun() -> list[tuple[str, datetime]]:
    """Return of which volume's backup of which time a drill was begun, in that order."""
    rows = Drill.objects.order_by("pk").select_related("volume_backup")
    return [(row.volume_backup.volume_name, row.volume_backup.due) for row in rows]


def at(clock: time_machine.Traveller, moment: datetime) -> None:
    """Let it be another time at which the node is still seen."""
    clock.move_to(moment)
    Node.objects.update(seen_at=moment)
    enqueue_drills()


def test_each_volumes_newest_backup_is_drilled_once_a_week(
    repository: Repository, node: Node, clock: time_machine.Traveller
) -> None:
    backed_up(repository, node, NOON - HOUR, "data")
    backed_up(repository, node, NOON, "data")
    for moment in (NOON, NOON + timedelta(minutes=1)):
        at(clock, moment)
    assert begun() == [("data", hour(NOON))]
    row = Drill.objects.get()
    assert (row.trigger, row.requested_by) == ("scheduled", None)
    end_all("passed")
    for days in (1, 6, 7, 8):
        backed_up(repository, node, NOON + days * DAY, "data")
        at(clock, NOON + days * DAY)
    # A week later, not a moment before, and not twice.
    assert begun()[1:] == [("data", hour(NOON + 7 * DAY))]


def test_a_few_run_at_once_and_the_others_follow(repository: Repository, node: Node) -> None:
    backed_up(repository, node, NOON, "a", "b", "c")
    enqueue_drills()
    enqueue_drills()
    assert len(begun()) == 2
    end_all("passed")
    enqueue_drills()
    assert sorted(name for name, _ in begun()) == ["a", "b", "c"]


def test_the_final_backup_of_each_month_is_drilled_once(
    repository: Repository, node: Node, clock: time_machine.Traveller
) -> None:
    for hours in range(3):
        backed_up(repository, node, OCTOBER - HOUR + hours * HOUR, "data")
    at(clock, NOON - 10 * DAY + 12 * HOUR)
    assert begun() == [("data", OCTOBER + HOUR)]
    end_all("passed")
    VolumeBackup.objects.filter(due=OCTOBER + HOUR).update(drilled="passed")
    at(clock, NOON + 3 * DAY)
    assert len(begun()) == 1


def test_what_was_purged_is_not_drilled(repository: Repository, node: Node) -> None:
    backed_up(repository, node, OCTOBER, "data")
    VolumeBackup.objects.update(purged_at=NOON, purge_reason="No rule keeps it.")
    enqueue_drills()
    assert begun() == []


def test_a_cluster_of_which_no_node_answers_does_not_keep_the_others_waiting(
    repository: Repository, node: Node, company: Company
) -> None:
    for number in range(2):
        slug = f"silent-{number}"
        silent = Cluster.objects.create(company=company, name=slug, slug=slug, swarm_id=slug)
        old = Node.objects.create(cluster=silent, name="n", seen_at=NOON - DAY, swarm_node_id=slug)
        backed_up(protected(silent, OCTOBER), old, NOON, "lost")
    backed_up(repository, node, NOON, "data")
    enqueue_drills()
    assert begun() == [("data", hour(NOON))]


def test_one_that_could_not_be_done_is_tried_again_the_next_day(
    repository: Repository, node: Node, clock: time_machine.Traveller
) -> None:
    backed_up(repository, node, OCTOBER, "data")
    backed_up(repository, node, NOON, "data")
    at(clock, NOON)
    assert sorted(begun()) == [("data", OCTOBER), ("data", hour(NOON))]
    end_all("failed", error="Gave up waiting.")
    backed_up(repository, node, NOON + 23 * HOUR, "data")
    at(clock, NOON + 23 * HOUR)
    assert len(begun()) == 2
    backed_up(repository, node, NOON + DAY, "data")
    at(clock, NOON + DAY)
    assert sorted(begun()[2:]) == [("data", OCTOBER), ("data", hour(NOON + DAY))]


# What a drill says


@pytest.fixture
def fake(tmp_path: Path, node: Node) -> Iterator[FakeEngine]:
    with fake_engines(tmp_path) as start:
        found = start()
        attach(node, found)
        yield found


@pytest.fixture
def backup(repository: Repository, node: Node, fake: FakeEngine) -> VolumeBackup:
    Repository.objects.update(node_access='{"password": "y"}', initialised_at=NOON)
    backed_up(repository, node, NOON, "data")
    return VolumeBackup.objects.get()


def drilled(
    browser: Client, backup: VolumeBackup, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> Drill:
    """Press the button, and let the container on the node answer."""

    def follow(*_args: Any, **_more: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(jobs, "follow", follow)
    url = reverse("drill", args=[backup.cluster.slug, backup.pk])
    assert browser.post(url).status_code == 302
    row = Drill.objects.get()
    assert row.operation_id
    operations.advance(row.operation_id)
    row.refresh_from_db()
    backup.refresh_from_db()
    return row


def test_it_records_how_long_it_took_and_how_old_the_backup_was(
    client_for: SignIn, operator: User, backup: VolumeBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = client_for(operator)
    row = drilled(browser, backup, COUNTS | {"differences": []}, monkeypatch)
    assert (row.outcome, row.duration, row.age) == (
        "passed",
        timedelta(seconds=3),
        timedelta(minutes=5),
    )
    assert backup.verification == "drilled"
    page = browser.get(backup.get_absolute_url()).text
    assert "0:00:03" in page and "0:05:00" in page


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (COUNTS | {"differences": ["/volumes/data/a is missing."]}, "/volumes/data/a is missing."),
        (COUNTS | {"differences": [], "files": 119}, "119 files with 2000000 bytes came back"),
        (jobs.DamagedBackup("node-1: The repository is damaged."), "The repository is damaged."),
    ],
)
def test_whatever_differs_or_is_damaged_fails_and_names_the_backup(
    client_for: SignIn,
    operator: User,
    backup: VolumeBackup,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    words: str,
) -> None:
    browser = client_for(operator)
    row = drilled(browser, backup, answer, monkeypatch)
    assert row.outcome == "failed" and words in row.differences[0]
    assert backup.verification == "failed"
    event = Event.objects.get(action="drill.failed")
    assert event.after and event.after["backup"] == str(backup) and words in event.after["error"]
    assert words in browser.get(backup.get_absolute_url()).text


def test_one_that_could_not_be_done_says_nothing_about_the_backup(
    client_for: SignIn, operator: User, backup: VolumeBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_room = Failure("node-1: There is not enough room on this node.")
    row = drilled(client_for(operator), backup, no_room, monkeypatch)
    assert (row.outcome, row.differences) == ("failed", [])
    assert "not enough room" in row.error
    assert backup.verification == "plausible"
    assert Snapshot.objects.get().state == "complete"
