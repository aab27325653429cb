"""Work that a person asked for and can watch to its end."""

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from medstack.models.people import Company, User


class Operation(models.Model):
    """A piece of work: its steps, how far it is, and how it ended."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    ACTIVE = (State.QUEUED, State.RUNNING)

    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    company = models.ForeignKey(Company, models.PROTECT, null=True, related_name="operations")
    cluster = models.ForeignKey(
        "clusters.Cluster", models.PROTECT, null=True, related_name="operations"
    )
    target_kind = models.CharField(max_length=40)
    target_id = models.BigIntegerField()
    target_name = models.CharField(max_length=200)
    intent = models.JSONField(default=dict)
    exclusive = models.CharField(
        max_length=100,
        blank=True,
        help_text="Two active operations never share this key; empty means none is needed.",
    )

    steps = models.JSONField(default=list, help_text="The steps' titles.")
    step = models.PositiveSmallIntegerField(default=0, help_text="Steps finished.")
    detail = models.CharField(max_length=500, blank=True, help_text="What it waits for.")
    percentage = models.PositiveSmallIntegerField(default=0)
    log = models.TextField(blank=True)
    error = models.TextField(blank=True)

    cancel_requested_by = models.CharField(max_length=254, blank=True)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="operations")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Times the present step was begun since it last came back."
    )
    not_before = models.DateTimeField(
        null=True, help_text="Nobody carries it on before then: a worker holds it, or it waits."
    )

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("company", "-id"), name="operation_by_company"),
            models.Index(fields=("cluster", "-id"), name="operation_by_cluster"),
            models.Index(fields=("target_kind", "target_id", "-id"), name="operation_by_target"),
            models.Index(
                fields=("state",),
                name="operation_active",
                condition=Q(state__in=("queued", "running")),
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("exclusive",),
                condition=Q(state__in=("queued", "running")) & ~Q(exclusive=""),
                name="operation_exclusive_while_active",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("done", "failed"), ended_at__isnull=False)
                | Q(state__in=("queued", "running"), ended_at__isnull=True),
                name="operation_ended_means_an_end",
            ),
        )

    def __str__(self) -> str:
        return f"{self.title} {self.target_name}"

    @property
    def is_active(self) -> bool:
        """Say whether there is still something to watch."""
        return self.state in self.ACTIVE

    @property
    def is_cancellable(self) -> bool:
        """Say whether somebody may still ask it to end."""
        from medstack.operations import register

        kind = register.kinds.get(self.kind)
        return bool(kind and kind.cancellable and self.is_active and not self.cancel_requested_by)

    @property
    def url(self) -> str:
        """Return the page that follows this operation."""
        return reverse("operation", args=[self.pk])

    @property
    def step_list(self) -> list[dict[str, Any]]:
        """Return each step with its state, for the page."""
        rows = []
        for number, title in enumerate(self.steps):
            state, detail = "pending", ""
            if number < self.step:
                state = "done"
            elif number == self.step and self.state == self.State.FAILED:
                state = "failed"
            elif number == self.step and self.state == self.State.RUNNING:
                state, detail = ("waiting" if self.detail else "current"), self.detail
            rows.append({"title": title, "state": state, "detail": detail})
        return rows

    @property
    def duration(self) -> timedelta | None:
        """Return how long it ran, or has run so far."""
        if not self.started_at:
            return None
        return (self.ended_at or timezone.now()) - self.started_at
