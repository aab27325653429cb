"""Retention at work on a real repository: forgotten by id, its data deleted, noted with reasons."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from backups import long_run, opening
from backups.actions import retention as actions
from backups.models import Repository, Snapshot, VolumeBackup
from backups.tasks import retention
from clusters.models import Cluster
from medstack import operations
from medstack.failures import Failure
from medstack.models import Event, Operation, User
from medstack.models.events import SYSTEM
from tests.pages import SignIn
from tests.processes import run, wait_for_child
from tests.repositories.conftest import Waiting
from tests.stores import EXPIRED, HOUR, LARGE, NOW, Store, backup_of, listed, make_store, put, size


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def repository(store: Store, cluster: Cluster, tmp_path: Path, settings: Any) -> Repository:
    settings.REPOSITORIES_ROOT, settings.STATE_DIR = tmp_path, tmp_path / "state"
    settings.BACKUPS = True
    return put(store, cluster, tmp_path)


@pytest.fixture
def gone(repository: Repository) -> VolumeBackup:
    """Return the backup that no rule keeps."""
    return backup_of(EXPIRED)


def purged(cluster: Cluster) -> Operation:
    return run(actions.purge_now(cluster, by=SYSTEM))


def test_what_no_rule_keeps_is_forgotten_deleted_and_noted_with_the_reason(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    operation = purged(cluster)
    assert operation.state == "done", operation.error
    for row in (gone, gone.snapshot):
        row.refresh_from_db()
        assert row.purged_at == NOW
        assert row.purge_reason.startswith("Expired: no rule keeps it (hourly until 2030-04-18")
    left = [backup_of(due) for due in (EXPIRED + HOUR, NOW - HOUR)]
    kept = {one.restic_id for one in left} | {one.snapshot.part_ids[0] for one in left}
    assert listed(repository) == kept
    assert size(repository) < LARGE
    repository.refresh_from_db()
    assert repository.size_bytes == size(repository)
    assert repository.pruned_at == NOW
    event = Event.objects.get(action="retention.purged")
    assert event.after == {"snapshots": 1, "volumes": 1}
    # A second run deletes nothing, and says so.
    before = listed(repository)
    assert "Purged 0 snapshots" in purged(cluster).log
    assert listed(repository) == before
    assert Event.objects.filter(action="retention.purged").count() == 1


def test_the_page_shows_beforehand_exactly_what_the_next_run_deletes(
    repository: Repository, cluster: Cluster, owner: User, client_for: SignIn
) -> None:
    shown = client_for(owner).get(reverse("retention", args=[cluster.slug])).context
    assert not Snapshot.objects.exclude(purged_at=None).exists()
    purged(cluster)
    rows = Snapshot.objects.exclude(purged_at=None)
    assert [(row, row.purge_reason) for row in rows] == [
        (one["snapshot"], one["why"]) for one in shown["leaving"]
    ]
    assert len(rows) == 1
    backups = VolumeBackup.objects.exclude(purged_at=None)
    assert [*backups] == [one["backup"] for one in shown["leaving_volumes"]]
    after = client_for(owner).get(reverse("retention", args=[cluster.slug])).context
    assert after["leaving"] == after["leaving_volumes"] == []
    assert [one["snapshot"] for one in after["kept"]] == [one["snapshot"] for one in shown["kept"]]


def test_a_former_repository_is_purged_as_well(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    Repository.objects.filter(pk=repository.pk).update(retired_at=NOW)
    purged(cluster)
    assert gone.restic_id not in listed(repository)
    assert size(repository) < LARGE


def test_a_worker_that_dies_between_forgetting_and_noting_leaves_nothing_wrong(
    repository: Repository,
    cluster: Cluster,
    gone: VolumeBackup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    operation = actions.purge_now(cluster, by=SYSTEM)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "note_purged", killed)
        with pytest.raises(KeyboardInterrupt):
            operations.advance(operation.pk)
    assert gone.restic_id not in listed(repository)
    gone.refresh_from_db()
    assert gone.purged_at is None
    assert run(operation).state == "done"
    gone.refresh_from_db()
    assert gone.purged_at == NOW


def test_a_hold_that_comes_while_a_run_is_queued_still_counts(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    operation = actions.purge_now(cluster, by=SYSTEM)
    actions.hold(gone.snapshot, "Case 12", by=SYSTEM)
    run(operation)
    assert gone.restic_id in listed(repository)
    actions.release(gone.snapshot, by=SYSTEM)
    purged(cluster)
    assert gone.restic_id not in listed(repository)


def test_a_run_waits_for_a_backup_that_goes_on(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    operation = actions.purge_now(cluster, by=SYSTEM)
    backup = Waiting(opening.for_console(repository))
    try:
        assert backup.under_way.wait(30)
        operations.advance(operation.pk)
        operation.refresh_from_db()
        assert (operation.state, "locked" in operation.detail) == ("running", True)
        gone.refresh_from_db()
        assert gone.purged_at is None
    finally:
        backup.finish()
    assert run(operation).state == "done"


def test_the_lock_of_a_killed_backup_does_not_stop_a_run(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    target = opening.for_console(repository)
    environment = os.environ | {"RESTIC_PASSWORD": target.password}
    backup = subprocess.Popen(
        ["restic", "-r", target.url, "backup", "--stdin", "--quiet"],
        stdin=subprocess.PIPE,
        env=environment,
    )
    locks = Path(target.url, "locks")
    # Until it has its name, a lock is a file in the making, which no restic takes for one.
    while not any(locks.glob("[0-9a-f]" * 64)):
        time.sleep(0.01)
    backup.kill()
    backup.wait()
    assert any(locks.iterdir())
    assert purged(cluster).state == "done"
    assert gone.restic_id not in listed(repository)
    assert not any(locks.iterdir())


def test_pruning_survives_the_death_of_its_process(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    operation = actions.purge_now(cluster, by=SYSTEM)
    path = long_run.path_of(f"prune-{operation.pk}-{repository.pk}")
    while not path.exists():
        Operation.objects.filter(pk=operation.pk).update(not_before=None)
        operations.advance(operation.pk)
    os.kill(json.loads(path.read_text())["pid"], signal.SIGKILL)
    assert run(operation).state == "done"
    assert size(repository) < LARGE


def test_a_process_that_dies_again_and_again_is_given_up(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    for _ in range(long_run.ATTEMPTS):
        assert isinstance(long_run.follow("x", "prune", repository), operations.Waiting)
        wait_for_child()
    with pytest.raises(Failure, match="died 3 times"):
        long_run.follow("x", "prune", repository)


def test_no_password_stands_in_a_list_of_processes_or_a_file(repository: Repository) -> None:
    long_run.follow("x", "prune", repository)
    path = long_run.path_of("x")
    assert repository.password not in path.read_text()
    pid = json.loads(path.read_text())["pid"]
    command = Path(f"/proc/{pid}/cmdline").read_text()
    wait_for_child()
    assert repository.password not in command + path.read_text()
    assert json.loads(path.read_text())["result"]["error"] == ""


@pytest.mark.parametrize("minute", [0, 2, 59])
def test_around_the_full_hour_the_repository_belongs_to_the_agents(
    repository: Repository, minute: int
) -> None:
    with time_machine.travel(NOW.replace(minute=minute), tick=False):
        answer = long_run.follow("x", "prune", repository)
    assert isinstance(answer, operations.Waiting)
    assert "makes room" in answer.detail
    assert not long_run.path_of("x").exists()


def test_nothing_locks_the_repository_while_a_snapshot_is_taken(
    repository: Repository, cluster: Cluster
) -> None:
    Snapshot.objects.create(cluster=cluster, due=NOW, state=Snapshot.State.TAKING)
    answer = long_run.follow("x", "prune", repository)
    assert isinstance(answer, operations.Waiting)
    assert answer.detail == "A snapshot is being taken."


def test_the_tick_queues_a_run_once_an_hour_and_only_for_something(
    repository: Repository, cluster: Cluster, gone: VolumeBackup
) -> None:
    with time_machine.travel(NOW.replace(minute=5), tick=False):
        retention.enqueue_purges()
    assert not Operation.objects.exists()
    retention.enqueue_purges()
    run(Operation.objects.get())
    with time_machine.travel(NOW + 2 * HOUR, tick=False):
        retention.enqueue_purges()
    assert Operation.objects.count() == 1


def test_data_that_a_run_could_not_prune_is_pruned_by_the_next(
    repository: Repository, cluster: Cluster, gone: VolumeBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        assert purged(cluster).state == "failed"
    assert size(repository) > LARGE
    with time_machine.travel(NOW + HOUR, tick=False):
        retention.enqueue_purges()
        run(Operation.objects.get(state="queued"))
    assert size(repository) < LARGE
