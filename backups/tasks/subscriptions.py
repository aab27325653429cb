"""Delete the backups of a company whose subscription and grace are over, and certify it."""

import shutil
from typing import Any

from django.db import transaction
from django.utils import timezone

from backups import opening, restic
from backups.models import Repository, Snapshot, VolumeBackup
from backups.server import serving
from medstack.models import Company, Event
from medstack.models.events import SYSTEM
from medstack.queue import enqueue

PURGE = "backups.tasks.subscriptions.purge"
REASON = "Deleted with the subscription, after its grace."
Json = dict[str, Any]


def enqueue_ends() -> None:
    """Queue the deletion for every company whose grace is over."""
    for company in Company.objects.filter(subscription=Company.Subscription.CANCELLED):
        if company.grace_ends_at and company.grace_ends_at <= timezone.now():
            enqueue(PURGE, company.pk)


def purge(pk: int) -> None:
    """Delete one company's backups, repository by repository. Safe to run any number of times."""
    company = Company.objects.get(pk=pk)
    over = company.grace_ends_at and company.grace_ends_at <= timezone.now()
    if company.subscription != Company.Subscription.CANCELLED or not over:
        return
    rows = Repository.objects.filter(cluster__company=company).exclude(password="")
    for row in rows.select_related("cluster"):
        delete(row)
        forget_keys(row)
    certify(company)


def delete(row: Repository) -> None:
    """Delete a repository's data; raise ResticError where that is not possible now."""
    if row.kind == Repository.Kind.EMBEDDED:
        shutil.rmtree(opening.folder(row), ignore_errors=True)
        return
    repository = opening.for_console(row)
    restic.forget(repository, [one.id for one in restic.snapshots(repository)])
    restic.prune(repository)


@transaction.atomic
def forget_keys(row: Repository) -> None:
    """Mark what was in it as purged; without the keys nothing could be read, copies included."""
    purged = {"purged_at": timezone.now(), "purge_reason": REASON}
    VolumeBackup.objects.filter(snapshot__repository=row, purged_at=None).update(**purged)
    Snapshot.objects.filter(repository=row, purged_at=None).update(**purged)
    Repository.objects.filter(pk=row.pk).update(
        password="", console_access="", node_access="", retired_at=timezone.now()
    )
    if row.kind == Repository.Kind.EMBEDDED:
        serving.write_users()


@transaction.atomic
def certify(company: Company) -> None:
    """Record what was deleted: the record is chained, and it is the certificate."""
    changed = Company.objects.filter(
        pk=company.pk, subscription=Company.Subscription.CANCELLED
    ).update(subscription=Company.Subscription.PURGED)
    if changed:
        Event.objects.record(
            "subscription.purged", company, by=SYSTEM, company=company, after=certificate(company)
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
