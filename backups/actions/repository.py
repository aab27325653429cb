"""Every write a person can make to where backups are stored."""

import json
import secrets

from django.db import transaction
from django.utils import timezone

from backups import opening, recovery
from backups.models import Repository
from backups.server import serving
from clusters.actions.nodes import record
from clusters.actions.objects import start
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor


@transaction.atomic
def change_repository(row: Repository, *, by: Actor) -> Operation:
    """Prove another storage, and only then store there; the former one's backups stay listed."""
    # Not the current one until it is proven.
    row.retired_at = timezone.now()
    if row.kind == Repository.Kind.EMBEDDED:
        row.folder = f"{row.cluster.slug}-{secrets.token_hex(4)}"[-80:]
        row.node_access = json.dumps({"password": secrets.token_urlsafe(32)})
        row.ca = serving.authority()
    row.password = row.password or secrets.token_urlsafe(32)
    row.save()
    after = {"kind": row.kind, "url": row.url}
    record("repository.change_requested", row, row.cluster, by=by, after=after)
    return begin("repository.change", row, by=by)


@transaction.atomic
def test_repository(row: Repository, *, by: Actor) -> Operation:
    """Show that a repository is reachable, writable, and that nodes cannot delete."""
    record("repository.tested", row, row.cluster, by=by)
    return begin("repository.test", row, by=by)


def begin(kind: str, row: Repository, *, by: Actor) -> Operation:
    """Start an operation on a repository, of which a cluster has one at a time."""
    return start(kind, row, row.cluster, by=by, exclusive=f"repository:{row.cluster_id}")


@transaction.atomic
def change_password(row: Repository, *, by: Actor) -> Operation:
    """Give a repository another password; a change that broke off is carried on with its own."""
    unbegun = Repository.objects.filter(pk=row.pk, next_password="")
    unbegun.update(next_password=secrets.token_urlsafe(32))
    record("repository.password_requested", row, row.cluster, by=by)
    return begin("repository.password", row, by=by)


@transaction.atomic
def make_sheet(cluster: Cluster, row: Repository, *, by: Actor) -> str:
    """Return the recovery sheet, once, and record who has it.

    Whoever could get it again unseen by its first holder would hold the key to all backups.
    """
    now = timezone.now()
    mine = Repository.objects.filter(pk=row.pk, sheet_downloaded_at=None).update(
        sheet_downloaded_at=now, sheet_downloaded_by=by.user
    )
    if not mine:
        raise Failure("The sheet was downloaded already. A new password brings a new sheet.")
    record("repository.sheet_downloaded", row, cluster, by=by)
    return recovery.make(cluster.slug, cluster.name, opening.for_console(row), now)
