"""Read the rows that a report is made of, one cluster after another and a piece at a time."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backups.canonical import canonical, plain
from backups.evidence import proofs, report
from backups.evidence.covered import Covered
from backups.evidence.reading import in_order
from backups.evidence.report import Entry, entry
from backups.evidence.stored import storage_of, storages
from backups.evidence.tiers import Tiers, tiers
from backups.models import Protection, Snapshot, VolumeBackup
from backups.schedule import Comparison, Window, scheduled_against_actual
from clusters.models import Cluster
from medstack.models import Company
from medstack.models.events import Seal

SNAPSHOT = (
    "trigger, state, reasons, volumes_count, files, bytes, added_bytes, manifest_sha256, "
    "purged_at, purge_reason, hold_reason"
).split(", ")
BACKUP = (
    "snapshot_id, node_name, volume_name, state, reason, files, bytes, added_bytes, tree, "
    "restic_id, suspicion, checked_at, check_error, drilled_at, drilled, purged_at, purge_reason, "
    "snapshot__repository_id"
).split(", ")


@dataclass(frozen=True)
class Question:
    """What a report is about: which clusters of a company, which window, and who asks when."""

    number: int
    company: Company
    clusters: Sequence[Cluster]
    window: Window
    made_at: datetime
    made_by: str
    signing_key: str
    made_with: str = "MedStack Control 1.0.0"
    covers: str = ""


class Facts:
    """The entries of one report; they can be read once, and are counted on the way."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.backups = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in their order."""
        asked = self.question
        yield self.head()
        for rule, promise in report.POLICY:
            yield entry("policy", rule=rule, promise=promise)
        yield chain_head(asked.company)
        kept = tiers(asked.clusters, asked.made_at)
        for cluster in asked.clusters:
            yield from self.of_cluster(cluster, kept)
        yield entry(
            "total",
            clusters=len(asked.clusters),
            backups=self.backups,
            backups_sha256=self.digest.hexdigest(),
        )

    def head(self) -> Entry:
        """Return what the report is about."""
        asked = self.question
        return entry(
            "report",
            number=asked.number,
            company=asked.company.name,
            covers=asked.covers or ", ".join(cluster.name for cluster in asked.clusters),
            from_=plain(asked.window.start),
            to=plain(asked.window.end),
            made_at=plain(asked.made_at.replace(microsecond=0)),
            made_by=asked.made_by,
            made_with=asked.made_with,
            format=report.FORMAT,
            encryption=report.ENCRYPTION,
            signing_key=asked.signing_key,
        )

    def of_cluster(self, cluster: Cluster, kept: Tiers) -> Iterator[Entry]:
        """Yield all that is known of one cluster in the window."""
        asked = self.question
        window = asked.window
        protection = Protection.objects.filter(cluster=cluster).first()
        since = protection.since if protection else None
        ended = protection.ended_at if protection else None
        due = report.due_window(window, since, ended, asked.made_at)
        compared = compare(cluster, window, due)
        hours = compared.hours
        yield entry(
            "cluster",
            cluster=cluster.name,
            slug=cluster.slug,
            company=asked.company.name,
            protected_since=plain(since),
            protection_ended=plain(ended),
            first_hour=plain(min(hours)) if hours else None,
            last_hour=plain(max(hours)) if hours else None,
        )
        yield from storages(cluster)
        why: dict[datetime, str] = {}
        yield from snapshots(cluster, window, compared, why)
        for gap in report.gaps(hours):
            inside = dict.fromkeys(
                why[hour] for hour in hours if gap.start <= hour < gap.end and why.get(hour)
            )
            yield entry(
                "gap",
                cluster=cluster.name,
                from_=plain(gap.start),
                to=plain(gap.end),
                hours=gap.hours,
                states=", ".join(gap.states),
                reasons=" ".join(inside),
            )
        covered, counts = Covered(cluster), Counter[str]()
        for row in self.backup_rows(cluster, kept, covered, counts):
            self.backups += 1
            self.digest.update(canonical(row.values) + b"\n")
            yield row
        yield from proofs.checks(cluster, window)
        yield from proofs.drills(cluster, window)
        yield from proofs.restores(cluster, window)
        yield from covered.entries(due.end if due else min(window.end, asked.made_at))
        yield summary(cluster, compared, counts)

    def backup_rows(
        self, cluster: Cluster, kept: Tiers, covered: Covered, counts: Counter[str]
    ) -> Iterator[Entry]:
        """Yield each backup of a volume, the oldest first."""
        stored = storage_of(cluster)
        window = self.question.window
        rows = VolumeBackup.objects.filter(cluster=cluster)
        rows = rows.filter(due__gte=window.start, due__lt=window.end)
        for row in in_order(rows, *BACKUP):
            covered.see(row)
            counts[row["state"]] += 1
            counts["purged"] += row["purged_at"] is not None
            counts["added"] += row["added_bytes"]
            captured = row["state"] == VolumeBackup.State.CAPTURED
            yield Entry(
                "backup",
                {
                    "cluster": cluster.name,
                    "due": plain(row["due"]),
                    "node": row["node_name"],
                    "volume": row["volume_name"],
                    "state": row["state"],
                    "reason": row["reason"],
                    "files": row["files"],
                    "bytes": row["bytes"],
                    "added_bytes": row["added_bytes"],
                    "digest": row["tree"],
                    "restic_id": row["restic_id"],
                    "storage": stored.get(row["snapshot__repository_id"], ""),
                    "encryption": report.ENCRYPTION if row["restic_id"] else "",
                    "verification": verification_of(row),
                    "suspicion": row["suspicion"],
                    "checked_at": plain(row["checked_at"]),
                    "check_error": row["check_error"],
                    "drilled_at": plain(row["drilled_at"]),
                    "drilled": row["drilled"],
                    "kept_by": ", ".join(kept.get(row["snapshot_id"], ())) if captured else "",
                    "purged_at": plain(row["purged_at"]),
                    "purge_reason": row["purge_reason"],
                },
            )


