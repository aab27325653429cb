"""A catalogue of backups as it is after months: snapshots by the hour, with their backups."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from backups.models import Protection, Repository, Snapshot, VolumeBackup
from clusters.models import Cluster, Node

HOUR = timedelta(hours=1)
VOLUMES = ("database", "images")
AT_ONCE = 5_000


def protected(cluster: Cluster, since: datetime) -> Repository:
    """Protect a cluster from a moment on, with a repository on the console's machine."""
    Protection.objects.create(cluster=cluster, since=since)
    return Repository.objects.create(
        cluster=cluster, folder=f"{cluster.slug}-1", password="not in any report"
    )


def filled(
    cluster: Cluster,
    node: Node,
    repository: Repository,
    *,
    first: datetime,
    hours: int,
    states: Mapping[datetime, str] | None = None,
    volumes: tuple[str, ...] = VOLUMES,
) -> None:
    """Give a cluster a snapshot at every hour; `states` says which are not complete."""
    states = states or {}
    moments = [first + count * HOUR for count in range(hours)]
    taken = [snapshot(cluster, repository, due, states.get(due, "complete")) for due in moments]
    Snapshot.objects.bulk_create(taken, AT_ONCE)
    rows = Snapshot.objects.filter(cluster=cluster, due__gte=first, due__lte=moments[-1])
    pending: list[VolumeBackup] = []
    for row in rows.order_by("due").iterator():
        pending += backups(row, node, volumes)
        if len(pending) >= AT_ONCE:
            VolumeBackup.objects.bulk_create(pending, AT_ONCE)
            pending.clear()
    VolumeBackup.objects.bulk_create(pending, AT_ONCE)


def snapshot(cluster: Cluster, repository: Repository, due: datetime, state: str) -> Snapshot:
    """Return a snapshot of one hour."""
    whole = state in {"complete", "partial"}
    return Snapshot(
        cluster=cluster,
        repository=repository,
        due=due,
        state=state,
        reasons=[] if state == "complete" else [f"The hour was {state}."],
        manifest_sha256=digest("manifest", due) if whole else "",
        bytes=4_000_000 if whole else 0,
        added_bytes=40_000 if whole else 0,
    )


def backups(row: Snapshot, node: Node, volumes: tuple[str, ...]) -> Iterator[VolumeBackup]:
    """Yield the backups of a snapshot; of a partial one the first volume failed."""
    if row.state not in {"complete", "partial"}:
        return
    for place, name in enumerate(volumes):
        failed = row.state == "partial" and not place
        yield VolumeBackup(
            snapshot=row,
            cluster_id=row.cluster_id,
            due=row.due,
            node=node,
            node_name=node.name,
            volume_name=name,
            state="failed" if failed else "captured",
            reason="The volume is not on this node." if failed else "",
            restic_id="" if failed else digest("restic", name, row.due),
            tree="" if failed else digest("tree", name, row.due),
            files=0 if failed else 120,
            bytes=0 if failed else 2_000_000,
            added_bytes=0 if failed else 20_000,
        )


def digest(*parts: object) -> str:
    """Return a digest that looks like one."""
    return sha256(repr(parts).encode()).hexdigest()
