"""The API's part for snapshots, restores and evidence."""

from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema, Status
from ninja.pagination import paginate
from pydantic import Field

from backups.actions import restores as restore_actions
from backups.actions import snapshots as snapshot_actions
from backups.evidence import download
from backups.evidence.signing import signing_keys
from backups.forms.evidence import EvidenceForm
from backups.forms.restore import RestoreForm
from backups.models import EvidenceReport, Restore, Snapshot, VolumeBackup
from backups.views.evidence import handed_out
from backups.views.snapshots import snapshot_for
from backups.views.volume_backups import backup_for
from clusters.models import Cluster
from medstack import access
from medstack.api import Accepted, OperationOut, Pages, Pk, answers, checked, may_change, told

router = Router()
SNAPSHOTS, RESTORES, EVIDENCE = ["Snapshots"], ["Restores"], ["Evidence"]
# A report is a file in one of three forms, not JSON with a schema.
FILE: dict[str, Any] = {
    "responses": {
        200: {
            "description": "The signed report.",
            "content": {kind.partition(";")[0]: {} for kind in download.TYPES.values()},
        }
    }
}


class SnapshotOut(Schema):
    """A snapshot of an environment, and what became of it."""

    id: int
    due: datetime
    trigger: str
    state: str
    reasons: list[Any]
    volumes_count: int
    files: int
    bytes: int
    added_bytes: int
    manifest_sha256: str
    finished_at: datetime | None
    hold_reason: str
    purged_at: datetime | None
    purge_reason: str


class VolumeBackupOut(Schema):
    """The backup of one volume of one node, and how far it is proven."""

    id: int
    node_name: str
    volume_name: str
    state: str
    reason: str
    verification: str
    files: int
    bytes: int
    added_bytes: int
    tree: str
    purged_at: datetime | None


class RestoreOut(Schema):
    """A restore, and how what came back compares."""

    id: int
    mode: str
    snapshot_id: int
    volume_backup_id: int | None
    node: str | None
    volume_name: str
    outcome: str
    requested_by: str
    operation_id: int | None
    started_at: datetime
    ended_at: datetime | None

    @staticmethod
    def resolve_node(row: Restore) -> str | None:
        """Return the node's name; a whole environment has several."""
        return row.node.name if row.node else None

    @staticmethod
    def resolve_requested_by(row: Restore) -> str:
        """Return the name that the record keeps."""
        return row.requested_by_name


class RestoreIn(Schema):
    """Where to: a node of the backup's cluster, or of another one of the company."""

    node: str
    name: str = Field(description="The new volume's name; nothing is ever overwritten.")
    cluster: str = Field("", description="The cluster's slug; empty: the backup's own.")


class ReportOut(Schema):
    """A report that was made; its digest and signature prove a copy of it."""

    id: int
    cluster: str | None
    starts_at: datetime
    ends_at: datetime
    format: str
    sha256: str
    signature: str
    rows: int
    bytes: int
    made_by: str
    made_at: datetime

    @staticmethod
    def resolve_cluster(row: EvidenceReport) -> str | None:
        """Return the cluster's slug; None is all of the company's."""
        return row.cluster.slug if row.cluster else None

    @staticmethod
    def resolve_made_by(row: EvidenceReport) -> str:
        """Return the name that the record keeps."""
        return row.made_by_name


class ReportIn(Schema):
    """A window of whole days in UTC, and how the report is written."""

    first: date
    last: date
    format: str = Field("json", description="pdf, csv or json")


@router.get("/clusters/{slug}/snapshots", response=answers(200, list[SnapshotOut]), tags=SNAPSHOTS)
@paginate(Pages)
def snapshots(request: HttpRequest, slug: str, **page: Any) -> QuerySet[Snapshot]:
    """List a cluster's snapshots, the newest first."""
    found = Snapshot.objects.filter(cluster=access.cluster_for(request, slug))
    return found.defer("manifest").order_by("-due")


@router.post("/clusters/{slug}/snapshots", response=answers(202, OperationOut), tags=SNAPSHOTS)
def snapshot_now(request: HttpRequest, slug: str) -> Accepted:
    """Take a snapshot at once."""
    may_change(request)
    found = access.cluster_for(request, slug, access.OPERATE)
    return Status(202, snapshot_actions.snapshot_now(found, by=access.actor(request)))


