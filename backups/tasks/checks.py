"""Prove that what is stored can be read back: part by part, through the whole repository."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from backups import long_run
from backups.actions import checks as actions
from backups.models import Repository, RepositoryCheck, Snapshot, VolumeBackup
from backups.tasks.retention import begin
from clusters.actions.nodes import record
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
State = RepositoryCheck.State
# As many are named in a row and in the record; a number says how many more there are.
MOST_NAMED = 200
MISSING = "The repository does not list it any more."


def check(operation: Operation) -> Waiting | None:
    """Read one part of the repository back; name the backups that cannot be restored."""
    row = RepositoryCheck.objects.select_related("repository__cluster").get(pk=operation.target_id)
    name = f"check-{row.pk}"
    found = long_run.follow(name, "check", row.repository, part=row.part, parts=row.parts)
    if isinstance(found, Waiting):
        return found
    if found["error"] and found["kind"] != "Damaged":
        long_run.forget(name)
        # Nothing was learnt: the same part is read again next time.
        raise Failure(found["error"])
    damaged, environments = lost_backups(row, found), lost_environments(row, found)
    error = note_result(row, found, damaged, environments)
    long_run.forget(name)
    if error:
        raise Failure(error)
    note(operation, f"{row} was read back as it was written.")
    return None


def note_result(
    row: RepositoryCheck,
    found: Json,
    damaged: dict[VolumeBackup, str],
    environments: list[Snapshot],
) -> str:
    """Write what a check has found into the rows; return what is wrong, in words."""
    now = timezone.now()
    names = [str(one) for one in damaged]
    names += [f"Environment of {one}" for one in environments]
    is_bad = bool(found["error"] or names)
    error = ""
    if is_bad:
        concerned = ", ".join(names[:5]) or "nothing that is still kept"
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        error = f"The repository is damaged. This concerns {concerned}{more}. {found['error']}"
    for backup, why in damaged.items():
        backup.check_error = why[:2000]
    VolumeBackup.objects.bulk_update(damaged, ("check_error",), batch_size=500)
    RepositoryCheck.objects.filter(pk=row.pk).update(
        state=State.FAILED if is_bad else State.PASSED,
        error=error,
        damaged=names[:MOST_NAMED],
        ended_at=now,
    )
    Repository.objects.filter(pk=row.repository_id).update(
        checked_parts=row.part if row.part < row.parts else 0,
        size_bytes=found["size"],
        measured_at=now,
    )
    if is_bad:
        after = {"error": found["error"], "damaged": names[:MOST_NAMED], "count": len(names)}
        record("repository.damaged", row.repository, row.repository.cluster, by=SYSTEM, after=after)
    if row.part == row.parts:
        note_rotation(row)
    return error.strip()


def stored(row: RepositoryCheck) -> QuerySet[VolumeBackup]:
    """Return the backups that are in the repository, as the rows say."""
    found = VolumeBackup.objects.restorable().filter(snapshot__repository=row.repository)
    return found.select_related("snapshot")


def lost_backups(row: RepositoryCheck, found: Json) -> dict[VolumeBackup, str]:
    """Return the backups that cannot be restored as a whole, each with the reason."""
    lost, listed = set(found["lost"]), set(found["listed"])
    damaged = {}
    for backup in stored(row):
        taken_up = backup.snapshot.adopted_at
        if backup.restic_id in lost:
            damaged[backup] = found["error"]
        # What was taken up since may be younger than the list.
        elif backup.restic_id not in listed and taken_up and taken_up < row.started_at:
            damaged[backup] = MISSING
    return damaged


def lost_environments(row: RepositoryCheck, found: Json) -> list[Snapshot]:
    """Return the snapshots of which services, configs, secrets or manifest cannot be read."""
    lost, listed = set(found["lost"]), set(found["listed"])
    rows = Snapshot.objects.restorable().filter(repository=row.repository)
    return [
        one
        for one in rows.filter(adopted_at__lt=row.started_at).only("due", "part_ids", "cluster")
        if lost & set(one.part_ids) or set(one.part_ids) - listed
    ]


def note_rotation(row: RepositoryCheck) -> None:
    """Mark what was there when a whole rotation began: all of it was read back since.

    Backups that a check has found damaged are marked so until a rotation passes as a whole.
    """
    checks = RepositoryCheck.objects.filter(repository=row.repository)
    first = checks.filter(part=1, pk__lte=row.pk).order_by("-pk").first()
    assert first
    began = first.started_at
    rotation = checks.filter(pk__gte=first.pk, pk__lte=row.pk)
    covered = stored(row).filter(
        Q(finished_at__lt=began) | Q(finished_at=None, due__lt=began - timedelta(hours=1))
    )
    if not rotation.filter(state=State.FAILED).exclude(damaged=[]).exists():
        covered.exclude(check_error="").update(check_error="")
    covered.filter(check_error="").update(checked_at=timezone.now())


def fail_check(operation: Operation) -> None:
    """Let no check seem to run for ever."""
    RepositoryCheck.objects.filter(pk=operation.target_id, state=State.RUNNING).update(
        state=State.FAILED, error=operation.error, ended_at=timezone.now()
    )
    long_run.forget(f"check-{operation.target_id}")


def enqueue_checks() -> None:
    """Queue the next part of each repository that holds something and has waited long enough."""
    if not settings.BACKUPS:
        return
    now = timezone.now()
    rows = Repository.objects.exclude(initialised_at=None).exclude(password="")
    held = rows.filter(snapshots__purged_at=None, snapshots__state__in=("complete", "partial"))
    for row in held.annotate(last=Max("checks__started_at")).select_related("cluster"):
        _, parts = actions.next_part(row)
        if row.last is None or now - row.last >= actions.interval(parts):
            begin(lambda row=row: actions.check_now(row, by=SYSTEM))


register.add(
    "repository.check",
    Kind(
        "Check repository",
        (Step("Read a part back and compare it", check),),
        within=timedelta(hours=12),
        on_failure=fail_check,
    ),
)