def verification_of(row: dict[str, Any]) -> str:
    """Return how far a backup is proven, by the row's own rule."""
    return VolumeBackup(**{name: row[name] for name in VolumeBackup.PROOFS}).verification


def compare(cluster: Cluster, window: Window, due: Window | None) -> Comparison:
    """Compare the hours that were due with the snapshots that there are."""
    rows = Snapshot.objects.filter(cluster=cluster)
    rows = rows.filter(due__gte=window.start, due__lt=window.end).order_by("due")
    states = list(rows.values_list("due", "state"))
    taking = {moment for moment, state in states if state == Snapshot.State.TAKING}
    ended = [(moment, state) for moment, state in states if moment not in taking]
    found = scheduled_against_actual(due or window, ended)
    hours = found.hours if due else {}
    for moment in taking & hours.keys():
        hours[moment] = "taking"
    return Comparison(hours, tuple((m, state) for m, state in states if m not in hours))


def snapshots(
    cluster: Cluster, window: Window, compared: Comparison, why: dict[datetime, str]
) -> Iterator[Entry]:
    """Yield each snapshot, and each due hour that has none; note why hours are not complete."""
    rows = Snapshot.objects.filter(cluster=cluster)
    rows = rows.filter(due__gte=window.start, due__lt=window.end)
    # The hours come in their order, and so do the rows: one look at both.
    hours = iter(compared.hours)
    hour = next(hours, None)
    for row in in_order(rows, *SNAPSHOT):
        while hour and hour < row["due"]:
            yield without_row(cluster, hour)
            hour = next(hours, None)
        if hour == row["due"]:
            hour = next(hours, None)
        reasons = report.joined(row["reasons"])
        if row["state"] != Snapshot.State.COMPLETE:
            why[row["due"]] = reasons
        yield entry(
            "snapshot",
            cluster=cluster.name,
            due=plain(row["due"]),
            trigger=row["trigger"],
            state=row["state"],
            reasons=reasons,
            volumes=row["volumes_count"],
            files=row["files"],
            bytes=row["bytes"],
            added_bytes=row["added_bytes"],
            manifest_sha256=row["manifest_sha256"],
            purged_at=plain(row["purged_at"]),
            purge_reason=row["purge_reason"],
            legal_hold=row["hold_reason"],
        )
    while hour:
        yield without_row(cluster, hour)
        hour = next(hours, None)


def without_row(cluster: Cluster, hour: datetime) -> Entry:
    """Return the record of an hour that nobody has taken or recorded."""
    values = dict.fromkeys(report.FIELDS["snapshot"], "")
    known = {"cluster": cluster.name, "due": plain(hour), "trigger": "hourly", "state": "missed"}
    none = dict.fromkeys(("volumes", "files", "bytes", "added_bytes"), 0)
    return Entry("snapshot", values | known | none | {"purged_at": None})


def summary(cluster: Cluster, compared: Comparison, counts: Counter[str]) -> Entry:
    """Return what follows for one cluster."""
    judged = report.verdict(compared.hours)
    hours = {state: judged.counts[state] for state in ("complete", "partial", "failed", "missed")}
    return entry(
        "summary",
        cluster=cluster.name,
        hours_due=len(compared.hours),
        **hours,
        taking=judged.counts["taking"],
        on_demand=len(compared.unscheduled),
        longest_gap_seconds=report.seconds(judged.longest),
        rpo=judged.rpo,
        rpo_reason=judged.reason,
        backups=sum(counts[state] for state in VolumeBackup.State.values),
        captured=counts["captured"],
        backups_failed=counts["failed"],
        excluded=counts["excluded"],
        purged=counts["purged"],
        bytes_added=counts["added"],
    )


def chain_head(company: Company) -> Entry:
    """Return the end of the company's audit chain: what came before cannot be changed unseen."""
    head = Seal.objects.filter(company=company).select_related("event").order_by("number").last()
    if head is None:
        return entry("audit_chain", number=0, hash="", event=None, at=None)
    at = plain(head.event.at.replace(microsecond=0))
    return entry("audit_chain", number=head.number, hash=head.hash, event=head.event_id, at=at)
