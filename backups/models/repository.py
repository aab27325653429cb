"""Where a cluster's backups are stored, and what protects the cluster."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from clusters.models import Cluster, Node
from medstack.crypto import EncryptedTextField
from medstack.models import User


class RepositoryManager(models.Manager["Repository"]):
    """Questions about repositories."""

    def current(self) -> models.QuerySet["Repository"]:
        """Return the repositories that new backups go to, at most one of each cluster."""
        return self.filter(retired_at=None)


class Repository(models.Model):
    """A restic repository of one cluster: encrypted, and for its nodes append-only."""

    class Kind(models.TextChoices):
        EMBEDDED = "embedded", "On the console's machine"
        REST = "rest", "REST server"
        S3 = "s3", "S3"
        SFTP = "sftp", "SFTP"

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="repositories")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.EMBEDDED)
    folder = models.CharField(
        max_length=80, blank=True, help_text="Embedded: its folder, which is its user's name, too."
    )
    url = models.CharField(
        "address", max_length=500, blank=True, help_text="As restic writes it, without credentials."
    )
    region = models.CharField(max_length=60, blank=True)
    password = EncryptedTextField(help_text="restic's own; without it nothing can be read.")
    next_password = EncryptedTextField(
        blank=True, help_text="The one that takes the password's place while it is changed."
    )
    console_access = EncryptedTextField(
        blank=True, help_text="JSON: the credentials that may also delete."
    )
    node_access = EncryptedTextField(
        blank=True, help_text="JSON: the credentials that may add and read, nothing else."
    )
    ca = models.TextField("certificate authority", blank=True)
    ssh_host_key = models.TextField("SSH host key", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    initialised_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)

    tested_at = models.DateTimeField(null=True)
    test_error = models.TextField(blank=True)
    is_append_only = models.BooleanField(
        null=True, help_text="Whether the last test saw the nodes' credentials refused a deletion."
    )
    sheet_downloaded_at = models.DateTimeField(null=True)
    sheet_downloaded_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    size_bytes = models.BigIntegerField(null=True, help_text="As stored.")
    measured_at = models.DateTimeField(null=True)
    checked_parts = models.PositiveSmallIntegerField(
        default=0, help_text="Of all the parts that checks rotate through, how many are done."
    )
    pruned_at = models.DateTimeField(null=True)

    objects: ClassVar[RepositoryManager] = RepositoryManager()

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "repositories"
        constraints = (
            models.UniqueConstraint(
                fields=("cluster",), condition=Q(retired_at=None), name="repository_one_current"
            ),
            models.UniqueConstraint(
                fields=("folder",), condition=~Q(folder=""), name="repository_folder_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.folder or self.url})"


class RepositoryCheck(models.Model):
    """One check of a repository: the structure, and one part of the data read and compared."""

    class State(models.TextChoices):
        RUNNING = "running"
        PASSED = "passed"
        FAILED = "failed"

    repository = models.ForeignKey(Repository, models.PROTECT, related_name="checks")
    operation = models.ForeignKey(
        "medstack.Operation", models.PROTECT, null=True, related_name="checks"
    )
    part = models.PositiveSmallIntegerField(default=1)
    parts = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    error = models.TextField(blank=True)
    damaged = models.JSONField(default=list, help_text="The backups that cannot be restored.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"Part {self.part} of {self.parts}"


class Protection(models.Model):
    """What keeps a cluster safe: its agents, what was last seen of them, and who is warned."""

    class Alarm(models.TextChoices):
        FRESH = "fresh"
        WARNING = "warning"
        CRITICAL = "critical"

    cluster = models.OneToOneField(Cluster, models.PROTECT, related_name="protection")
    since = models.DateTimeField(
        null=True, help_text="From then on every full hour is due; empty while no agent runs."
    )
    ended_at = models.DateTimeField(
        null=True, help_text="No hour is due after it: the environment was deleted on purpose."
    )
    agent_image = models.CharField(max_length=255, blank=True)
    agent_error = models.TextField(blank=True)
    applied_at = models.DateTimeField(null=True, help_text="The last look at the agents.")
    looked_at = models.DateTimeField(null=True, help_text="The last look into the repository.")
    look_claimed_at = models.DateTimeField(null=True)
    look_error = models.TextField(blank=True)
    alarm = models.CharField(max_length=10, choices=Alarm, default=Alarm.FRESH)
    alarm_since = models.DateTimeField(null=True)
    told = models.CharField(
        max_length=10, choices=Alarm, default=Alarm.FRESH, help_text="What people know."
    )
    recipients = models.JSONField(default=list, help_text="Up to three e-mail addresses.")

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"Protection of {self.cluster}"


class Agent(models.Model):
    """The agent of one node, as it was last seen."""

    node = models.OneToOneField(Node, models.PROTECT, related_name="agent")
    version = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=20, blank=True, help_text="The state of its Swarm task.")
    error = models.TextField(blank=True)
    observed_at = models.DateTimeField(null=True)
    last_report_due = models.DateTimeField(null=True)

    class Meta:
        ordering = ("node__name",)

    def __str__(self) -> str:
        return f"Agent of {self.node}"
