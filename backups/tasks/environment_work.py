"""What the steps of restoring an environment share: its row, what is wanted, and its results."""

from dataclasses import dataclass
from typing import Any

from backups import opening, restic
from backups.manifest import Manifest
from backups.models import Repository, Restore
from backups.target import manifest_of, mapped, places_of, wanted_of
from backups.wanted import Wanted
from clusters.models import Cluster, Node
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor
from medstack.operations import Waiting, note

Json = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """One restore as a step finds it."""

    row: Restore
    manifest: Manifest
    wanted: Wanted

    @property
    def cluster(self) -> Cluster:
        """Return where everything is restored to."""
        return self.row.cluster

    @property
    def by(self) -> Actor:
        """Return who asked for it."""
        return Actor(user=self.row.requested_by)

    @property
    def repository(self) -> Repository:
        """Return where the snapshot is stored."""
        found = self.row.snapshot.repository
        if found is None:
            raise Failure("It is not known in which repository the snapshot is.")
        return found

    @property
    def for_nodes(self) -> restic.Repository:
        """Return the repository as nodes may use it."""
        return opening.for_nodes(self.repository)

    def node(self, name: str) -> Node:
        """Return a node of the cluster by its name."""
        return Node.objects.present().select_related("cluster").get(cluster=self.cluster, name=name)


def row_of(operation: Operation) -> Restore:
    """Return the operation's restore as it is now."""
    rows = Restore.objects.select_related(
        "cluster__company", "snapshot__cluster", "snapshot__repository", "requested_by"
    )
    return rows.get(pk=operation.target_id)


def work_of(operation: Operation) -> Work:
    """Return what a restore has to do, from its snapshot and the map that was chosen."""
    row = row_of(operation)
    manifest = manifest_of(row.snapshot)
    nodes = mapped(manifest, places_of(row.cluster), row.plan["nodes"])
    return Work(row, manifest, wanted_of(row.snapshot, manifest, nodes))


def keep(row: Restore, **values: Any) -> None:
    """Keep what a step has found out, so that another restore can go on from there."""
    row.result = {**Restore.objects.values_list("result", flat=True).get(pk=row.pk), **values}
    Restore.objects.filter(pk=row.pk).update(result=row.result)


def newest(kind: str, target_id: int, work: Work) -> Operation | None:
    """Return the newest operation on an object that comes back."""
    rows = Operation.objects.filter(target_kind=kind, target_id=target_id, cluster=work.cluster)
    return rows.order_by("-pk").first()


def ended(one: Operation, what: str) -> Waiting | None:
    """Wait for another operation; raise Failure in its words when it failed."""
    if one.is_active:
        return Waiting(f"{what}: {one.detail or 'it is being made.'}", one.percentage / 100)
    if one.state == Operation.State.FAILED:
        raise Failure(f"{what}: {one.error}")
    return None


def together(waiting: list[Waiting], of: int) -> Waiting | None:
    """Return one wait for many."""
    if not waiting:
        return None
    words = "; ".join(one.detail for one in waiting[:3])
    more = f" and {len(waiting) - 3} others" if len(waiting) > 3 else ""
    share = (of - len(waiting) + sum(min(one.fraction, 1) for one in waiting)) / max(of, 1)
    return Waiting(words + more, share, again_in=1)


def told(operation: Operation, made: int, noun: str) -> None:
    """Note how many objects a step has made."""
    if made:
        note(operation, f"{made} {noun}{'s' * (made != 1)} created.")
