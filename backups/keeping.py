"""Which snapshots and which backups of volumes stay, and why; rows in, decisions out."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from backups.models import Drill, Outcome, Protection, Restore, Snapshot, VolumeBackup
from backups.retention import HOURLY_FOR, reasons_to_keep
from clusters.models import Cluster
from medstack.models import Company

Reasons = Mapping[int, tuple[str, ...]]
# Partial and failed snapshots are never final; they stay for a day.
UNFINISHED_FOR = timedelta(hours=24)
# Without a complete snapshot for so long, the clock of all expiry stands still.
FAILING_AFTER = timedelta(hours=3)
HELD, IN_USE, UNFINISHED, PART = "hold", "in use", "unfinished", "part of a kept snapshot"
# The reasons as people read them, the rules of the promise first.
LABELS = {
    "hourly": "less than 24 hours old",
    "daily": "final of its day",
    "weekly": "final of its week",
    "monthly": "final of its month",
    "newest": "the newest",
    HELD: "on legal hold",
    IN_USE: "being restored or drilled",
    PART: "part of a snapshot that is kept",
    UNFINISHED: "not complete, kept for a day",
    "future": "from the future: a clock is wrong",
}


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
    # What is being restored or drilled: the backup, if it is one, and its snapshot.
    used: set[tuple[int | None, int]] = field(default_factory=set)


def zone() -> ZoneInfo:
    """Return the time zone in which days, weeks and months end."""
    return ZoneInfo(settings.POLICY_ZONE)


def decide(cluster: Cluster, now: datetime | None = None) -> Decision:
    """Decide what of a cluster stays at a moment, snapshots and single volumes."""
    now = now or timezone.now()
    found = present(cluster)
    return judge(
        found,
        now,
        zone=zone(),
        monthly=cluster.company.subscription != Company.Subscription.PURGED,
        suspended=suspension(cluster, found, now),
    )


def judge(
    found: Present, now: datetime, *, zone: tzinfo, monthly: bool = True, suspended: str = ""
) -> Decision:
    """Decide what stays of what is there; pure.

    A volume's backup stays while its own volume's rules keep it or its snapshot stays, so that
    every snapshot that is kept is kept whole.
    """
    rules = {"now": now, "zone": zone, "monthly": monthly, "suspended": bool(suspended)}
    kept: dict[int, tuple[str, ...]] = reasons_to_keep(found.complete, **rules)  # type: ignore[arg-type]
    for pk, due in found.unfinished.items():
        if suspended or now - due < UNFINISHED_FOR:
            kept[pk] = (UNFINISHED,)
    everything = {*found.complete, *found.unfinished}
    for pk in found.held:
        kept[pk] = (*kept.get(pk, ()), HELD)
    for pk in {snapshot for _, snapshot in found.used} & everything:
        kept[pk] = (*kept.get(pk, ()), IN_USE)
    volumes: dict[int, tuple[str, ...]] = {}
    for taken in found.by_volume.values():
        volumes |= reasons_to_keep(taken, **rules)  # type: ignore[arg-type]
    for pk, snapshot in found.snapshot_of.items():
        if snapshot in kept:
            volumes[pk] = (*volumes.get(pk, ()), PART)
    for backup in {backup for backup, _ in found.used if backup in found.snapshot_of}:
        volumes[backup] = (*volumes.get(backup, ()), IN_USE)
    return Decision(
        snapshots=kept,
        volumes=volumes,
        purge_snapshots=tuple(sorted(everything - set(kept))),
        purge_volumes=tuple(sorted(set(found.snapshot_of) - set(volumes))),
        suspended=suspended,
    )


def present(cluster: Cluster) -> Present:
    """Read what has not been purged; few queries, whatever their number."""
    found = Present(used=in_use(cluster))
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


def in_use(cluster: Cluster) -> set[tuple[int | None, int]]:
    """Return the backups that are being restored or drilled right now, each with its snapshot.

    A restore of a whole environment needs all of its snapshot, and names no backup.
    """
    restores = Restore.objects.filter(snapshot__cluster=cluster, outcome=Outcome.RUNNING)
    drills = Drill.objects.filter(volume_backup__cluster=cluster, outcome=Outcome.RUNNING)
    return {
        *restores.values_list("volume_backup_id", "snapshot_id"),
        *drills.values_list("volume_backup_id", "volume_backup__snapshot_id"),
    }


def suspension(cluster: Cluster, found: Present, now: datetime) -> str:
    """Say why the clock of expiry stands still, or nothing.

    While snapshots fail, time alone must not eat the history; in the grace of a subscription a
    return loses nothing. Where the environment was deleted on purpose, no snapshot is expected.
    """
    row = Protection.objects.filter(cluster=cluster).first()
    if cluster.company.subscription == Company.Subscription.CANCELLED:
        return (
            "The subscription is cancelled. Nothing expires in its grace: a return loses nothing."
        )
    if row is None or row.ended_at or cluster.company.subscription == Company.Subscription.PURGED:
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


def reasons_for_volumes(cluster: Cluster) -> Reasons:
    """Return why each of a cluster's backups of volumes stays."""
    return decide(cluster).volumes


def said(why: tuple[str, ...]) -> str:
    """Return reasons as people read them."""
    return ", ".join(LABELS[rule] for rule in why).capitalize()


def expired(due: datetime, *, finished: bool) -> str:
    """Say why something was purged, and since when nothing but a longer rule could keep it."""
    until = f"{due + HOURLY_FOR:%Y-%m-%d %H:%M} UTC"
    if not finished:
        return f"Expired: it was not complete, and such are kept for 24 hours, until {until}."
    return f"Expired: no rule keeps it (hourly until {until}, final of no day, week or month)."
