"""Snapshots of an environment, and the backups of volumes in them: rows are evidence and stay."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from backups.models.repository import Repository
from clusters.models import Cluster, Node
from medstack.models import Operation, User


class SnapshotManager(models.Manager["Snapshot"]):
    """Questions about snapshots."""

    def restorable(self) -> models.QuerySet["Snapshot"]:
        """Return the snapshots that hold something and have not been purged."""
        found = (Snapshot.State.COMPLETE, Snapshot.State.PARTIAL)
        return self.filter(state__in=found, purged_at=None)


class Snapshot(models.Model):
    """The environment of a cluster at one hour, or when somebody asked for it."""

    class State(models.TextChoices):
        TAKING = "taking"
        COMPLETE = "complete"
        PARTIAL = "partial"
        FAILED = "failed"
        MISSED = "missed"

    class Trigger(models.TextChoices):
        HOURLY = "hourly"
        MANUAL = "manual", "On demand"
        LAST = "last", "Before the last node was removed"
        SAFETY = "safety", "Before a restore"

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="snapshots")
    repository = models.ForeignKey(Repository, models.PROTECT, null=True, related_name="snapshots")
    due = models.DateTimeField(
        help_text="The full hour in UTC, or the moment at which somebody asked for it."
    )
    trigger = models.CharField(max_length=10, choices=Trigger, default=Trigger.HOURLY)
    state = models.CharField(max_length=10, choices=State, default=State.TAKING)
    reasons = models.JSONField(default=list, help_text="Why it is not complete.")
    manifest = models.TextField(blank=True, help_text="Canonical JSON.")
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    part_ids = models.JSONField(
        default=list,
        help_text="restic's ids of all that belongs to it but the volumes: reports, manifest …",
    )
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    adopted_at = models.DateTimeField(null=True)
    volumes_count = models.PositiveIntegerField(default=0)
    files = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    added_bytes = models.BigIntegerField(default=0)
    operation = models.ForeignKey(Operation, models.PROTECT, null=True, related_name="snapshots")
    hold_reason = models.CharField(max_length=200, blank=True, help_text="Legal hold.")
    held_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    held_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)
    purge_reason = models.CharField(max_length=200, blank=True)

    objects: ClassVar[SnapshotManager] = SnapshotManager()

    class Meta:
        ordering = ("-due",)
        constraints = (
            models.UniqueConstraint(fields=("cluster", "due"), name="snapshot_once"),
            models.CheckConstraint(
                condition=Q(purged_at=None) | ~Q(purge_reason=""),
                name="snapshot_purged_for_a_reason",
            ),
        )
        indexes = (
            models.Index(
                fields=("cluster", "state", "-due"),
                condition=Q(purged_at=None),
                name="snapshot_present",
            ),
        )

    def __str__(self) -> str:
        return f"{self.due:%Y-%m-%d %H:%M:%S} UTC"

    def get_absolute_url(self) -> str:
        """Return the snapshot's page."""
        return reverse("snapshot", args=[self.cluster.slug, self.pk])


class VolumeBackupManager(models.Manager["VolumeBackup"]):
    """Questions about backups of volumes."""

    def restorable(self) -> models.QuerySet["VolumeBackup"]:
        """Return the backups that can be restored."""
        return self.filter(state=VolumeBackup.State.CAPTURED, purged_at=None)


class VolumeBackup(models.Model):
    """One volume of one node in one snapshot."""

    class State(models.TextChoices):
        CAPTURED = "captured"
        FAILED = "failed"
        EXCLUDED = "excluded"

    class Drilled(models.TextChoices):
        NO = "", "Not drilled"
        PASSED = "passed"
        FAILED = "failed"

    snapshot = models.ForeignKey(Snapshot, models.PROTECT, related_name="volumes")
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="volume_backups")
    due = models.DateTimeField(help_text="The snapshot's.")
    node = models.ForeignKey(Node, models.PROTECT, null=True, related_name="volume_backups")
    node_name = models.CharField(max_length=63)
    volume_name = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State)
    reason = models.TextField(blank=True, help_text="Why it failed or was excluded.")
    suspicion = models.CharField(max_length=200, blank=True, help_text="What shrank strangely.")
    restic_id = models.CharField(max_length=64, blank=True)
    tree = models.CharField(max_length=64, blank=True, help_text="SHA-256 over all that it holds.")
    files = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    added_bytes = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_error = models.TextField(blank=True)
    drilled_at = models.DateTimeField(null=True)
    drilled = models.CharField(max_length=10, choices=Drilled, blank=True)
    purged_at = models.DateTimeField(null=True)
    purge_reason = models.CharField(max_length=200, blank=True)

    objects: ClassVar[VolumeBackupManager] = VolumeBackupManager()

    class Meta:
        ordering = ("-due", "node_name", "volume_name")
        constraints = (
            models.UniqueConstraint(
                fields=("snapshot", "node_name", "volume_name"), name="volume_backup_once"
            ),
            models.CheckConstraint(
                condition=Q(purged_at=None) | ~Q(purge_reason=""),
                name="volume_backup_purged_for_a_reason",
            ),
        )
        indexes = (
            models.Index(fields=("cluster", "-due"), name="volume_backup_by_cluster"),
            models.Index(fields=("cluster", "bytes"), name="volume_backup_by_size"),
            models.Index(fields=("-due",), name="volume_backup_by_time"),
            models.Index(
                fields=("cluster", "node_name", "volume_name", "-due"),
                name="volume_backup_by_volume",
            ),
            models.Index(
                fields=("cluster", "-due"),
                condition=Q(state__in=("failed", "excluded")),
                name="volume_backup_lacking",
            ),
            models.Index(
                fields=("cluster", "-due"),
                condition=Q(purged_at=None, state="captured"),
                name="volume_backup_present",
            ),
        )

    def __str__(self) -> str:
        return f"{self.volume_name} of {self.node_name}, {self.due:%Y-%m-%d %H:%M} UTC"

    def get_absolute_url(self) -> str:
        """Return the backup's page."""
        return reverse("volume_backup", args=[self.cluster.slug, self.pk])

    # What the level of verification follows from.
    PROOFS = ("state", "drilled", "check_error", "checked_at", "suspicion")

    @property
    def verification(self) -> str:
        """Return how far it is proven: recorded, plausible, checked, drilled, or failed."""
        if self.state != self.State.CAPTURED:
            return ""
        if self.drilled == self.Drilled.FAILED or self.check_error:
            return "failed"
        if self.drilled == self.Drilled.PASSED:
            return "drilled"
        if self.checked_at:
            return "checked"
        return "recorded" if self.suspicion else "plausible"


class VolumePolicy(models.Model):
    """What an operator decided about the backups of one volume of one node."""

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="volume_policies")
    node_name = models.CharField(max_length=63)
    volume_name = models.CharField(max_length=255)
    excluded_reason = models.CharField(
        max_length=200, blank=True, help_text="Why it is not backed up; empty: it is."
    )
    before_command = models.CharField(max_length=1000, blank=True)
    after_command = models.CharField(max_length=1000, blank=True)
    freeze = models.BooleanField(
        default=False, help_text="Freeze the containers that use it while it is read."
    )
    stop = models.BooleanField(
        default=False, help_text="Stop the services that use it while it is read."
    )
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("node_name", "volume_name")
        verbose_name_plural = "volume policies"
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "node_name", "volume_name"), name="volume_policy_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.volume_name} of {self.node_name}"
