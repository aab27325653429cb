"""Make evidence reports: a row when one is begun, an audit record when it has been handed out."""

from django.db import transaction

from backups.models import EvidenceReport
from backups.schedule import Window
from clusters.models import Cluster
from medstack.models import Company, Event
from medstack.models.events import Actor


def begin(
    company: Company, cluster: Cluster | None, window: Window, form: str, *, by: Actor
) -> EvidenceReport:
    """Make the row of a report, which gives the file its number."""
    return EvidenceReport.objects.create(
        company=company,
        cluster=cluster,
        starts_at=window.start,
        ends_at=window.end,
        format=form,
        made_by=by.user,
        made_by_name=by.name,
    )


@transaction.atomic
def finish(
    report: EvidenceReport, *, sha256: str, signature: str, rows: int, length: int, by: Actor
) -> None:
    """Keep what was handed out; without a digest its download was broken off."""
    report.sha256, report.signature = sha256, signature
    report.rows, report.bytes = rows, length
    report.save(update_fields=("sha256", "signature", "rows", "bytes"))
    Event.objects.record(
        "evidence.downloaded",
        report,
        by=by,
        company=report.company,
        cluster_id=report.cluster_id,
        after={
            "from": report.starts_at.isoformat(),
            "to": report.ends_at.isoformat(),
            "format": report.format,
            "complete": bool(sha256),
            "sha256": sha256,
            "backups": rows,
            "bytes": length,
        },
    )
