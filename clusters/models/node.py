"""A node: one Docker Engine, where it is, how it was last seen, and its volumes."""

import re
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from clusters.engine import Endpoint
from clusters.models.cluster import Cluster
from medstack.crypto import EncryptedTextField

ANONYMOUS = re.compile(r"^[0-9a-f]{64}$")


class NodeManager(models.Manager["Node"]):
    """Questions about nodes."""

    def present(self) -> models.QuerySet["Node"]:
        """Return the nodes that have not been removed."""
        return self.filter(removed_at=None)

    def reachable_managers(self, cluster: Cluster) -> models.QuerySet["Node"]:
        """Return a cluster's managers, the one that answered last first."""
        return (
            self.present()
            .filter(cluster=cluster, role=Node.Role.MANAGER)
            .exclude(swarm_node_id="")
            .order_by(models.F("seen_at").desc(nulls_last=True), "pk")
        )


class Node(models.Model):
    """One Docker Engine in a cluster."""

    class Provider(models.TextChoices):
        LOCAL = "local", "Local: an isolated Engine on this machine"
        ATTACH = "attach", "Attach: an Engine that already runs"

    class Role(models.TextChoices):
        MANAGER = "manager"
        WORKER = "worker"

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="nodes")
    name = models.CharField(max_length=63)
    provider = models.CharField(max_length=10, choices=Provider)
    endpoint_url = models.CharField("endpoint", max_length=255, blank=True)
    ssh_key = EncryptedTextField("SSH private key", blank=True)
    ssh_host_key = models.TextField("SSH host key", blank=True)
    tls_ca = models.TextField("certificate authority", blank=True)
    tls_cert = models.TextField("client certificate", blank=True)
    tls_key = EncryptedTextField("client key", blank=True)
    address = models.GenericIPAddressField(
        null=True, blank=True, help_text="The address by which other nodes reach this one."
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.WORKER)
    swarm_node_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    seen_at = models.DateTimeField(null=True, help_text="The Engine's last answer.")
    last_error = models.TextField(blank=True)
    swarm_state = models.CharField(max_length=20, blank=True)
    availability = models.CharField(max_length=10, blank=True)
    is_leader = models.BooleanField(default=False)
    cpus = models.PositiveIntegerField(null=True)
    memory_bytes = models.BigIntegerField(null=True)
    engine_version = models.CharField(max_length=40, blank=True)
    api_version = models.CharField(max_length=10, blank=True)
    kernel = models.CharField(max_length=100, blank=True)
    clock_skew = models.FloatField(null=True, help_text="Seconds ahead of the console's clock.")
    has_esp = models.BooleanField(null=True, help_text="Whether the kernel can encrypt overlays.")
    has_ipvs = models.BooleanField(null=True, help_text="Whether virtual IPs can answer.")
    abilities_kernel = models.CharField(
        max_length=100, blank=True, help_text="The kernel that was looked at for these two."
    )
    labels = models.JSONField(default=dict)
    containers = models.JSONField(default=list)
    images = models.JSONField(default=list)

    objects: ClassVar[NodeManager] = NodeManager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "name"),
                condition=Q(removed_at=None),
                name="node_name_once_per_cluster",
            ),
            models.UniqueConstraint(
                fields=("endpoint_url",),
                condition=Q(removed_at=None) & ~Q(endpoint_url=""),
                name="node_endpoint_once",
            ),
            models.UniqueConstraint(
                fields=("cluster", "swarm_node_id"),
                condition=~Q(swarm_node_id=""),
                name="node_swarm_id_once",
            ),
        )
        indexes = (models.Index(fields=("cluster", "removed_at"), name="node_present"),)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the node's page."""
        return reverse("node", args=[self.cluster.slug, self.name])

    @property
    def local_name(self) -> str:
        """Return the name of the local provider's Engine for this row.

        A new installation on the same machine counts from one again, so the time is part of it.
        """
        return f"node-{self.pk}-{int(self.created_at.timestamp())}"

    @property
    def endpoint(self) -> Endpoint:
        """Return where the Engine listens, with what is needed to be let in."""
        return Endpoint(
            self.endpoint_url,
            ssh_key=self.ssh_key,
            ssh_host_key=self.ssh_host_key,
            tls_ca=self.tls_ca,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
        )

    @property
    def is_joined(self) -> bool:
        """Say whether the node belongs to the swarm."""
        return bool(self.swarm_node_id)

    @property
    def has_new_kernel(self) -> bool:
        """Say whether the node runs another kernel than the one whose abilities are known."""
        return bool(self.abilities_kernel) and self.abilities_kernel != self.kernel

    @property
    def is_silent(self) -> bool:
        """Say whether the Engine has not answered for too long."""
        longest = timedelta(seconds=settings.NODE_SILENCE)
        return self.seen_at is None or timezone.now() - self.seen_at > longest

    @property
    def status(self) -> str:
        """Return the one word that the pages show."""
        if self.removed_at:
            return "Removed"
        if not self.is_joined:
            return "Creating"
        if self.is_silent or self.last_error or self.swarm_state == "down":
            return "Down"
        return "Ready" if self.swarm_state == "ready" else "Unknown"


class VolumeManager(models.Manager["Volume"]):
    """Questions about volumes."""

    def present(self) -> models.QuerySet["Volume"]:
        """Return the volumes that exist on a node that exists."""
        return self.filter(gone_at=None, node__removed_at=None)


class Volume(models.Model):
    """A volume of one node; the same name on another node is another volume."""

    node = models.ForeignKey(Node, models.PROTECT, related_name="volumes")
    name = models.CharField(max_length=255)
    driver = models.CharField(max_length=100, default="local")
    options = EncryptedTextField(
        blank=True, help_text="The driver's options as JSON; they may hold a share's password."
    )
    labels = models.JSONField(default=dict)
    size_bytes = models.BigIntegerField(null=True)
    is_anonymous = models.BooleanField(default=False)
    created_at = models.DateTimeField(null=True)
    observed_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)

    objects: ClassVar[VolumeManager] = VolumeManager()

    class Meta:
        ordering = ("name", "node__name")
        constraints = (
            models.UniqueConstraint(fields=("node", "name"), name="volume_once_per_node"),
        )

    def __str__(self) -> str:
        return f"{self.name} on {self.node.name}"


def is_anonymous(name: str, labels: dict[str, str]) -> bool:
    """Say whether nobody named the volume; older Engines show it by the name alone."""
    return "com.docker.volume.anonymous" in labels or bool(ANONYMOUS.match(name))
