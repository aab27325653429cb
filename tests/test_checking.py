"""Checks on a real repository: what is damaged is named, and nothing else is."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from backups import opening, restic
from backups.actions import checks as actions
from backups.models import Repository, RepositoryCheck, Snapshot, VolumeBackup
from backups.restic.process import never
from backups.restic.tracing import text
from backups.tasks import checks
from clusters.models import Cluster
from medstack.models import Event, Operation, User
from medstack.models.events import SYSTEM
from tests.pages import SignIn
from tests.processes import run
from tests.stores import DAY, DUES, EXPIRED, HOUR, NOW, Store, backup_of, make_store, put, size

pytestmark = pytest.mark.on_postgresql

FINAL, NEWEST = DUES[1:]


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


def checked(row: Repository) -> RepositoryCheck:
    row.refresh_from_db()
    operation = run(actions.check_now(row, by=SYSTEM))
    return RepositoryCheck.objects.get(operation=operation)


def largest_pack(row: Repository) -> Path:
    """Return the pack that holds the content of the expired backup."""
    packs = (opening.folder(row) / "data").glob("*/*")
    return max(packs, key=lambda pack: pack.stat().st_size)


def pack_with(row: Repository, blob: str) -> Path:
    """Return the pack that the index names for a blob."""
    repository = opening.for_console(row)
    for index in text(repository, ["list", "index"], never).split():
        for pack in json.loads(text(repository, ["cat", "index", index], never))["packs"]:
            if blob in {part["id"] for part in pack["blobs"]}:
                return opening.folder(row) / "data" / str(pack["id"])[:2] / str(pack["id"])
    raise AssertionError(blob)


def broken(pack: Path, at: int) -> None:
    """Change one byte, as a failing disk does."""
    content = bytearray(pack.read_bytes())
    content[at] ^= 255
    pack.chmod(0o600)
    pack.write_bytes(content)


def test_what_was_read_back_is_checked_unless_it_came_later(
    repository: Repository, cluster: Cluster
) -> None:
    VolumeBackup.objects.filter(due=NEWEST).update(finished_at=NOW + HOUR)
    check = checked(repository)
    assert (check.state, check.part, check.parts) == ("passed", 1, 1)
    found = dict(VolumeBackup.objects.values_list("due", "checked_at"))
    assert found == {EXPIRED: NOW, FINAL: NOW, NEWEST: None}
    assert backup_of(EXPIRED).verification == "checked"
    repository.refresh_from_db()
    assert (repository.size_bytes, repository.checked_parts) == (size(repository), 0)


@pytest.mark.parametrize("at", [100, -20], ids=["in a file's content", "in the pack's header"])
def test_a_corrupted_pack_names_the_backups_that_need_it_and_no_others(
    repository: Repository, at: int, owner: User, client_for: SignIn
) -> None:
    # A later snapshot of the same volume shares its content.
    twin = VolumeBackup.objects.get(due=FINAL)
    same = opening.for_console(repository)
    shared = restic.snapshots(same, tags=["volume", "0"])[0]
    restored = opening.folder(repository).parent / "again"
    restored.mkdir()
    (restored / "file").write_bytes(b"".join(restic.dump(same, shared.id, shared.paths[0])))
    restic.backup(same, [restored], host="one", tags=["twin"])
    VolumeBackup.objects.filter(pk=twin.pk).update(
        restic_id=restic.snapshots(same, tags=["twin"])[0].id
    )
    broken(largest_pack(repository), at)
    check = checked(repository)
    assert check.state == "failed"
    assert sorted(check.damaged) == sorted(str(backup_of(due)) for due in (EXPIRED, FINAL))
    assert (backup_of(NEWEST).check_error, backup_of(NEWEST).verification) == ("", "checked")
    assert backup_of(EXPIRED).verification == "failed"
    operation = check.operation
    assert operation
    assert "data of one, 2030-04-17 09:00 UTC" in operation.error
    event = Event.objects.get(action="repository.damaged")
    assert event.after
    assert event.after["count"] == 2
    client = client_for(owner)
    assert "cannot be read back" in client.get(backup_of(EXPIRED).get_absolute_url()).text
    assert str(backup_of(FINAL)) in client.get("/clusters/production/backups/repository/").text
    # The next hour is not kept waiting, nor is the next check.
    assert not Operation.objects.filter(state__in=Operation.ACTIVE).exists()


def test_what_was_mended_is_good_again_after_a_whole_rotation(
    repository: Repository, store: Store
) -> None:
    pack = largest_pack(repository)
    broken(pack, 100)
    checked(repository)
    shutil.copyfile(store.folder / pack.relative_to(opening.folder(repository)), pack)
    assert checked(repository).state == "passed"
    assert backup_of(EXPIRED).check_error == ""
    assert backup_of(EXPIRED).verification == "checked"


def test_folders_that_cannot_be_read_are_damage_too(repository: Repository) -> None:
    target = opening.for_console(repository)
    broken(pack_with(repository, restic.snapshots(target, tags=["volume", "0"])[0].tree), 10)
    check = checked(repository)
    assert check.damaged == [str(backup_of(EXPIRED))]
    assert check.error.startswith("The repository is damaged. This concerns data of one")


def test_a_backup_that_somebody_deleted_behind_our_back_is_named(repository: Repository) -> None:
    lost = backup_of(NEWEST)
    restic.forget(opening.for_console(repository), [lost.restic_id, *lost.snapshot.part_ids])
    check = checked(repository)
    assert check.damaged == [str(lost), f"Environment of {lost.snapshot}"]
    assert "does not list it" in backup_of(NEWEST).check_error
    assert backup_of(FINAL).verification == "checked"


def test_a_check_that_could_not_be_done_says_nothing_about_the_backups(
    repository: Repository,
) -> None:
    Repository.objects.update(password="another-password")
    check = checked(repository)
    assert check.state == "failed"
    assert "password" in check.error
    assert not VolumeBackup.objects.exclude(check_error="").exists()
    assert not Event.objects.filter(action="repository.damaged").exists()
    repository.refresh_from_db()
    assert actions.next_part(repository) == (1, 1)


def test_a_large_repository_is_read_in_parts_within_thirty_days(repository: Repository) -> None:
    for size_bytes, parts in ((0, 1), (10**9, 1), (10**10, 2), (10**12, 200), (10**15, 256)):
        assert actions.parts_of(size_bytes) == parts
        assert actions.interval(parts) * parts <= 30 * DAY
        assert actions.interval(parts) <= DAY
    assert actions.interval(256) > timedelta(hours=2)


def test_parts_rotate_and_only_the_last_one_makes_backups_checked(repository: Repository) -> None:
    Repository.objects.update(size_bytes=10**10)
    first = checked(repository)
    assert (first.part, first.parts) == (1, 2)
    assert not VolumeBackup.objects.exclude(checked_at=None).exists()
    # Its size is measured with each check; the rotation goes on as it was begun.
    second = checked(repository)
    assert (second.part, second.parts) == (2, 2)
    assert VolumeBackup.objects.exclude(checked_at=None).count() == 3


def test_the_tick_checks_once_a_day_what_holds_something(
    repository: Repository, cluster: Cluster
) -> None:
    checks.enqueue_checks()
    run(Operation.objects.get())
    with time_machine.travel(NOW + DAY - HOUR, tick=False):
        checks.enqueue_checks()
    assert Operation.objects.count() == 1
    with time_machine.travel(NOW + DAY, tick=False):
        checks.enqueue_checks()
    run(Operation.objects.exclude(state="done").get())
    Snapshot.objects.update(purged_at=NOW, purge_reason="Gone.")
    with time_machine.travel(NOW + 5 * DAY, tick=False):
        checks.enqueue_checks()
    assert Operation.objects.count() == 2
