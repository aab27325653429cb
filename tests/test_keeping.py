"""What stays: of snapshots, and of each volume by itself."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from backups import keeping
from backups.models import Drill, Protection, Repository, Snapshot, VolumeBackup
from clusters.models import Cluster

NOW = datetime(2025, 6, 18, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
COMPLETE, PARTIAL = Snapshot.State.COMPLETE, Snapshot.State.PARTIAL


@pytest.fixture
def repository(cluster: Cluster) -> Repository:
    Protection.objects.create(cluster=cluster, since=NOW - timedelta(days=900))
    return Repository.objects.create(cluster=cluster, folder="f", password="p")


def history(
    repository: Repository,
    hours: Iterable[datetime],
    volumes: Iterable[str] = ("data",),
    state: str = COMPLETE,
) -> None:
    """Make snapshots with one backup of each volume."""
    names = list(volumes)
    rows = Snapshot.objects.bulk_create(
        Snapshot(cluster=repository.cluster, repository=repository, due=due, state=state)
        for due in hours
    )
    VolumeBackup.objects.bulk_create(
        VolumeBackup(
            snapshot=row,
            cluster=row.cluster,
            due=row.due,
            node_name="one",
            volume_name=name,
            state=VolumeBackup.State.CAPTURED,
            restic_id="1" * 64,
        )
        for row in rows
        for name in names
    )


def hourly(since: datetime, until: datetime) -> list[datetime]:
    return [since + count * HOUR for count in range((until - since) // HOUR + 1)]


def test_the_steady_state_keeps_51(repository: Repository, cluster: Cluster) -> None:
    history(repository, hourly(datetime(2024, 1, 1, tzinfo=UTC), NOW))
    decision = keeping.decide(cluster, NOW)
    assert len(decision.snapshots) == 51
    assert len(decision.volumes) == 51
    total = Snapshot.objects.count()
    assert len(decision.purge_snapshots) == len(decision.purge_volumes) == total - 51


def test_every_volume_of_a_kept_snapshot_stays(repository: Repository, cluster: Cluster) -> None:
    history(repository, hourly(NOW - timedelta(days=60), NOW), volumes=("a", "b", "c"))
    decision = keeping.decide(cluster, NOW)
    kept = set(decision.snapshots)
    of_kept = VolumeBackup.objects.filter(snapshot__in=kept).values_list("pk", flat=True)
    assert set(of_kept) <= set(decision.volumes)


def test_the_last_backup_of_a_volume_deleted_mid_month_stays_for_ever(
    repository: Repository, cluster: Cluster
) -> None:
    gone = datetime(2025, 3, 14, 7, tzinfo=UTC)
    history(repository, hourly(gone - timedelta(days=3), gone), volumes=("old", "data"))
    history(repository, hourly(gone + HOUR, NOW))
    decision = keeping.decide(cluster, NOW)
    left = VolumeBackup.objects.filter(volume_name="old").exclude(pk__in=decision.purge_volumes)
    assert [one.due for one in left] == [gone]
    assert left[0].snapshot_id in decision.purge_snapshots


def test_partial_ones_stay_a_day_and_their_volumes_count(
    repository: Repository, cluster: Cluster
) -> None:
    history(repository, [NOW - timedelta(days=40)], state=PARTIAL)
    history(repository, [NOW - timedelta(hours=30), NOW - timedelta(hours=20)], state=PARTIAL)
    history(repository, [NOW - HOUR])
    decision = keeping.decide(cluster, NOW)
    ages = {one.due for one in Snapshot.objects.filter(pk__in=decision.purge_snapshots)}
    assert ages == {NOW - timedelta(days=40), NOW - timedelta(hours=30)}
    month_final = VolumeBackup.objects.get(due=NOW - timedelta(days=40))
    assert "monthly" in decision.volumes[month_final.pk]


def test_holds_and_work_in_progress_keep_what_would_go(
    repository: Repository, cluster: Cluster
) -> None:
    old = NOW - timedelta(days=45, hours=3)
    history(repository, [old, old + HOUR, old + 2 * HOUR, NOW - HOUR])
    first, second = Snapshot.objects.order_by("due")[:2]
    Snapshot.objects.filter(pk=first.pk).update(hold_reason="Case 12")
    Drill.objects.create(volume_backup=second.volumes.get())
    decision = keeping.decide(cluster, NOW)
    assert decision.snapshots[first.pk] == ("hold",)
    assert decision.snapshots[second.pk] == ("in use",)
    assert not decision.purge_volumes


def test_while_snapshots_fail_time_takes_nothing(repository: Repository, cluster: Cluster) -> None:
    last = NOW - timedelta(days=3)
    history(repository, hourly(last - timedelta(days=2), last))
    history(repository, hourly(last + HOUR, NOW), state=Snapshot.State.FAILED)
    decision = keeping.decide(cluster, NOW)
    assert "nothing expires" in decision.suspended
    recent = Snapshot.objects.filter(due__gt=last - timedelta(hours=24), due__lte=last)
    assert not set(recent.values_list("pk", flat=True)) & set(decision.purge_snapshots)


def test_an_environment_that_was_deleted_on_purpose_expires_as_promised(
    repository: Repository, cluster: Cluster
) -> None:
    last = datetime(2025, 6, 18, 12, tzinfo=UTC)
    history(repository, hourly(datetime(2025, 1, 1, tzinfo=UTC), last))
    Protection.objects.filter(cluster=cluster).update(ended_at=last)
    for moment, expected in (
        (NOW, 39),
        (datetime(2025, 6, 20, 0, 30, tzinfo=UTC), 14),
        (datetime(2025, 6, 26, 0, 30, tzinfo=UTC), 9),
        (datetime(2025, 7, 20, 0, 30, tzinfo=UTC), 6),
        (datetime(2027, 1, 1, tzinfo=UTC), 6),
    ):
        decision = keeping.decide(cluster, moment)
        assert len(decision.snapshots) == expected, moment
        assert not decision.suspended


def test_a_late_run_deletes_what_hourly_runs_would_have(
    repository: Repository, cluster: Cluster
) -> None:
    hours = hourly(NOW - timedelta(days=40), NOW)
    history(repository, hours)
    once = set(keeping.decide(cluster, NOW).snapshots)
    left = set(Snapshot.objects.values_list("pk", flat=True))
    rows = dict(Snapshot.objects.values_list("pk", "due"))
    for moment in hours[:: 24 * 5]:
        decision = keeping.decide(cluster, moment)
        # What was taken later is not there yet: it would be kept, and flagged.
        left -= {pk for pk in decision.purge_snapshots if rows[pk] <= moment}
    assert once <= left
