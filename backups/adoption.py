"""Take up what agents have put into a repository: the repository is the truth, rows its index."""

import io
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from backups import opening, restic
from backups.agent import tags as tagging
from backups.canonical import BadManifest, digest
from backups.manifest import Expected, Manifest, assemble, check_belongs, parse, serialise
from backups.models import Agent, Repository, Snapshot, VolumeBackup, VolumePolicy
from backups.parts import Report, VolumeKey, VolumePart
from backups.shrink import suspicious
from clusters.actions.nodes import record
from clusters.models import Cluster, Node, Volume
from medstack import sealing
from medstack.models.events import SYSTEM

# So long after its time a snapshot waits for a node's report before it is called partial.
PATIENCE = timedelta(minutes=30)
HOUR = timedelta(hours=1)
FINAL = (Snapshot.State.COMPLETE, Snapshot.State.PARTIAL, Snapshot.State.FAILED)
LOST = "its data is not in the repository."


@dataclass
class Found:
    """What a repository holds of one snapshot: restic's ids of its reports, secrets, manifests."""

    reports: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    volumes: set[str] = field(default_factory=set)

    @property
    def part_ids(self) -> list[str]:
        """Return the ids of all that is not a volume."""
        return sorted({*self.reports, *self.secrets, *self.manifests})


def look(repository: restic.Repository) -> dict[datetime, Found]:
    """Return what a repository holds, by the time of the snapshot that it belongs to."""
    found: dict[datetime, Found] = defaultdict(Found)
    for one in restic.snapshots(repository, tags=[tagging.OURS]):
        told = tagging.read(one.tags)
        if told is None:
            continue
        here = found[told.due]
        if told.kind == "report":
            here.reports[one.id] = one.host
        elif told.kind == "secrets":
            here.secrets.append(one.id)
        elif told.kind == "manifest":
            here.manifests.append(one.id)
        elif told.kind == "volume":
            here.volumes.add(one.id)
    return found


def adopt(cluster: Cluster, row: Repository, *, final: Iterable[datetime] = ()) -> list[str]:
    """Make rows of everything that has none yet; return in words what could not be taken up.

    `final` are times whose snapshot waits for nobody any more. Safe to run any number of times.
    """
    repository, problems = opening.for_console(row), []
    done = {
        one.due: one
        for one in Snapshot.objects.filter(cluster=cluster).only("due", "state", "part_ids")
    }
    for due, found in sorted(look(repository).items()):
        if due > timezone.now() + HOUR:
            problems.append(f"{due:%Y-%m-%d %H:%M} lies in the future: a node's clock is wrong.")
            continue
        known = done.get(due)
        if known and known.state in FINAL and set(found.reports) <= set(known.part_ids):
            continue
        try:
            take_up(cluster, row, repository, due, found, is_final=due in set(final))
        except (BadManifest, restic.NotFound, restic.Damaged) as error:
            problems.append(f"{due:%Y-%m-%d %H:%M}: {error}")
    return problems


def take_up(
    cluster: Cluster,
    row: Repository,
    repository: restic.Repository,
    due: datetime,
    found: Found,
    *,
    is_final: bool,
) -> None:
    """Make the rows of one snapshot: from its manifest, or from the reports that arrived."""
    exists = Snapshot.objects.filter(cluster=cluster, due=due).exists()
    if found.manifests and not exists:
        content = b"".join(restic.dump(repository, found.manifests[-1], tagging.MANIFEST))
        manifest = parse(Manifest, content)
        check_belongs(manifest, cluster.slug)
        trigger = trigger_of(repository, found, due)
        save(cluster, row, manifest, content, found, [], trigger=trigger)
        return
    reports = [read(repository, one) for one in found.reports]
    if not reports:
        return
    for report in reports:
        check_belongs(report, cluster.slug)
        Agent.objects.filter(node__cluster=cluster, node__name=report.node).update(
            last_report_due=due
        )
    expected = expectation(cluster, due)
    missing = expected.nodes - {report.node for report in reports}
    trigger = Snapshot.Trigger(reports[0].trigger)
    if missing and not is_final and timezone.now() < due + PATIENCE:
        Snapshot.objects.get_or_create(
            cluster=cluster,
            due=due,
            defaults={"repository": row, "trigger": trigger, "started_at": reports[0].started},
        )
        return
    whole = [replace(one, volumes=present(one.volumes, found)) for one in reports]
    manifest = replace(assemble(expected, whole), anchor=sealing.head(cluster.company_id))
    content = serialise(manifest)
    kept = restic.backup_stdin(
        repository,
        io.BytesIO(content),
        tagging.MANIFEST.lstrip("/"),
        host=tagging.CONSOLE,
        tags=tagging.tags("manifest", due),
    )
    ids = [one.id for one in restic.snapshots(repository, tags=tagging.tags("manifest", due))]
    found.manifests = [one for one in ids if one.startswith(kept.snapshot_id)] + found.manifests
    save(cluster, row, manifest, content, found, reports, trigger=trigger)


