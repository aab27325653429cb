"""Find out, while the backups of a window pass by, which volumes are protected at its end."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q

from backups.coverage import Volume as Listed
from backups.coverage import coverage
from backups.evidence.report import Entry, entry, seconds
from backups.models import VolumeBackup
from backups.parts import VolumeKey
from clusters.models import Cluster, Volume


class Covered:
    """What is known of each volume; it grows with the volumes, not with the backups."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.latest: datetime | None = None
        self.seen: dict[VolumeKey, tuple[datetime, str, str]] = {}
        self.good: dict[VolumeKey, datetime] = {}

    def see(self, row: dict[str, Any]) -> None:
        """Take notice of a backup; they come in the order of their time."""
        key = VolumeKey(row["node_name"], row["volume_name"])
        self.latest = row["due"]
        self.seen[key] = (row["due"], row["state"], row["reason"])
        if row["state"] == VolumeBackup.State.CAPTURED:
            self.good[key] = row["due"]

    def entries(self, end: datetime) -> Iterator[Entry]:
        """Yield the state of each volume at the end of the window."""
        last = {
            key: (state, why) for key, (due, state, why) in self.seen.items() if self.is_last(due)
        }
        volumes = {key: Listed(key) for key in last} | {
            listed.key: listed for listed in self.listed(end)
        }
        excluded = {
            key: why for key, (state, why) in last.items() if state == VolumeBackup.State.EXCLUDED
        }
        for row in coverage(volumes.values(), self.good, excluded, end):
            yield entry(
                "coverage",
                cluster=self.cluster.name,
                node=row.key.node,
                volume=row.key.volume,
                state=row.state,
                age_seconds=seconds(row.age),
                reason=row.reason,
            )

    def is_last(self, due: datetime) -> bool:
        """Say whether a backup belongs to the last snapshot of the window."""
        return due == self.latest

    def listed(self, end: datetime) -> Iterator[Listed]:
        """Yield the volumes that were on a node at that time."""
        rows = Volume.objects.filter(node__cluster=self.cluster)
        rows = rows.filter(Q(gone_at=None) | Q(gone_at__gt=end))
        rows = rows.filter(Q(node__removed_at=None) | Q(node__removed_at__gt=end))
        rows = rows.filter(Q(created_at=None) | Q(created_at__lte=end))
        fields = ("node__name", "name", "is_anonymous")
        for node, name, anonymous in rows.order_by().values_list(*fields).iterator():
            yield Listed(VolumeKey(node, name), anonymous)
