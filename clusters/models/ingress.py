"""The way in: the load balancer, the domains mapped to services, and uploaded certificates."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from clusters.ingress import balancer, dns_challenge, domains
from clusters.models.cluster import Cluster
from clusters.models.node import Node
from clusters.models.service import Service

CERTIFICATE_WARNING = timedelta(days=14)


class LoadBalancer(models.Model):
    """The one managed Traefik of a cluster."""

    class Ciphers(models.TextChoices):
        STRICT = "strict", "Most strict: TLS 1.2 and 1.3 with AEAD ciphers only"
        COMPATIBLE = "compatible", "Most compatible: older TLS 1.2 clients, too"

    class Challenge(models.TextChoices):
        HTTP = "http-01", "HTTP-01 (port 80)"
        TLS = "tls-alpn-01", "TLS-ALPN-01 (port 443)"

    cluster = models.OneToOneField(Cluster, models.PROTECT, related_name="load_balancer")
    node = models.ForeignKey(Node, models.PROTECT, related_name="+")
    address = models.GenericIPAddressField(
        protocol="IPv4", help_text="The public address to which the domains must resolve."
    )
    email = models.EmailField("e-mail for ACME")
    acme_directory = models.URLField("ACME directory", max_length=255)
    acme_ca = models.TextField("CA of the ACME directory", blank=True)
    issuer_ca = models.TextField("CA of the certificates", blank=True)
    challenge = models.CharField(max_length=20, choices=Challenge, default=Challenge.HTTP)
    ciphers = models.CharField(max_length=20, choices=Ciphers, default=Ciphers.STRICT)
    image = models.CharField(max_length=255, default=balancer.TRAEFIK_IMAGE)
    socket_image = models.CharField(max_length=255, default=balancer.SOCKET_IMAGE)
    dns_provider = models.CharField(
        "DNS provider", max_length=20, blank=True, help_text="Who proves wildcards, if anybody."
    )
    dns_variables = models.JSONField(
        default=list,
        blank=True,
        help_text="The names of its credentials; the values are Swarm secrets and nowhere else.",
    )
    dns_servers = models.CharField("name servers", max_length=255, blank=True)
    generation = models.PositiveIntegerField(default=1)
    deployed_at = models.DateTimeField(null=True)
    domains_checked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return balancer.NAME

    @property
    def settings(self) -> balancer.Settings:
        """Return what its services' specs follow from."""
        return balancer.Settings(
            email=self.email,
            acme_directory=self.acme_directory,
            challenge=self.challenge,
            ciphers=self.ciphers,
            image=self.image,
            socket_image=self.socket_image,
            has_acme_ca=bool(self.acme_ca),
            dns_provider=self.dns_provider,
            dns_variables=tuple(self.dns_variables),
            dns_servers=tuple(self.dns_servers.split()),
        )

    @property
    def dns_provider_title(self) -> str:
        """Return what people call the DNS provider."""
        provider = dns_challenge.PROVIDERS.get(self.dns_provider)
        return provider.title if provider else self.dns_provider


class Certificate(models.Model):
    """An uploaded certificate; its key is a Swarm secret and nowhere else."""

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="certificates")
    name = models.CharField(max_length=40)
    chain = models.TextField()
    names = models.JSONField(default=list, help_text="The domains it is good for.")
    not_after = models.DateTimeField()
    config_name = models.CharField(max_length=64)
    secret_name = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("cluster", "name"), name="certificate_once"),
        )

    def __str__(self) -> str:
        return self.name

    def is_good_for(self, domain: str) -> bool:
        """Say whether the certificate covers a domain."""
        return any(domains.covers(name, domain) for name in self.names)


class DomainMappingManager(models.Manager["DomainMapping"]):
    """Questions about mapped domains."""

    def present(self) -> models.QuerySet["DomainMapping"]:
        """Return the mappings that are in force."""
        return self.filter(removed_at=None)


class DomainMapping(models.Model):
    """A domain of a service, and how it was last found from outside."""

    service = models.ForeignKey(Service, models.PROTECT, related_name="domains")
    domain = models.CharField(max_length=253)
    path = models.CharField("path prefix", max_length=200, blank=True)
    port = models.PositiveIntegerField()
    dns_postponed_by = models.CharField(
        max_length=254, blank=True, help_text="The Owner who postponed the DNS check."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    checked_at = models.DateTimeField(null=True)
    dns_addresses = models.JSONField(default=list)
    issuer = models.CharField(max_length=200, blank=True)
    not_after = models.DateTimeField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    tls_version = models.CharField(max_length=20, blank=True)
    problem = models.TextField(blank=True)

    objects: ClassVar[DomainMappingManager] = DomainMappingManager()

    class Meta:
        ordering = ("domain",)
        constraints = (
            models.UniqueConstraint(
                fields=("domain",),
                condition=Q(removed_at=None),
                name="domain_once_in_the_installation",
            ),
            models.CheckConstraint(
                condition=Q(port__gte=1, port__lte=65535), name="domain_port_in_range"
            ),
        )

    def __str__(self) -> str:
        return domains.shown(self.domain) + self.path

    @property
    def url(self) -> str:
        """Return where the domain is visited; nothing for a wildcard, which no browser can."""
        return "" if domains.is_wildcard(self.domain) else f"https://{self.domain}{self.path}"

    @property
    def days_left(self) -> int | None:
        """Return for how many whole days the certificate is still good."""
        return (self.not_after - timezone.now()).days if self.not_after else None

    @property
    def status(self) -> str:
        """Return the one word that the pages show."""
        return self.status_at(timezone.now())

    def status_at(self, moment: datetime) -> str:
        """Return the word that the pages showed at a moment, by what was last found."""
        if self.checked_at is None:
            return "Not checked"
        expiring = self.not_after and self.not_after - moment < CERTIFICATE_WARNING
        return "Inspect" if self.problem or expiring else "Active"
