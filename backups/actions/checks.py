"""Every write a person can make to the proof that a repository can be read back."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from backups.models import Repository, RepositoryCheck
from clusters.actions.nodes import record
from clusters.actions.objects import start
from medstack.models import Operation
from medstack.models.events import Actor

# Of data in one part, while which is read nobody else gets into the repository.
PART_BYTES = 5_000_000_000
# restic tells packs apart by the first byte of their names.
MOST_PARTS = 256
# All of it is read within this time, a small repository as a whole every day.
ROTATION, DAILY = timedelta(days=30), timedelta(hours=24)


@transaction.atomic
def check_now(row: Repository, *, by: Actor) -> Operation:
    """Read the next part of a repository back, and compare it."""
    part, parts = next_part(row)
    now = timezone.now()
    check = RepositoryCheck.objects.create(repository=row, part=part, parts=parts, started_at=now)
    record("repository.check_requested", row, row.cluster, by=by, after={"part": str(check)})
    operation = start(
        "repository.check", check, row.cluster, by=by, exclusive=f"repository:{row.cluster_id}"
    )
    RepositoryCheck.objects.filter(pk=check.pk).update(operation=operation)
    return operation


def next_part(row: Repository) -> tuple[int, int]:
    """Return the part that is read next, and of how many; they are counted anew each rotation."""
    last = row.checks.order_by("-pk").first()
    if row.checked_parts and last and row.checked_parts < last.parts:
        return row.checked_parts + 1, last.parts
    return 1, parts_of(row.size_bytes or 0)


def parts_of(size: int) -> int:
    """Return in how many parts a repository of this size is read."""
    return max(1, min(MOST_PARTS, -(-size // PART_BYTES)))


def interval(parts: int) -> timedelta:
    """Return the time from one part to the next, so that a rotation takes 30 days at most."""
    return min(DAILY, ROTATION / parts)
