"""Tokens by which a person's programs work in one company."""

from django.db import models
from django.utils import timezone

from medstack.models.people import Company, Membership, User


class AccessToken(models.Model):
    """What a program shows instead of a password; only the token's digest is kept."""

    class Role(models.TextChoices):
        OPERATOR = Membership.Role.OPERATOR.value
        AUDITOR = Membership.Role.AUDITOR.value

    user = models.ForeignKey(User, models.CASCADE, related_name="access_tokens")
    company = models.ForeignKey(Company, models.PROTECT, related_name="access_tokens")
    name = models.CharField(max_length=60)
    role = models.CharField(max_length=20, choices=Role, default=Role.AUDITOR)
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("user", "company", "name"),
                condition=models.Q(revoked_at=None),
                name="access_token_name_once",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> str:
        """Return the one word that the page shows."""
        if self.revoked_at:
            return "Revoked"
        return "Expired" if timezone.now() >= self.expires_at else "Valid"

    @property
    def status_kind(self) -> str:
        """Return how good that word is."""
        return "ok" if self.status == "Valid" else "neutral"
