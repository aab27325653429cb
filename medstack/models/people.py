"""Users, companies, and the role of the one in the other."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    """Make users by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user who can sign in with this password."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a member of the support staff with every permission."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a user by e-mail address, however it was capitalised."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by an e-mail address."""

    email = models.EmailField("e-mail address", unique=True)
    name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("support staff", default=False)
    must_change_password = models.BooleanField(default=False)
    joined_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("email",)
        constraints = (models.UniqueConstraint(Lower("email"), name="user_email_once_in_any_case"),)

    def __str__(self) -> str:
        return self.name or self.email


class Company(models.Model):
    """A tenant; nothing of one company is ever visible to another."""

    class Subscription(models.TextChoices):
        ACTIVE = "active"
        PAST_DUE = "past_due", "Past due"
        CANCELLED = "cancelled"
        PURGED = "purged"

    name = models.CharField(max_length=100)
    subscription = models.CharField(
        max_length=20, choices=Subscription, default=Subscription.ACTIVE
    )
    cancelled_at = models.DateTimeField(
        null=True, blank=True, help_text="The grace begins here; empty while the subscription runs."
    )
    grace_days = models.PositiveSmallIntegerField(default=30)
    members = models.ManyToManyField(User, through="Membership", related_name="companies")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name

    @property
    def grace_ends_at(self) -> datetime | None:
        """Return when everything is deleted, if the subscription is cancelled."""
        return self.cancelled_at and self.cancelled_at + timedelta(days=self.grace_days)


class Membership(models.Model):
    """The role of a user in a company."""

    class Role(models.TextChoices):
        OWNER = "owner"
        OPERATOR = "operator"
        AUDITOR = "auditor"
        BILLING = "billing"

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    company = models.ForeignKey(Company, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.OPERATOR)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "company"), name="membership_once_per_company"),
        )

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"


class Invitation(models.Model):
    """A link by which somebody joins a company; only the link's digest is kept."""

    company = models.ForeignKey(Company, models.PROTECT, related_name="invitations")
    email = models.EmailField("e-mail address")
    role = models.CharField(
        max_length=20, choices=Membership.Role, default=Membership.Role.OPERATOR
    )
    token_sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    invited_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("company", "email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="invitation_one_open",
            ),
        )

    def __str__(self) -> str:
        return self.email

    @property
    def is_open(self) -> bool:
        """Say whether the link still works."""
        ended = self.accepted_at or self.revoked_at
        return not ended and timezone.now() < self.expires_at