@router.get("/clusters/{slug}/snapshots/{pk}", response=answers(200, SnapshotOut), tags=SNAPSHOTS)
def snapshot(request: HttpRequest, slug: str, pk: Pk) -> Snapshot:
    """Show one snapshot."""
    return snapshot_for(request, slug, pk)


@router.get(
    "/clusters/{slug}/snapshots/{pk}/volumes",
    response=answers(200, list[VolumeBackupOut]),
    tags=SNAPSHOTS,
)
@paginate(Pages)
def snapshot_volumes(
    request: HttpRequest, slug: str, pk: Pk, **page: Any
) -> QuerySet[VolumeBackup]:
    """List the backups of volumes in a snapshot."""
    found = VolumeBackup.objects.filter(snapshot=snapshot_for(request, slug, pk))
    return found.order_by("node_name", "volume_name")


@router.post(
    "/clusters/{slug}/volume-backups/{pk}/restore",
    response=answers(202, OperationOut),
    tags=RESTORES,
)
def restore_volume(request: HttpRequest, slug: str, pk: Pk, sent: RestoreIn) -> Accepted:
    """Restore a backup as a new volume; to overwrite one, a person is needed."""
    may_change(request)
    backup = backup_for(request, slug, pk, access.OPERATE)
    node = access.node_for(request, sent.cluster or slug, sent.node, access.OPERATE)
    form = RestoreForm(
        {"node": node.pk, "mode": Restore.Mode.NEW, "name": sent.name}, backup=backup
    )
    values = checked(form)
    by = access.actor(request)
    return Status(
        202,
        restore_actions.restore_volume(
            backup, values["node"], values["name"], values["mode"], by=by
        ),
    )


@router.get("/clusters/{slug}/restores", response=answers(200, list[RestoreOut]), tags=RESTORES)
@paginate(Pages)
def restores(request: HttpRequest, slug: str, **page: Any) -> QuerySet[Restore]:
    """List what was restored to a cluster, the newest first."""
    found = Restore.objects.filter(cluster=access.cluster_for(request, slug))
    return found.select_related("node").defer("plan").order_by("-pk")


@router.get("/clusters/{slug}/restores/{pk}", response=answers(200, RestoreOut), tags=RESTORES)
def restore(request: HttpRequest, slug: str, pk: Pk) -> Restore:
    """Show one restore."""
    rows = Restore.objects.filter(cluster=access.cluster_for(request, slug))
    return get_object_or_404(rows.select_related("node"), pk=pk)


@router.get("/evidence", response=answers(200, list[ReportOut]), tags=EVIDENCE)
@paginate(Pages)
def reports(request: HttpRequest, **page: Any) -> QuerySet[EvidenceReport]:
    """List the reports of the token's company, the newest first."""
    found = EvidenceReport.objects.filter(company__in=access.companies_of(request))
    return found.select_related("cluster").order_by("-pk")


@router.post("/evidence", response=told(), openapi_extra=FILE, tags=EVIDENCE)
def company_report(request: HttpRequest, sent: ReportIn) -> StreamingHttpResponse:
    """Make a signed report of all of the company's clusters, and send it."""
    clusters = list(access.clusters_for(request).select_related("company"))
    return report(request, sent, clusters, one=False)


@router.post("/clusters/{slug}/evidence", response=told(), openapi_extra=FILE, tags=EVIDENCE)
def cluster_report(request: HttpRequest, slug: str, sent: ReportIn) -> StreamingHttpResponse:
    """Make a signed report of one cluster, and send it."""
    return report(request, sent, [access.cluster_for(request, slug)], one=True)


def report(
    request: HttpRequest, sent: ReportIn, clusters: list[Cluster], *, one: bool
) -> StreamingHttpResponse:
    """Send a report; it is recorded as if a person had downloaded it."""
    companies = list(access.companies_of(request))
    values = {"first": sent.first, "last": sent.last, "format": sent.format}
    if not one:
        values["covers"] = f"company-{companies[0].pk}"
    form = EvidenceForm(
        values, companies=companies, clusters=clusters, today=timezone.now().date(), one=one
    )
    keys = signing_keys()
    checked(form)
    return handed_out(request, form, keys)
