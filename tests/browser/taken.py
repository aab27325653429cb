"""What was taken of a company's clusters: 25 days of hours, with what goes wrong at times."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone

from backups.models import Protection, Repository, Snapshot, VolumeBackup
from backups.schedule import HOUR, hour_of
from clusters.models import Cluster
from tests.belongings import Belongings

NOW = timezone.now()


def history(cluster: Cluster, repository: Repository, *, until: datetime) -> None:
    """Give a cluster 30 days of snapshots, with what goes wrong at times."""
    Repository.objects.filter(pk=repository.pk).update(
        size_bytes=184 * 10**9 // cluster.pk, initialised_at=NOW, tested_at=NOW, is_append_only=True
    )
    Protection.objects.create(
        cluster=cluster,
        since=NOW - timedelta(days=24),
        applied_at=NOW,
        looked_at=NOW,
        recipients=["night-watch@northside.example"],
    )
    Snapshot.objects.bulk_create(
        Snapshot(cluster=cluster, due=due, state=state)
        if state == "missed"
        else Snapshot(
            cluster=cluster,
            repository=repository,
            due=due,
            state=state,
            manifest="{}",
            manifest_sha256="0" * 64,
            volumes_count=6,
            bytes=(40 * 10**9) + number * 9 * 10**6,
            added_bytes=(number * 7919) % 70 * 10**6,
            finished_at=due + timedelta(minutes=3),
        )
        for number, (due, state) in enumerate(hours())
        if due <= until
    )


def hours() -> Iterator[tuple[datetime, str]]:
    """Yield the hours of 24 days and what became of each."""
    wrong = {30: "failed", 31: "partial", 140: "partial", 141: "missed", 403: "partial"}
    wrong |= {568: "partial", 570: "missed"}
    first = hour_of(NOW) - timedelta(days=24) + HOUR
    for number in range(24 * 24):
        yield first + number * HOUR, wrong.get(number, "complete")


def asked_for(ours: Belongings) -> None:
    """Let the one snapshot that has a volume have been asked for a while ago."""
    # A second past the minute, for the full hours are taken.
    due = NOW.replace(second=1, microsecond=0) - timedelta(minutes=12)
    Snapshot.objects.filter(pk=ours.backup.snapshot.pk).update(
        due=due,
        trigger=Snapshot.Trigger.MANUAL,
        finished_at=due + timedelta(minutes=2),
        volumes_count=6,
        bytes=46 * 10**9,
        added_bytes=31 * 10**6,
    )
    VolumeBackup.objects.filter(pk=ours.backup.pk).update(
        due=due, volume_name=ours.volume.name, node_name=ours.node.name, bytes=4 * 10**9
    )
    ours.backup.refresh_from_db()
