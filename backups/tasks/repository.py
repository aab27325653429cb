"""Give every cluster its repository, and make it so in the storage."""

import json
import secrets

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from backups import opening, restic
from backups.models import Repository
from backups.server import serving
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.models.events import SYSTEM
from medstack.queue import enqueue

INITIALISE = "backups.tasks.repository.initialise"


def ensure_repositories() -> None:
    """Give each cluster with a Docker environment an embedded repository, unless it has one."""
    if not settings.BACKUPS:
        return
    for cluster in Cluster.objects.exclude(swarm_id=""):
        if not Repository.objects.current().filter(cluster=cluster).exists():
            create_embedded(cluster)
    for pk in Repository.objects.current().filter(initialised_at=None).values_list("pk", flat=True):
        enqueue(INITIALISE, pk)


def create_embedded(cluster: Cluster) -> Repository | None:
    """Create the row of a cluster's embedded repository; None if another was quicker."""
    folder = f"{cluster.slug}-{secrets.token_hex(4)}"[-80:]
    try:
        with transaction.atomic():
            row = Repository.objects.create(
                cluster=cluster,
                folder=folder,
                password=secrets.token_urlsafe(32),
                node_access=json.dumps({"password": secrets.token_urlsafe(32)}),
                ca=serving.authority(),
            )
            record("repository.created", row, cluster, by=SYSTEM, after={"kind": row.kind})
    except IntegrityError:
        return None
    return row


def initialise(pk: int) -> None:
    """Make the repository in its storage, and let its nodes in. Safe to run any number of times."""
    row = Repository.objects.filter(pk=pk, retired_at=None).first()
    if row is None:
        return
    repository = opening.for_console(row)
    if row.kind == Repository.Kind.EMBEDDED:
        opening.folder(row).mkdir(parents=True, exist_ok=True)
        serving.write_users()
    try:
        if not restic.exists(repository):
            restic.initialise(repository)
    except restic.ResticError as error:
        Repository.objects.filter(pk=pk).update(test_error=str(error), tested_at=timezone.now())
        return
    Repository.objects.filter(pk=pk, initialised_at=None).update(
        initialised_at=timezone.now(), test_error="", is_append_only=None
    )