def trigger_of(repository: restic.Repository, found: Found, due: datetime) -> Snapshot.Trigger:
    """Return why a snapshot was taken, by a report of it; a full hour needs none."""
    if due == hour(due):
        return Snapshot.Trigger.HOURLY
    for one in found.reports:
        # The manifest is what matters; a report that is lost must not keep it from being taken up.
        with suppress(BadManifest, restic.ResticError):
            return Snapshot.Trigger(read(repository, one).trigger)
    return Snapshot.Trigger.MANUAL


def hour(moment: datetime) -> datetime:
    """Return the full hour that a moment is in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def read(repository: restic.Repository, identity: str) -> Report:
    """Read one report from the repository."""
    return parse(Report, b"".join(restic.dump(repository, identity, tagging.REPORT)))


def expectation(cluster: Cluster, due: datetime) -> Expected:
    """Return who had to report and which volumes had to be captured at a time."""
    joined = Node.objects.filter(cluster=cluster).exclude(swarm_node_id="")
    nodes = [
        node
        for node in joined.filter(created_at__lt=due + HOUR)
        if node.removed_at is None or node.removed_at > due
    ]
    volumes = Volume.objects.filter(
        node__in=nodes, gone_at=None, is_anonymous=False, observed_at__lt=due
    ).select_related("node")
    policies = VolumePolicy.objects.filter(cluster=cluster).exclude(excluded_reason="")
    return Expected(
        cluster=cluster.slug,
        due=due,
        nodes=frozenset(node.name for node in nodes),
        volumes=frozenset(
            VolumeKey(one.node.name, one.name)
            for one in volumes
            if one.labels.get("medstack.backup") != "never"
        ),
        excluded={
            VolumeKey(one.node_name, one.volume_name): one.excluded_reason for one in policies
        },
    )


def present(parts: Iterable[VolumePart], found: Found) -> tuple[VolumePart, ...]:
    """Return the parts as they are: one whose data the repository does not list has failed."""
    return tuple(
        part
        if part.state != "captured" or part.snapshot in found.volumes
        else VolumePart(node=part.node, volume=part.volume, state="failed", reason=LOST)
        for part in parts
    )


@transaction.atomic
def save(
    cluster: Cluster,
    row: Repository,
    manifest: Manifest,
    content: bytes,
    found: Found,
    reports: list[Report],
    *,
    trigger: str,
) -> Snapshot:
    """Save a snapshot with all its volumes; a later and better manifest replaces the former."""
    captured = [part for part in manifest.volumes if part.state == "captured"]
    times = [part.started for part in captured] + [part.finished for part in captured]
    times += [moment for one in reports for moment in (one.started, one.finished)]
    known = [moment for moment in times if moment]
    values = {
        "repository": row,
        "trigger": trigger,
        "state": manifest.state,
        "reasons": list(manifest.reasons),
        "manifest": content.decode(),
        "manifest_sha256": digest(content),
        "part_ids": found.part_ids,
        "started_at": min(known, default=manifest.due),
        "finished_at": max(known, default=manifest.due),
        "adopted_at": timezone.now(),
        "volumes_count": len(captured),
        "files": sum(part.files for part in captured),
        "bytes": sum(part.bytes for part in captured),
        "added_bytes": sum(part.added_bytes for part in captured),
    }
    snapshot, _ = Snapshot.objects.update_or_create(
        cluster=cluster, due=manifest.due, defaults=values
    )
    nodes = {node.name: node for node in Node.objects.filter(cluster=cluster).order_by("pk")}
    for part in manifest.volumes:
        save_volume(snapshot, part, nodes.get(part.node))
    record(
        f"snapshot.{manifest.state}",
        snapshot,
        cluster,
        by=SYSTEM,
        after={
            "volumes": len(captured),
            "bytes": values["bytes"],
            "sha256": values["manifest_sha256"],
            **({"reasons": list(manifest.reasons)[:20]} if manifest.reasons else {}),
        },
    )
    return snapshot


def save_volume(snapshot: Snapshot, part: VolumePart, node: Node | None) -> None:
    """Save what became of one volume."""
    before = (
        VolumeBackup.objects.filter(
            cluster=snapshot.cluster,
            node_name=part.node,
            volume_name=part.volume,
            state=VolumeBackup.State.CAPTURED,
            due__lt=snapshot.due,
        )
        .order_by("-due")
        .first()
    )
    VolumeBackup.objects.update_or_create(
        snapshot=snapshot,
        node_name=part.node,
        volume_name=part.volume,
        defaults={
            "cluster": snapshot.cluster,
            "due": snapshot.due,
            "node": node,
            "state": part.state,
            "reason": part.reason,
            "suspicion": suspicious(before, part) if part.state == "captured" else "",
            "restic_id": part.snapshot,
            "tree": part.tree,
            "files": part.files,
            "bytes": part.bytes,
            "added_bytes": part.added_bytes,
            "started_at": part.started,
            "finished_at": part.finished,
        },
    )
