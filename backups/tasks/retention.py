"""Delete what no rule keeps, and prove that what is kept can be read; level-triggered."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from backups import keeping, long_run, opening, restic
from backups.actions import retention as actions
from backups.models import Protection, Repository, RepositoryCheck, Snapshot, VolumeBackup
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
# Of restic's ids in one step, which has to be short.
AT_ONCE = 200
EXPIRED = "Expired: no rule of retention keeps it."
DAILY = timedelta(hours=24)


def cluster_of(operation: Operation) -> Cluster:
    """Return the operation's cluster as it is now."""
    return Cluster.objects.select_related("company").get(pk=operation.cluster_id or 0)


def forget_expired(operation: Operation) -> Waiting | None:
    """Forget the expired in the repositories, then note it in the rows; a crash between heals."""
    cluster = cluster_of(operation)
    decision = keeping.decide(cluster)
    if decision.suspended:
        note(operation, decision.suspended)
    volumes = list(
        VolumeBackup.objects.filter(pk__in=decision.purge_volumes[:AT_ONCE]).select_related(
            "snapshot__repository"
        )
    )
    snapshots = list(
        Snapshot.objects.filter(pk__in=decision.purge_snapshots[:AT_ONCE]).select_related(
            "repository"
        )
    )
    if not volumes and not snapshots:
        return None
    ids: dict[Repository, set[str]] = {}
    for backup in volumes:
        if backup.snapshot.repository:
            ids.setdefault(backup.snapshot.repository, set()).add(backup.restic_id)
    for snapshot in snapshots:
        if snapshot.repository:
            ids.setdefault(snapshot.repository, set()).update(snapshot.part_ids)
    for row, wanted in ids.items():
        repository = opening.for_console(row)
        restic.unlock(repository)
        restic.forget(repository, sorted(wanted))
    now = timezone.now()
    purged = {"purged_at": now, "purge_reason": EXPIRED}
    VolumeBackup.objects.filter(pk__in=[one.pk for one in volumes]).update(**purged)
    Snapshot.objects.filter(pk__in=[one.pk for one in snapshots]).update(**purged)
    for kind, number in (("snapshots", len(snapshots)), ("volumes", len(volumes))):
        operation.intent[kind] = operation.intent.get(kind, 0) + number
    left = len(decision.purge_volumes) + len(decision.purge_snapshots)
    return Waiting(f"{left} expired parts are being forgotten.", again_in=0.5)


def prune(operation: Operation) -> Waiting | None:
    """Delete the data that nothing needs any more, and measure what is left."""
    if not operation.intent.get("snapshots") and not operation.intent.get("volumes"):
        return None
    for row in Repository.objects.filter(cluster=operation.cluster_id).exclude(initialised_at=None):
        name = f"prune-{operation.pk}-{row.pk}"
        if row.pk in operation.intent.setdefault("pruned", []):
            continue
        found = long_run.follow(name, "prune", row)
        if isinstance(found, Waiting):
            return found
        long_run.forget(name)
        if found.get("kind") == "Locked":
            return Waiting("A backup works on the repository.", again_in=20)
        if found["error"]:
            raise Failure(found["error"])
        operation.intent["pruned"].append(row.pk)
        Repository.objects.filter(pk=row.pk).update(pruned_at=timezone.now())
    return None


def measure(operation: Operation) -> Waiting | None:
    """Save how large the repositories are, and record what was deleted."""
    cluster = cluster_of(operation)
    for row in Repository.objects.filter(cluster=cluster).exclude(initialised_at=None):
        size = restic.stats(opening.for_console(row), stored=True, timeout=20).bytes
        Repository.objects.filter(pk=row.pk).update(size_bytes=size, measured_at=timezone.now())
    purged = {
        key: operation.intent[key] for key in ("snapshots", "volumes") if key in operation.intent
    }
    if purged:
        record("retention.purged", cluster, cluster, by=SYSTEM, after=purged)
        note(operation, f"Purged: {purged}.")
    return None


