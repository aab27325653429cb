"""Snapshots, volume backups and restores, as support staff see them."""

from typing import Any

from django.contrib import admin

from backups.actions.snapshots import snapshot_now
from backups.models import Drill, Restore, Snapshot, VolumeBackup
from clusters.admin import ClusterPage
from medstack.admin.buttons import Button
from medstack.admin.reading import Reading, linked
from medstack.admin.site import site
from medstack.models import Company, Operation
from medstack.models.events import Actor


def take_snapshot(row: Any, by: Actor, values: dict[str, Any]) -> Operation:
    """Take a snapshot of the cluster that a row belongs to."""
    return snapshot_now(getattr(row, "cluster", row), by=by)


NOW = Button(
    "snapshot-now",
    "Snapshot now",
    "The whole environment is captured on every node, as at each full hour.",
    take_snapshot,
)
# The app of the backups adds what it can do for a cluster.
ClusterPage.buttons = (*ClusterPage.buttons, NOW)


@admin.register(Snapshot, site=site)
class SnapshotPage(Reading):
    """Snapshots, and what they lack."""

    list_display = (
        "due",
        "cluster_link",
        "company_link",
        "trigger",
        "state",
        "volumes_count",
        "bytes",
        "finished_at",
        "purged_at",
    )
    list_filter = ("state", "trigger")
    list_select_related = ("cluster__company",)
    search_fields = ("cluster__name", "cluster__company__name")
    date_hierarchy = "due"
    fields = (
        "due",
        ("cluster_link", "company_link"),
        "operation_link",
        ("state", "trigger"),
        "reasons",
        ("started_at", "finished_at", "adopted_at"),
        ("volumes_count", "files", "bytes", "added_bytes"),
        ("hold_reason", "held_by", "held_at"),
        ("purged_at", "purge_reason"),
    )
    readonly_fields = ("cluster_link", "company_link", "operation_link")
    cluster_link = linked("cluster")
    company_link = linked("cluster__company", "company")
    operation_link = linked("operation")
    buttons = (NOW,)


@admin.register(VolumeBackup, site=site)
class VolumeBackupPage(Reading):
    """Backups of volumes, and how far they are proven."""

    list_display = (
        "due",
        "volume_name",
        "node_name",
        "cluster_link",
        "state",
        "files",
        "bytes",
        "drilled",
        "purged_at",
    )
    list_filter = ("state", "drilled")
    list_select_related = ("cluster__company",)
    search_fields = ("volume_name", "node_name", "cluster__name", "cluster__company__name")
    date_hierarchy = "due"
    fields = (
        ("volume_name", "node_name"),
        ("cluster_link", "company_link", "snapshot_link"),
        "due",
        ("state", "reason", "suspicion"),
        ("restic_id", "tree"),
        ("files", "bytes", "added_bytes"),
        ("started_at", "finished_at"),
        ("checked_at", "check_error"),
        ("drilled_at", "drilled"),
        ("purged_at", "purge_reason"),
    )
    readonly_fields = ("cluster_link", "company_link", "snapshot_link")
    cluster_link = linked("cluster")
    company_link = linked("cluster__company", "company")
    snapshot_link = linked("snapshot")


@admin.register(Restore, site=site)
class RestorePage(Reading):
    """Restores: of what, to where, and how they ended."""

    list_display = (
        "started_at",
        "what",
        "cluster_link",
        "outcome",
        "requested_by_name",
        "ended_at",
    )
    list_filter = ("outcome", "mode")
    list_select_related = ("cluster__company", "snapshot")
    search_fields = ("cluster__name", "cluster__company__name", "requested_by_name")
    date_hierarchy = "started_at"
    fields = (
        ("mode", "outcome"),
        ("snapshot_link", "backup_link", "volume_name"),
        ("cluster_link", "company_link", "operation_link"),
        ("started_at", "ended_at"),
        "requested_by_name",
        "expected",
        "result",
    )
    readonly_fields = (
        "cluster_link",
        "company_link",
        "operation_link",
        "snapshot_link",
        "backup_link",
    )
    cluster_link = linked("cluster")
    company_link = linked("cluster__company", "company")
    operation_link = linked("operation")
    snapshot_link = linked("snapshot")
    backup_link = linked("volume_backup")

    @admin.display
    def what(self, row: Restore) -> str:
        """Return what was restored."""
        return str(row)


@admin.register(Drill, site=site)
class DrillPage(Reading):
    """Drills: backups that were restored to be compared."""

    list_display = ("started_at", "backup_link", "trigger", "outcome", "duration", "files")
    list_filter = ("outcome", "trigger")
    list_select_related = ("volume_backup__cluster__company",)
    search_fields = ("volume_backup__volume_name", "volume_backup__cluster__name")
    date_hierarchy = "started_at"
    fields = (
        "backup_link",
        "operation_link",
        ("trigger", "outcome"),
        ("duration", "age"),
        ("files", "bytes"),
        "differences",
        "error",
        ("started_at", "ended_at"),
    )
    readonly_fields = ("backup_link", "operation_link")
    backup_link = linked("volume_backup")
    operation_link = linked("operation")

    def company_of(self, row: Drill) -> Company:
        """Return whose backup was tried."""
        return row.volume_backup.cluster.company
