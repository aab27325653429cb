"""Give every cluster its repository, and make it so in the storage."""

import io
import json
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from backups import opening, restic
from backups.models import Protection, Repository
from backups.restic import keys
from backups.server import serving
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register
from medstack.queue import enqueue

TEST, TEST_TAG = b"MedStack Control was here.\n", "medstack-test"
# Where only the storage itself can keep somebody who adds from writing over.
UNTRIED = {
    Repository.Kind.S3: "S3 lets whoever may add write over: the bucket has to keep versions, "
    "which the nodes' key must not be allowed to delete.",
    Repository.Kind.SFTP: "Writing over was not tried: the forced command's server refuses it.",
}
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
    """Make an embedded repository, and let its nodes in. Safe to run beside itself, and again."""
    row = Repository.objects.filter(pk=pk, retired_at=None, kind=Repository.Kind.EMBEDDED).first()
    if row is None:
        return
    try:
        make_folder(row)
        restic.exists(opening.for_console(row))
    except Failure as error:
        Repository.objects.filter(pk=pk).update(test_error=str(error), tested_at=timezone.now())
        return
    serving.write_users()
    Repository.objects.filter(pk=pk, initialised_at=None).update(
        initialised_at=timezone.now(), test_error="", is_append_only=None
    )


def make_folder(row: Repository) -> None:
    """Put a whole repository into its place, or leave what is there.

    restic makes the key before the config, and takes no care of a second one that does so, too:
    whose master key the config is then written with is chance. So each is made aside and moved.
    """
    folder = opening.folder(row)
    if (folder / "config").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        made = Path(aside) / "made"
        restic.initialise(restic.Repository(str(made), row.password))
        keys.ease(made, row.password)
        # It refuses where somebody was quicker; what they moved there is as good.
        with suppress(OSError):
            made.rename(folder)
    if not (folder / "config").exists():
        raise Failure(f"{folder} holds something else than a repository; empty it.")


def row_of(operation: Operation) -> Repository:
    """Return the operation's repository as it is now."""
    return Repository.objects.select_related("cluster__company").get(pk=operation.target_id)


def open_it(operation: Operation) -> Waiting | None:
    """Open the repository with its password; make it where nothing is yet."""
    row = row_of(operation)
    if row.kind == Repository.Kind.EMBEDDED:
        make_folder(row)
        serving.write_users()
    repository = opening.for_console(row)
    if not restic.exists(repository):
        restic.initialise(repository)
        return None
    others = {
        one.host
        for one in restic.snapshots(repository)
        if f"cluster:{row.cluster.slug}" not in one.tags
        and any(tag.startswith("cluster:") for tag in one.tags)
    }
    if others:
        raise Failure("This repository belongs to another cluster.")
    return None


def write_as_node(operation: Operation) -> Waiting | None:
    """Store a few bytes with the nodes' credentials, and read them again."""
    row = row_of(operation)
    nodes = opening.for_nodes(row)
    restic.backup_stdin(
        nodes, io.BytesIO(TEST), "test", host="test", tags=[TEST_TAG, f"cluster:{row.cluster.slug}"]
    )
    found = restic.snapshots(nodes, tags=[TEST_TAG])
    if not found or b"".join(restic.dump(nodes, found[-1].id, "/test")) != TEST:
        raise Failure("What the nodes' credentials stored could not be read again.")
    return None


def refuse_overwriting(operation: Operation) -> Waiting | None:
    """Try to write over what is there with the nodes' credentials; only a refusal is good."""
    row = row_of(operation)
    nodes = opening.for_nodes(row)
    stored = restic.snapshots(nodes, tags=[TEST_TAG])[-1].id
    could = restic.can_overwrite(nodes, stored)
    if could is None:
        note(operation, UNTRIED[Repository.Kind(row.kind)])
    if could:
        Repository.objects.filter(pk=row.pk).update(is_append_only=False)
        restic.forget(opening.for_console(row), [stored])
        raise Failure(
            "The nodes' credentials could write over what is there. Let the nodes use a server "
            "that is append-only, at an address of their own."
        )
    return None


def refuse_deletion(operation: Operation) -> Waiting | None:
    """Try to delete with the nodes' credentials; only a refusal is good."""
    row = row_of(operation)
    console = opening.for_console(row)
    # What is refused may leave its lock behind, and would stand in the way of its own second try.
    restic.unlock(console)
    wanted = [one.id for one in restic.snapshots(opening.for_nodes(row), tags=[TEST_TAG])]
    try:
        restic.forget(opening.for_nodes(row), wanted)
    except restic.ResticError as error:
        note(operation, f"Refused, as it must be: {error}")
    restic.unlock(console)
    left = restic.snapshots(console, tags=[TEST_TAG])
    is_append_only = {one.id for one in left} >= set(wanted)
    Repository.objects.filter(pk=row.pk).update(is_append_only=is_append_only)
    restic.forget(console, [one.id for one in left])
    if not is_append_only:
        raise Failure(
            "The nodes' credentials could delete. Whoever takes a node over could take the "
            "backups with it: use credentials that may only add and read."
        )
    return None


def note_test(operation: Operation) -> Waiting | None:
    """Record that the test went well."""
    Repository.objects.filter(pk=operation.target_id).update(
        tested_at=timezone.now(), test_error=""
    )
    return None


@transaction.atomic
def take_over(operation: Operation) -> Waiting | None:
    """Let new backups go to the proven repository; the former one stays for its backups."""
    row, now = row_of(operation), timezone.now()
    Repository.objects.current().filter(cluster=row.cluster).exclude(pk=row.pk).update(
        retired_at=now
    )
    Repository.objects.filter(pk=row.pk).update(
        retired_at=None, initialised_at=row.initialised_at or now, tested_at=now, test_error=""
    )
    record("repository.changed", row, row.cluster, by=SYSTEM, after={"kind": row.kind})
    # The agents hear of it at once.
    Protection.objects.filter(cluster=row.cluster).update(applied_at=None)
    return None


def note_failure(operation: Operation) -> None:
    """Keep why the test failed where the page shows it."""
    Repository.objects.filter(pk=operation.target_id).update(
        tested_at=timezone.now(), test_error=operation.error
    )


PROOF = (
    Step("Reach and open it", open_it),
    Step("Store and read with the nodes' credentials", write_as_node),
    Step("See the nodes refused to overwrite", refuse_overwriting),
    Step("See the nodes refused to delete", refuse_deletion),
)
register.add(
    "repository.test",
    Kind("Test repository", (*PROOF, Step("Record it", note_test)), on_failure=note_failure),
)
register.add(
    "repository.change",
    Kind("Change repository", (*PROOF, Step("Store there", take_over)), on_failure=note_failure),
)
