"""What was done with the backups in a window: checks, drills and restores."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from backups.canonical import plain
from backups.evidence.report import Entry, entry, joined, seconds
from backups.evidence.stored import storage_of
from backups.models import Drill, RepositoryCheck, Restore
from backups.schedule import Window
from clusters.models import Cluster


def within(rows: QuerySet[Any], window: Window) -> Iterator[Any]:
    """Yield the rows that began in the window, in their order."""
    rows = rows.filter(started_at__gte=window.start, started_at__lt=window.end)
    return rows.order_by("started_at", "pk").iterator(500)


def checks(cluster: Cluster, window: Window) -> Iterator[Entry]:
    """Yield each check of the cluster's repositories."""
    stored = storage_of(cluster)
    rows = RepositoryCheck.objects.filter(repository__cluster=cluster)
    for row in within(rows, window):
        yield entry(
            "check",
            cluster=cluster.name,
            storage=stored[row.repository_id],
            part=row.part,
            parts=row.parts,
            state=row.state,
            error=row.error,
            damaged=len(row.damaged),
            started_at=plain(row.started_at),
            ended_at=plain(row.ended_at),
        )


def drills(cluster: Cluster, window: Window) -> Iterator[Entry]:
    """Yield each drill of the cluster's backups."""
    rows = Drill.objects.filter(volume_backup__cluster=cluster)
    for row in within(rows.select_related("volume_backup", "node", "requested_by"), window):
        backup = row.volume_backup
        yield entry(
            "drill",
            cluster=cluster.name,
            due=plain(backup.due),
            node=backup.node_name,
            volume=backup.volume_name,
            drilled_on=row.node.name if row.node else "",
            trigger=row.trigger,
            outcome=row.outcome,
            started_at=plain(row.started_at),
            ended_at=plain(row.ended_at),
            recovery_seconds=seconds(row.duration),
            age_seconds=seconds(row.age),
            files=row.files,
            bytes=row.bytes,
            differences=len(row.differences),
            error=row.error,
            requested_by=row.requested_by.email if row.requested_by else "the schedule",
        )


def restores(cluster: Cluster, window: Window) -> Iterator[Entry]:
    """Yield each restore of the cluster's backups, or onto the cluster."""
    rows = Restore.objects.filter(Q(cluster=cluster) | Q(snapshot__cluster=cluster))
    rows = rows.select_related("cluster", "snapshot__cluster", "node")
    for row in within(rows, window):
        yield entry(
            "restore",
            cluster=row.snapshot.cluster.name,
            snapshot=plain(row.snapshot.due),
            mode=row.get_mode_display(),
            volume=row.volume_name,
            node=row.node.name if row.node else "",
            restored_to=row.cluster.name,
            requested_by=row.requested_by_name,
            started_at=plain(row.started_at),
            ended_at=plain(row.ended_at),
            outcome=row.outcome,
            expected=counted(row.expected),
            result=counted(row.result),
        )


def counted(found: dict[str, Any]) -> str:
    """Return how many files and bytes, and what differs, as words."""
    words = [
        f"{found[name]} {name}" for name in ("files", "bytes") if isinstance(found.get(name), int)
    ]
    differences = found.get("differences")
    if isinstance(differences, list) and differences:
        words.append(f"{len(differences)} differences")
    return joined([", ".join(words)]) if words else ""
