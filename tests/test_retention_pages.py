"""The page that says what stays, what goes, and why; and holds."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from backups.actions import checks, retention
from backups.models import Protection, Repository, Snapshot, VolumeBackup
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Event, Operation, User
from medstack.models.events import SYSTEM
from tests.pages import SignIn
from tests.test_keeping import history

NOW = datetime(2025, 6, 18, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD = datetime(2025, 4, 17, 9, tzinfo=UTC)


@pytest.fixture
def repository(cluster: Cluster) -> Repository:
    Protection.objects.create(cluster=cluster, since=NOW - timedelta(days=900))
    row = Repository.objects.create(cluster=cluster, folder="f", password="p", initialised_at=NOW)
    history(row, [OLD, OLD + HOUR, NOW - HOUR])
    return row


def page(client_for: SignIn, user: User) -> str:
    with time_machine.travel(NOW, tick=False):
        return client_for(user).get(reverse("retention", args=["production"])).text


def test_the_page_says_what_goes_next_and_why_each_other_stays(
    repository: Repository, owner: User, auditor: User, client_for: SignIn
) -> None:
    history(repository, [datetime(2025, 3, 3, 7, tzinfo=UTC)], volumes=("former",))
    history(repository, [datetime(2025, 3, 4, 7, tzinfo=UTC)], volumes=("data",))
    found = page(client_for, owner)
    assert "2 snapshots and 1 backup of volumes that no rule keeps" in found
    assert "Expired: no rule keeps it (hourly until 2025-04-18 09:00 UTC" in found
    assert "Less than 24 hours old, final of its day" in found
    assert "So far the final one of today, this week, this month" in found
    assert "former of one, 2025-03-03 07:00 UTC" in found
    assert "Run now" in found
    assert "Run now" not in page(client_for, auditor)


def test_the_page_says_that_and_why_nothing_expires(
    repository: Repository, owner: User, client_for: SignIn
) -> None:
    assert "Nothing expires at present" not in page(client_for, owner)
    Snapshot.objects.filter(due=NOW - HOUR).update(due=NOW - 5 * HOUR)
    found = page(client_for, owner)
    assert "No snapshot is complete since 2025-06-18 07:30 UTC" in found


def test_an_owner_holds_and_releases_a_snapshot_and_both_are_recorded(
    repository: Repository, owner: User, client_for: SignIn
) -> None:
    row = Snapshot.objects.get(due=OLD)
    url = reverse("hold_snapshot", args=["production", row.pk])
    client = client_for(owner)
    assert client.post(url, {"reason": ""}).status_code == 422
    client.post(url, {"reason": "Case 12"})
    found = page(client_for, owner)
    assert "Legal holds" in found
    assert "Case 12" in found
    assert "Nothing: everything that is there is kept by a rule." in found
    client.post(url)
    assert "Legal holds" not in page(client_for, owner)
    actions = Event.objects.filter(action__startswith="snapshot.").order_by("pk")
    assert [one.action for one in actions] == ["snapshot.held", "snapshot.released"]
    assert {one.actor for one in actions} == {owner}


def test_what_was_purged_cannot_be_held(
    repository: Repository, owner: User, client_for: SignIn
) -> None:
    row = Snapshot.objects.get(due=OLD)
    Snapshot.objects.filter(pk=row.pk).update(purged_at=NOW, purge_reason="Expired.")
    url = reverse("hold_snapshot", args=["production", row.pk])
    answer = client_for(owner).post(url, {"reason": "Case 12"})
    assert answer.status_code == 422
    assert "was purged already" in answer.text


def test_a_backup_says_why_it_stays(
    repository: Repository, owner: User, client_for: SignIn
) -> None:
    backup = VolumeBackup.objects.get(due=OLD + HOUR)
    with time_machine.travel(NOW, tick=False):
        found = client_for(owner).get(backup.get_absolute_url()).text
    assert "Final of its month, part of a snapshot that is kept" in found


def test_every_action_leaves_one_record(repository: Repository) -> None:
    row = Snapshot.objects.get(due=OLD)
    for act, expected in (
        (lambda: retention.hold(row, "Case 12", by=SYSTEM), "snapshot.held"),
        (lambda: retention.release(row, by=SYSTEM), "snapshot.released"),
        (lambda: retention.purge_now(row.cluster, by=SYSTEM), "retention.requested"),
    ):
        before = Event.objects.count()
        act()
        assert Event.objects.count() == before + 1
        assert Event.objects.order_by("pk").last().action == expected  # type: ignore[union-attr]
    # One piece of work at a time on a repository; what is refused leaves no record.
    before = Event.objects.count()
    with pytest.raises(Failure, match="still running"):
        checks.check_now(repository, by=SYSTEM)
    assert Event.objects.count() == before
    assert not repository.checks.exists()
    Operation.objects.update(state="done", ended_at=NOW)
    checks.check_now(repository, by=SYSTEM)
    assert Event.objects.order_by("pk").last().action == "repository.check_requested"  # type: ignore[union-attr]
