"""Restores, drills and reports: who got what back, when, and how it compared."""

from django.db import models

from backups.models.snapshot import Snapshot, VolumeBackup
from clusters.models import Cluster, Node
from medstack.models import Company, Operation, User


class Outcome(models.TextChoices):
    """How a restore or a drill ended."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Restore(models.Model):
    """One restore: of a volume to a node, or of a whole environment onto a cluster."""

    class Mode(models.TextChoices):
        NEW = "new", "As a new volume"
        OVER = "over", "Over an existing volume"
        ENVIRONMENT = "environment", "The whole environment"

    mode = models.CharField(max_length=12, choices=Mode)
    cluster = models.ForeignKey(
        Cluster, models.PROTECT, related_name="restores", help_text="Where it was restored to."
    )
    snapshot = models.ForeignKey(Snapshot, models.PROTECT, related_name="restores")
    volume_backup = models.ForeignKey(
        VolumeBackup, models.PROTECT, null=True, related_name="restores"
    )
    node = models.ForeignKey(Node, models.PROTECT, null=True, related_name="restores")
    volume_name = models.CharField(max_length=255, blank=True)
    plan = models.JSONField(default=dict, help_text="Environment: old node to new, and the rest.")
    safety = models.ForeignKey(
        Snapshot, models.PROTECT, null=True, related_name="+", help_text="Taken just before."
    )
    operation = models.OneToOneField(Operation, models.PROTECT, null=True, related_name="restore")
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.RUNNING)
    expected = models.JSONField(default=dict, help_text="Files and bytes by the manifest.")
    result = models.JSONField(default=dict, help_text="Files and bytes as restored; differences.")
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="restores")
    requested_by_name = models.CharField(max_length=254)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        what = self.volume_name or "environment"
        return f"{what} of {self.snapshot}"


class Drill(models.Model):
    """A restore made to prove a backup: compared file by file, then removed."""

    class Trigger(models.TextChoices):
        SCHEDULED = "scheduled"
        MANUAL = "manual", "On demand"

    volume_backup = models.ForeignKey(VolumeBackup, models.PROTECT, related_name="drills")
    node = models.ForeignKey(Node, models.PROTECT, null=True, related_name="drills")
    trigger = models.CharField(max_length=10, choices=Trigger, default=Trigger.MANUAL)
    operation = models.OneToOneField(Operation, models.PROTECT, null=True, related_name="drill")
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.RUNNING)
    duration = models.DurationField(null=True, help_text="The recovery time (RTO).")
    age = models.DurationField(null=True, help_text="The backup's age at that time (RPO).")
    files = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    differences = models.JSONField(default=list)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="drills")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"Drill of {self.volume_backup}"


class EvidenceReport(models.Model):
    """One evidence report that somebody made: what it covers, and its signature."""

    company = models.ForeignKey(Company, models.PROTECT, related_name="evidence_reports")
    cluster = models.ForeignKey(Cluster, models.PROTECT, null=True, related_name="evidence_reports")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    format = models.CharField(max_length=4)
    sha256 = models.CharField(max_length=64, blank=True)
    signature = models.TextField(blank=True)
    rows = models.PositiveIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    made_by_name = models.CharField(max_length=254)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d} to {self.ends_at:%Y-%m-%d}"
