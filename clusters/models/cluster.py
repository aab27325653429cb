"""A cluster: one Docker Swarm and everything that runs in it."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from medstack.models import Company

INTERNAL_NETWORK = "internal"


class Cluster(models.Model):
    """A Docker Swarm; it exists before its first node and outlives its last one."""

    company = models.ForeignKey(Company, models.PROTECT, related_name="clusters")
    name = models.CharField(max_length=63)
    slug = models.SlugField(max_length=80, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    lab_plain_network = models.BooleanField(
        default=False, help_text="Lab only: the internal network is not encrypted."
    )

    first_node = models.ForeignKey(
        "clusters.Node",
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The node that initialises the swarm; set once by the node that wins.",
    )
    swarm_id = models.CharField(max_length=64, blank=True)
    address_pool = models.CharField(max_length=43, blank=True)

    observed_at = models.DateTimeField(null=True)
    observed_error = models.TextField(blank=True)
    refresh_claimed_at = models.DateTimeField(null=True)
    sizes_observed_at = models.DateTimeField(null=True)
    strangers = models.JSONField(
        default=list, help_text="Host names of swarm members that are not attached here."
    )

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("company", "name"), name="cluster_name_once_per_company"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the cluster's page."""
        return reverse("cluster", args=[self.slug])

    @property
    def is_initialised(self) -> bool:
        """Say whether there is a Docker environment."""
        return bool(self.swarm_id)

    @property
    def is_stale(self) -> bool:
        """Say whether what the pages show is older than a refresh ought to let it be."""
        longest = timedelta(seconds=3 * settings.REFRESH_EVERY)
        return self.observed_at is None or timezone.now() - self.observed_at > longest


class Network(models.Model):
    """An overlay network, as the Engine last described it."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="networks")
    engine_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    observed = models.JSONField(default=dict)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("cluster", "engine_id"), name="network_once"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_encrypted(self) -> bool:
        """Say whether traffic between nodes is encrypted."""
        options: dict[str, Any] = self.observed.get("Options") or {}
        return "encrypted" in options

    @property
    def subnets(self) -> list[str]:
        """Return the network's address ranges."""
        configuration = (self.observed.get("IPAM") or {}).get("Config") or []
        return [part["Subnet"] for part in configuration if part.get("Subnet")]
