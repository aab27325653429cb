"""A service: what is wanted, what the Engine was told, and what runs."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from clusters.drift import Change, changes, meaningful
from clusters.models.cluster import Cluster
from clusters.models.node import Node


class ServiceManager(models.Manager["Service"]):
    """Questions about services."""

    def present(self) -> models.QuerySet["Service"]:
        """Return the services that have not been deleted."""
        return self.filter(deleted_at=None)


class Service(models.Model):
    """A Swarm service. All specs are the Engine's own JSON.

    `spec` is what an operator wants, with the names of secrets, configs and networks; `applied`
    is the `spec` that was last sent; `readback` is what the Engine made of it; `observed` is what
    the Engine says now. Wanted minus applied is the intent, observed minus readback the drift.
    """

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="services")
    name = models.CharField(max_length=63)
    spec = models.JSONField(default=dict)
    previous_spec = models.JSONField(null=True)
    generation = models.PositiveIntegerField(default=1)
    applied = models.JSONField(null=True)
    applied_generation = models.PositiveIntegerField(default=0)
    readback = models.JSONField(null=True)
    is_external = models.BooleanField(
        default=False, help_text="It was created outside the console."
    )
    is_managed = models.BooleanField(
        default=False, help_text="The console made it for itself; operators do not edit it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True)

    engine_id = models.CharField(max_length=64, blank=True)
    observed = models.JSONField(null=True)
    observed_version = models.BigIntegerField(null=True)
    update_status = models.JSONField(default=dict)
    running = models.PositiveIntegerField(default=0)
    desired = models.PositiveIntegerField(default=0)
    image_digest = models.CharField(max_length=100, blank=True)

    objects: ClassVar[ServiceManager] = ServiceManager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "name"),
                condition=Q(deleted_at=None),
                name="service_name_once_per_cluster",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the service's page."""
        return reverse("service", args=[self.cluster.slug, self.name])

    @property
    def container(self) -> dict[str, Any]:
        """Return the wanted container's part of the spec."""
        template: dict[str, Any] = self.spec.get("TaskTemplate", {})
        part: dict[str, Any] = template.get("ContainerSpec", {})
        return part

    @property
    def image(self) -> str:
        """Return the wanted image without its digest."""
        return str(self.container.get("Image", "")).split("@")[0]

    @property
    def mode(self) -> str:
        """Return Replicated, Global, ReplicatedJob or GlobalJob."""
        return str(next(iter(self.spec.get("Mode") or {"Replicated": {}})))

    @property
    def replicas(self) -> int | None:
        """Return the wanted number of replicas; None where the nodes decide it."""
        replicated = (self.spec.get("Mode") or {}).get("Replicated")
        return None if replicated is None else int(replicated.get("Replicas", 1))

    @property
    def drift(self) -> list[Change]:
        """Return what was changed outside the console since the last apply."""
        if self.readback is None or self.observed is None:
            return []
        return meaningful(changes(self.readback, self.observed))

    @property
    def status(self) -> str:
        """Return the one word that the pages show."""
        if not self.engine_id:
            return "Creating" if not self.applied else "Missing"
        if self.applied_generation < self.generation:
            return "Not applied"
        state = self.update_status.get("State", "")
        if state in ("paused", "rollback_paused"):
            return "Paused"
        if state in ("updating", "rollback_started"):
            return "Updating"
        if self.mode.endswith("Job"):
            return "Complete" if self.desired and self.running >= self.desired else "Running"
        if self.running < self.desired:
            return "Starting" if self.running == 0 else "Degraded"
        return "Running" if self.desired else "Stopped"


class Task(models.Model):
    """One container of a service, as the swarm last described it."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="tasks")
    service = models.ForeignKey(Service, models.CASCADE, related_name="tasks")
    node = models.ForeignKey(Node, models.SET_NULL, null=True, related_name="tasks")
    engine_id = models.CharField(max_length=64)
    slot = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=20)
    desired_state = models.CharField(max_length=20)
    message = models.TextField(blank=True)
    error = models.TextField(blank=True)
    exit_code = models.IntegerField(null=True)
    container_id = models.CharField(max_length=64, blank=True)
    image = models.CharField(max_length=255, blank=True)
    since = models.DateTimeField(null=True)

    class Meta:
        ordering = ("slot", "-since")
        constraints = (models.UniqueConstraint(fields=("cluster", "engine_id"), name="task_once"),)

    def __str__(self) -> str:
        return f"{self.service.name}.{self.slot}" if self.slot else self.service.name

    @property
    def is_live(self) -> bool:
        """Say whether the task is, or is meant to be, running."""
        return self.desired_state in ("running", "ready", "accepted")
