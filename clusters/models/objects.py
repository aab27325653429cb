"""Registries, and the versioned objects that services mount: configs and secrets."""

import hashlib
from typing import ClassVar, TypeVar

from django.db import models
from django.db.models import Q

from clusters.models.cluster import Cluster
from medstack.crypto import EncryptedTextField

M = TypeVar("M", bound=models.Model)


class Registry(models.Model):
    """A place images are pulled from, and the credentials to be let in."""

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="registries")
    address = models.CharField(
        max_length=255, help_text="Host, port and library path, such as registry.example.com/app."
    )
    username = models.CharField(max_length=255, blank=True)
    password = EncryptedTextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    rotated_at = models.DateTimeField(null=True)
    tested_at = models.DateTimeField(null=True)
    test_error = models.TextField(blank=True)

    class Meta:
        ordering = ("address",)
        verbose_name_plural = "registries"
        constraints = (
            models.UniqueConstraint(fields=("cluster", "address"), name="registry_once"),
        )

    def __str__(self) -> str:
        return self.address


class VersionedManager(models.Manager[M]):
    """Questions about objects that exist in versions."""

    def present(self) -> models.QuerySet[M]:
        """Return the versions that have not been removed."""
        return self.filter(removed_at=None)

    def current(self) -> models.QuerySet[M]:
        """Return each name's newest version."""
        return self.present().filter(is_current=True)


class Versioned(models.Model):
    """One version of a config or secret; the Engine's objects cannot be changed, only replaced."""

    name = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    is_current = models.BooleanField(default=True)
    engine_id = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveIntegerField(null=True)
    is_external = models.BooleanField(
        default=False, help_text="It was created outside the console."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, help_text="First seen in the Engine's own list.")
    removed_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        ordering = ("name", "-version")

    def __str__(self) -> str:
        return self.engine_name

    @property
    def engine_name(self) -> str:
        """Return the Engine's name of this version: `name`, then `name-v2` and on."""
        return self.name if self.version == 1 else f"{self.name}-v{self.version}"

    @property
    def is_created(self) -> bool:
        """Say whether the Engine holds it."""
        return bool(self.engine_id)


class Config(Versioned):
    """A file that services mount; it is not secret."""

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="configs")
    data = models.BinaryField(default=b"")

    objects: ClassVar[VersionedManager["Config"]] = VersionedManager()  # type: ignore[assignment]

    class Meta(Versioned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "name", "version"),
                condition=Q(removed_at=None),
                name="config_version_once",
            ),
            models.UniqueConstraint(
                fields=("cluster", "name"),
                condition=Q(removed_at=None, is_current=True),
                name="config_one_current",
            ),
        )

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the content."""
        return hashlib.sha256(bytes(self.data)).hexdigest()


class Secret(Versioned):
    """A file that services mount and nobody can read back."""

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="secrets")
    pending_value = EncryptedTextField(
        blank=True,
        help_text="The value in base64, encrypted, only until the Engine has taken it.",
    )

    objects: ClassVar[VersionedManager["Secret"]] = VersionedManager()  # type: ignore[assignment]

    class Meta(Versioned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "name", "version"),
                condition=Q(removed_at=None),
                name="secret_version_once",
            ),
            models.UniqueConstraint(
                fields=("cluster", "name"),
                condition=Q(removed_at=None, is_current=True),
                name="secret_one_current",
            ),
            models.CheckConstraint(
                condition=Q(engine_id="") | Q(pending_value=""),
                name="secret_value_wiped_once_created",
            ),
        )
