"""Delete the backups of a company whose subscription and grace are over, and certify it."""

import logging
import shutil
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from backups import long_run, opening
from backups.models import Outcome, Repository, Restore, Snapshot, VolumeBackup
from backups.server import serving
from medstack.models import Company, Event
from medstack.models.events import SYSTEM
from medstack.operations import Waiting
from medstack.queue import enqueue

logger = logging.getLogger(__name__)
State = Company.Subscription

PURGED = "subscription.purged"
PURGE = "backups.tasks.subscriptions.purge"
REASON = "Deleted with the subscription, after its grace."
Json = dict[str, Any]


def enqueue_ends() -> None:
    """Queue the deletion for every company whose grace is over, until it is certified."""
    certified = Event.objects.filter(company=OuterRef("pk"), action=PURGED)
    begun = Company.objects.filter(subscription=State.PURGED).exclude(Exists(certified))
    for company in (*Company.objects.filter(subscription=State.CANCELLED), *begun):
        if company.subscription == State.PURGED or is_over(company):
            enqueue(PURGE, company.pk)


def is_over(company: Company) -> bool:
    """Say whether a cancelled company's grace is over."""
    ends = company.grace_ends_at
    return bool(ends and ends <= timezone.now())


def purge(pk: int) -> None:
    """Delete one company's backups, repository by repository. Safe to run any number of times.

    What takes long goes on in a process of its own; the next tick looks at it again.
    """
    if not begin(pk):
        return
    company = Company.objects.get(pk=pk)
    rows = Repository.objects.filter(cluster__company=company).exclude(password="")
    # Not stopped by one that is out of reach: the others go at once.
    done = [delete(row) for row in rows.select_related("cluster")]
    if all(done):
        certify(company)


@transaction.atomic
def begin(pk: int) -> bool:
    """Say whether a company's backups may be deleted; from then on there is no return.

    What is on legal hold or being restored keeps all of it.
    """
    company = Company.objects.select_for_update().get(pk=pk)
    if company.subscription == State.CANCELLED and is_over(company) and not obstacles(company):
        company.subscription = State.PURGED
        company.save(update_fields=["subscription"])
    return company.subscription == State.PURGED


def obstacles(company: Company) -> list[str]:
    """Return in words what keeps a company's backups from being deleted."""
    return obstacles_of([company])[company.pk]


def obstacles_of(companies: Collection[Company]) -> dict[int, list[str]]:
    """Return the same of several companies, with two queries for all of them."""
    found: dict[int, list[str]] = {company.pk: [] for company in companies}
    held = Snapshot.objects.filter(cluster__company__in=companies, purged_at=None)
    for snapshot in held.exclude(hold_reason="").select_related("cluster").defer("manifest"):
        said = f"{snapshot.cluster}: {snapshot} is on legal hold ({snapshot.hold_reason})."
        found[snapshot.cluster.company_id].append(said)
    running = Restore.objects.filter(
        snapshot__cluster__company__in=companies, outcome=Outcome.RUNNING
    )
    for one in running.select_related("cluster", "snapshot__cluster").defer("snapshot__manifest"):
        said = f"{one.cluster}: a restore of {one.snapshot} is running."
        found[one.snapshot.cluster.company_id].append(said)
    return found


def delete(row: Repository) -> bool:
    """Delete a repository's data and then its keys; say whether that is done."""
    if row.kind == Repository.Kind.EMBEDDED:
        shutil.rmtree(opening.folder(row), ignore_errors=True)
        if opening.folder(row).exists():
            logger.error("The folder %s could not be deleted.", opening.folder(row))
            return False
    elif row.initialised_at:
        name = f"empty-{row.pk}"
        found = long_run.follow(name, "empty", row)
        if isinstance(found, Waiting):
            return False
        if found["error"]:
            logger.error("%s could not be emptied: %s", row, found["error"])
            long_run.forget(name)
            return False
        long_run.forget(name)
    forget_keys(row)
    return True


@transaction.atomic
def forget_keys(row: Repository) -> None:
    """Mark what was in it as purged; without the keys nothing could be read, copies included."""
    purged = {"purged_at": timezone.now(), "purge_reason": REASON}
    VolumeBackup.objects.filter(snapshot__repository=row, purged_at=None).update(**purged)
    Snapshot.objects.filter(repository=row, purged_at=None).update(**purged)
    Repository.objects.filter(pk=row.pk).update(
        password="", next_password="", console_access="", node_access="", retired_at=timezone.now()
    )
    if row.kind == Repository.Kind.EMBEDDED:
        serving.write_users()


@transaction.atomic
def certify(company: Company) -> None:
    """Record what was deleted, once: the record is chained, and it is the certificate."""
    Company.objects.select_for_update().get(pk=company.pk)
    if not Event.objects.filter(company=company, action=PURGED).exists():
        Event.objects.record(
            PURGED, company, by=SYSTEM, company=company, after=certificate(company)
        )


def certificate(company: Company) -> Json:
    """Return what a certificate of deletion says."""
    rows = Snapshot.objects.filter(cluster__company=company, purge_reason=REASON)
    backups = VolumeBackup.objects.filter(cluster__company=company, purge_reason=REASON)
    repositories = Repository.objects.filter(cluster__company=company)
    return {
        "company": company.name,
        "deleted_at": timezone.now().isoformat(timespec="seconds"),
        "repositories": [str(row) for row in repositories.order_by("pk")],
        "snapshots": rows.count(),
        "volume_backups": backups.count(),
        "bytes": sum(backups.values_list("bytes", flat=True).iterator()),
    }
