"""Subscriptions: nothing is lost within the grace, and everything is gone after it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from backups import opening, policy, restic
from backups.actions.retention import hold, release
from backups.actions.snapshots import snapshot_now
from backups.models import Repository, Restore, Snapshot, VolumeBackup
from backups.tasks import subscriptions
from medstack.actions.subscriptions import change_subscription, extend_grace
from medstack.failures import Failure
from medstack.models import Company, Event, User
from medstack.models.events import SYSTEM
from medstack.queue import waiting
from tests.belongings import Belongings, belongings
from tests.conftest import person
from tests.pages import SignIn
from tests.processes import wait_for_child

State = Company.Subscription


@pytest.fixture
def ours(company: Company, owner: User, settings: Any, tmp_path: Path) -> Belongings:
    settings.REPOSITORIES_ROOT = tmp_path
    found = belongings(company, "ours", owner)
    Repository.objects.update(initialised_at=timezone.now())
    opening.folder(Repository.objects.get()).mkdir()
    return found


def over(company: Company) -> None:
    """Let the grace have ended a moment ago."""
    company.refresh_from_db()
    ago = timedelta(days=company.grace_days, seconds=1)
    Company.objects.filter(pk=company.pk).update(cancelled_at=timezone.now() - ago)


def test_past_due_changes_nothing(ours: Belongings) -> None:
    change_subscription(ours.company, State.PAST_DUE, by=SYSTEM)
    ours.cluster.refresh_from_db()
    assert policy.for_agents(ours.cluster, "i")["active"]
    snapshot_now(ours.cluster, by=SYSTEM)


def test_cancelled_takes_no_new_snapshots_and_a_return_loses_nothing(ours: Belongings) -> None:
    change_subscription(ours.company, State.CANCELLED, by=SYSTEM)
    ours.cluster.company.refresh_from_db()
    assert not policy.for_agents(ours.cluster, "i")["active"]
    with pytest.raises(Failure, match="cancelled"):
        snapshot_now(ours.cluster, by=SYSTEM)
    subscriptions.purge(ours.company.pk)
    assert VolumeBackup.objects.restorable().count() == 1
    change_subscription(ours.company, State.ACTIVE, by=SYSTEM)
    over(ours.company)
    subscriptions.purge(ours.company.pk)
    assert VolumeBackup.objects.restorable().count() == 1


def test_after_the_grace_everything_is_deleted_and_certified(
    ours: Belongings, client_for: SignIn, auditor: User
) -> None:
    row = Repository.objects.get()
    Restore.objects.update(outcome="passed")
    change_subscription(ours.company, State.CANCELLED, by=SYSTEM)
    over(ours.company)
    subscriptions.purge(ours.company.pk)
    subscriptions.purge(ours.company.pk)
    ours.company.refresh_from_db()
    assert ours.company.subscription == State.PURGED
    assert not opening.folder(row).exists()
    row.refresh_from_db()
    assert (row.password, row.node_access) == ("", "")
    # The rows stay as evidence, with the reason.
    assert "subscription" in Snapshot.objects.get().purge_reason
    assert Event.objects.filter(action="subscription.purged").count() == 1
    answer = client_for(auditor).get(reverse("certificate", args=[ours.company.pk]))
    certificate = json.loads(answer.content)["certificate"]
    assert (certificate["snapshots"], certificate["volume_backups"]) == (1, 1)
    with pytest.raises(Failure, match="purged"):
        change_subscription(ours.company, State.ACTIVE, by=SYSTEM)


def test_a_legal_hold_outlasts_the_grace(ours: Belongings, owner: User, client_for: SignIn) -> None:
    Restore.objects.update(outcome="passed")
    hold(ours.backup.snapshot, "Case 12", by=SYSTEM)
    change_subscription(ours.company, State.CANCELLED, by=SYSTEM)
    over(ours.company)
    subscriptions.purge(ours.company.pk)
    assert VolumeBackup.objects.restorable().count() == 1
    assert "on legal hold (Case 12)" in client_for(owner).get(reverse("subscription")).text
    release(Snapshot.objects.get(), by=SYSTEM)
    subscriptions.purge(ours.company.pk)
    assert not VolumeBackup.objects.restorable().exists()


def test_what_could_not_be_deleted_is_not_certified(ours: Belongings) -> None:
    Restore.objects.update(outcome="passed")
    folder = opening.folder(Repository.objects.get())
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")
    change_subscription(ours.company, State.CANCELLED, by=SYSTEM)
    over(ours.company)
    subscriptions.purge(ours.company.pk)
    assert not Event.objects.filter(action="subscription.purged").exists()
    # There is no return from here, and the tick tries again.
    ours.company.refresh_from_db()
    with pytest.raises(Failure, match="purged"):
        change_subscription(ours.company, State.ACTIVE, by=SYSTEM)
    before = waiting()
    subscriptions.enqueue_ends()
    assert waiting() == before + 1
    folder.unlink()
    subscriptions.purge(ours.company.pk)
    assert Event.objects.filter(action="subscription.purged").count() == 1
    subscriptions.enqueue_ends()
    assert waiting() == before + 1


def test_a_repository_elsewhere_is_emptied_before_its_keys_are_forgotten(
    ours: Belongings, tmp_path: Path, settings: Any
) -> None:
    settings.STATE_DIR = tmp_path / "state"
    Restore.objects.update(outcome="passed")
    row = Repository.objects.get()
    store = tmp_path / "store"
    Repository.objects.update(kind="rest", url=str(store), folder="", console_access="{}")
    row.refresh_from_db()
    restic.initialise(opening.for_console(row))
    (tmp_path / "file").write_bytes(b"x" * 1000)
    restic.backup(opening.for_console(row), [tmp_path / "file"], host="one")
    change_subscription(ours.company, State.CANCELLED, by=SYSTEM)
    with time_machine.travel(datetime(2031, 1, 1, 12, 30, tzinfo=UTC), tick=False):
        while not Event.objects.filter(action="subscription.purged").exists():
            subscriptions.purge(ours.company.pk)
            wait_for_child()
    assert not list((store / "snapshots").iterdir())
    assert not list((store / "data").glob("*/*"))
    row.refresh_from_db()
    assert row.password == ""


def test_the_grace_can_be_extended(ours: Belongings) -> None:
    with pytest.raises(Failure, match="Only a cancelled"):
        extend_grace(ours.company, 60, by=SYSTEM)
    change_subscription(ours.company, State.CANCELLED, by=SYSTEM)
    over(ours.company)
    extend_grace(ours.company, 60, by=SYSTEM)
    subscriptions.purge(ours.company.pk)
    assert VolumeBackup.objects.restorable().count() == 1
    for days in (60, 366):
        with pytest.raises(Failure, match="from 61 to 365"):
            extend_grace(ours.company, days, by=SYSTEM)


def test_who_pays_sees_the_subscription_and_nothing_else(
    ours: Belongings, client_for: SignIn
) -> None:
    client = client_for(person("bill@northside.example", ours.company, "billing"))
    assert "Snapshots are taken" in client.get(reverse("subscription")).text
    assert ours.cluster.name not in client.get("/").text
    assert client.get(ours.cluster.get_absolute_url()).status_code == 404
