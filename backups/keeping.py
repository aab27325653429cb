"""Which snapshots and which backups of volumes stay, and why; rows in, decisions out."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from backups.models import Outcome, Protection, Snapshot, VolumeBackup
from backups.policy import STOPPED
from backups.retention import reasons_to_keep
from clusters.models import Cluster

Reasons = Mapping[int, tuple[str, ...]]
# Partial and failed snapshots are never final; they stay for a day.
UNFINISHED_FOR = timedelta(hours=24)
# Without a complete snapshot for so long, the clock of all expiry stands still.
FAILING_AFTER = timedelta(hours=3)
HELD, IN_USE, UNFINISHED, PART = "hold", "in use", "unfinished", "part of a kept snapshot"


@dataclass(frozen=True)
class Decision:
    """What stays and why, and what may go; the suspension in words if there is one."""

    snapshots: Reasons
    volumes: Reasons
    purge_snapshots: tuple[int, ...]
    purge_volumes: tuple[int, ...]
    suspended: str = ""


@dataclass
class Present:
    """What is there, as far as the rules ask."""

    complete: dict[int, datetime] = field(default_factory=dict)
    unfinished: dict[int, datetime] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    by_volume: dict[tuple[str, str], dict[int, datetime]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    snapshot_of: dict[int, int] = field(default_factory=dict)


def zone() -> ZoneInfo:
    """Return the time zone in which days, weeks and months end."""
    return ZoneInfo(settings.POLICY_ZONE)


def decide(cluster: Cluster, now: datetime | None = None) -> Decision:
    """Decide what of a cluster stays at a moment, snapshots and single volumes."""
    now = now or timezone.now()
    found = present(cluster)
    suspended = suspension(cluster, found, now)
    monthly = cluster.company.subscription != cluster.company.Subscription.PURGED
    rules = {"now": now, "zone": zone(), "monthly": monthly, "suspended": bool(suspended)}
    kept: dict[int, tuple[str, ...]] = reasons_to_keep(found.complete, **rules)  # type: ignore[arg-type]
    for pk, due in found.unfinished.items():
        if suspended or now - due < UNFINISHED_FOR:
            kept[pk] = (UNFINISHED,)
    for pk in found.held:
        kept[pk] = (*kept.get(pk, ()), HELD)
    volumes: dict[int, tuple[str, ...]] = {}
    for taken in found.by_volume.values():
        volumes |= reasons_to_keep(taken, **rules)  # type: ignore[arg-type]
    for pk, snapshot in found.snapshot_of.items():
        if snapshot in kept:
            volumes[pk] = (*volumes.get(pk, ()), PART)
    for pk in in_use(cluster):
        volumes[pk] = (*volumes.get(pk, ()), IN_USE)
        if pk in found.snapshot_of:
            snapshot = found.snapshot_of[pk]
            kept[snapshot] = (*kept.get(snapshot, ()), IN_USE)
    everything = {*found.complete, *found.unfinished, *found.held}
    return Decision(
        snapshots=kept,
        volumes=volumes,
        purge_snapshots=tuple(sorted(everything - set(kept))),
        purge_volumes=tuple(sorted(set(found.snapshot_of) - set(volumes))),
        suspended=suspended,
    )


def present(cluster: Cluster) -> Present:
    """Read what has not been purged; two queries, whatever their number."""
    found = Present()
    rows = Snapshot.objects.filter(cluster=cluster, purged_at=None).exclude(
        state__in=(Snapshot.State.TAKING, Snapshot.State.MISSED)
    )
    for pk, due, state, hold in rows.values_list("pk", "due", "state", "hold_reason"):
        (found.complete if state == Snapshot.State.COMPLETE else found.unfinished)[pk] = due
        if hold:
            found.held.add(pk)
    backups = VolumeBackup.objects.filter(
        cluster=cluster, purged_at=None, state=VolumeBackup.State.CAPTURED
    ).order_by()
    for pk, due, node, volume, snapshot in backups.values_list(
        "pk", "due", "node_name", "volume_name", "snapshot_id"
    ):
        found.by_volume[node, volume][pk] = due
        found.snapshot_of[pk] = snapshot
    return found


def in_use(cluster: Cluster) -> set[int]:
    """Return the backups that are being restored or drilled right now."""
    running = Q(restores__outcome=Outcome.RUNNING) | Q(drills__outcome=Outcome.RUNNING)
    whole = Q(snapshot__restores__outcome=Outcome.RUNNING)
    rows = VolumeBackup.objects.filter(running | whole, cluster=cluster)
    return set(rows.values_list("pk", flat=True))


def suspension(cluster: Cluster, found: Present, now: datetime) -> str:
    """Say why the clock of expiry stands still, or nothing.

    While snapshots fail, time alone must not eat the history; where the environment was deleted on
    purpose, or the subscription is over, none is expected.
    """
    row = Protection.objects.filter(cluster=cluster).first()
    if row is None or row.ended_at or cluster.company.subscription in STOPPED:
        return ""
    past = [due for due in found.complete.values() if due <= now]
    if past and now - max(past) > FAILING_AFTER:
        return (
            f"No snapshot is complete since {max(past):%Y-%m-%d %H:%M} UTC. Until one is, nothing "
            "expires."
        )
    return ""


def reasons_for(cluster: Cluster) -> Reasons:
    """Return why each of a cluster's snapshots stays."""
    return decide(cluster).snapshots