def check(operation: Operation) -> Waiting | None:
    """Read one part of the repository back; name the backups that cannot be restored."""
    row = RepositoryCheck.objects.select_related("repository__cluster").get(pk=operation.target_id)
    name = f"check-{operation.pk}"
    found = long_run.follow(name, "check", row.repository, part=row.part, parts=row.parts)
    if isinstance(found, Waiting):
        return found
    long_run.forget(name)
    if found.get("kind") == "Locked":
        return Waiting("Somebody else works on the repository.", again_in=20)
    now = timezone.now()
    if found["error"]:
        damaged = unreadable(row.repository)
        RepositoryCheck.objects.filter(pk=row.pk).update(
            state=RepositoryCheck.State.FAILED,
            error=found["error"],
            damaged=[str(one) for one in damaged],
            ended_at=now,
        )
        pks = [one.pk for one in damaged]
        VolumeBackup.objects.filter(pk__in=pks).update(check_error=found["error"][:2000])
        after = {"error": found["error"], "damaged": [str(one) for one in damaged][:50]}
        record("repository.damaged", row.repository, row.repository.cluster, by=SYSTEM, after=after)
        named = ", ".join(str(one) for one in damaged[:5]) or "none of the volumes"
        raise Failure(f"The repository is damaged. It concerns {named}. {found['error']}")
    RepositoryCheck.objects.filter(pk=row.pk).update(
        state=RepositoryCheck.State.PASSED, ended_at=now
    )
    Repository.objects.filter(pk=row.repository_id).update(
        checked_parts=row.repository.checked_parts + 1
    )
    if row.part == row.parts:
        note_rotation(row)
    return None


def note_rotation(row: RepositoryCheck) -> None:
    """Mark what was there when a whole rotation began: all of it was read back since."""
    checks = RepositoryCheck.objects.filter(repository=row.repository, parts=row.parts)
    first = checks.filter(part=1, state=RepositoryCheck.State.PASSED).order_by("-pk").first()
    began = (first or row).started_at
    VolumeBackup.objects.restorable().filter(
        snapshot__repository=row.repository, due__lt=began
    ).update(checked_at=timezone.now(), check_error="")


def unreadable(row: Repository) -> list[VolumeBackup]:
    """Return the backups that cannot be read back, each looked at by itself."""
    repository, found = opening.for_console(row), []
    for backup in VolumeBackup.objects.restorable().filter(snapshot__repository=row):
        try:
            for _ in restic.dump(repository, backup.restic_id, "/", timeout=600):
                pass
        except restic.ResticError:
            found.append(backup)
    return found


def fail_check(operation: Operation) -> None:
    """Let no check seem to run for ever."""
    RepositoryCheck.objects.filter(
        pk=operation.target_id, state=RepositoryCheck.State.RUNNING
    ).update(state=RepositoryCheck.State.FAILED, error=operation.error, ended_at=timezone.now())


def enqueue_purges() -> None:
    """Once an hour, after its snapshot, delete what has expired; once a day read a part back."""
    if not settings.BACKUPS:
        return
    now = timezone.now()
    if now.minute < 20:
        return
    for row in Protection.objects.exclude(since=None).select_related("cluster__company"):
        recent = Operation.objects.filter(
            cluster=row.cluster, requested_at__gt=now - timedelta(minutes=50)
        )
        if recent.filter(kind="retention.run").exists():
            continue
        decision = keeping.decide(row.cluster, now)
        if decision.purge_snapshots or decision.purge_volumes:
            begin(lambda row=row: actions.purge_now(row.cluster, by=SYSTEM))
    due = Q(checks=None) | ~Q(checks__started_at__gt=now - DAILY)
    for repository in (
        Repository.objects.current().exclude(initialised_at=None).filter(due).distinct()
    ):
        if repository.snapshots.exists():
            begin(lambda one=repository: actions.check_now(one, by=SYSTEM))


def begin(action: Any) -> None:
    """Begin something unless something else is at work there: the next tick tries again."""
    try:
        action()
    except Failure:
        return


register.add(
    "retention.run",
    Kind(
        "Purge what has expired",
        (
            Step("Forget what no rule keeps", forget_expired),
            Step("Delete its data", prune),
            Step("Measure what is left", measure),
        ),
        within=timedelta(hours=12),
    ),
)
register.add(
    "repository.check",
    Kind(
        "Check repository",
        (Step("Read a part back and compare it", check),),
        within=timedelta(hours=12),
        on_failure=fail_check,
    ),
)
