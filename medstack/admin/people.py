"""Companies and users, as support staff see them."""

from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.apps import apps
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from medstack.actions import accounts, subscriptions
from medstack.admin.buttons import Button, ReasonForm
from medstack.admin.reading import Reading
from medstack.admin.site import site
from medstack.counting import number_of
from medstack.models import Company, Membership, User
from medstack.models.events import Actor


class SubscriptionForm(ReasonForm):
    """The state that a subscription gets."""

    state = forms.ChoiceField(
        choices=[one for one in Company.Subscription.choices if one[0] != "purged"]
    )
    field_order = ("state", "reason")


class GraceForm(ReasonForm):
    """How long a cancelled company's data is kept in all."""

    days = forms.IntegerField(
        min_value=1,
        max_value=subscriptions.LONGEST_GRACE,
        help_text="In all, from the day of the cancellation.",
    )
    field_order = ("days", "reason")


def set_subscription(row: Company, by: Actor, values: dict[str, Any]) -> None:
    """Set a subscription's state."""
    subscriptions.change_subscription(row, values["state"], by=by)


def extend_grace(row: Company, by: Actor, values: dict[str, Any]) -> None:
    """Give a cancelled company more time."""
    subscriptions.extend_grace(row, values["days"], by=by)


@admin.register(Company, site=site)
class CompanyPage(Reading):
    """Companies, their subscription and how much they have."""

    list_display = ("name", "subscription", "people", "clusters_count", "grace_ends_at")
    list_filter = ("subscription",)
    search_fields = ("name", "memberships__user__email")
    date_hierarchy = "created_at"
    fields = (
        "name",
        "subscription",
        "cancelled_at",
        "grace_days",
        "grace_ends_at",
        "created_at",
        "who",
    )
    readonly_fields = ("grace_ends_at", "who")
    buttons = (
        Button(
            "subscription",
            "Set subscription",
            "A cancelled company takes no more snapshots; when its grace is over, all is deleted.",
            set_subscription,
            fits=lambda row: row.subscription != "purged",
            form=SubscriptionForm,
        ),
        Button(
            "grace",
            "Extend grace",
            "The company's backups are kept for longer.",
            extend_grace,
            fits=lambda row: row.subscription == "cancelled",
            form=GraceForm,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count in the same query."""
        rows: QuerySet[Any] = super().get_queryset(request)
        clusters = apps.get_model("clusters.Cluster")
        counted: QuerySet[Any] = rows.annotate(
            people_found=number_of(Membership.objects.all(), "company"),
            clusters_found=number_of(clusters.objects.all(), "company"),
        )
        return counted

    def company_of(self, row: Company) -> Company:
        """Return the row: a company is its own."""
        return row

    @admin.display(ordering="people_found")
    def people(self, row: Any) -> int:
        """Return how many people it has."""
        return int(row.people_found)

    @admin.display(description="clusters", ordering="clusters_found")
    def clusters_count(self, row: Any) -> int:
        """Return how many clusters it has."""
        return int(row.clusters_found)

    @admin.display(description="grace ends")
    def grace_ends_at(self, row: Company) -> Any:
        """Return when everything is deleted."""
        return row.grace_ends_at or "—"

    @admin.display(description="people")
    def who(self, row: Company) -> str:
        """Return its people with their roles."""
        found = row.memberships.select_related("user").order_by("user__email")
        return ", ".join(f"{one.user.email} ({one.get_role_display()})" for one in found) or "—"


def lock(row: User, by: Actor, values: dict[str, Any]) -> None:
    """Lock an account."""
    accounts.lock(row, by=by)


def unlock(row: User, by: Actor, values: dict[str, Any]) -> None:
    """Unlock an account."""
    accounts.unlock(row, by=by)


def sign_out(row: User, by: Actor, values: dict[str, Any]) -> None:
    """End every session of a user."""
    accounts.sign_out_everywhere(row, by=by)


def reset_factor(row: User, by: Actor, values: dict[str, Any]) -> None:
    """Let a user set up a new second factor."""
    accounts.reset_second_factor(row, by=by)


@admin.register(User, site=site)
class UserPage(Reading):
    """People: where they belong, and how safe their account is."""

    list_display = ("email", "name", "is_active", "is_staff", "second_factor", "last_login")
    list_filter = ("is_active", "is_staff", "memberships__role")
    search_fields = ("email", "name", "memberships__company__name")
    date_hierarchy = "joined_at"
    fields = (
        "email",
        "name",
        "is_active",
        "is_staff",
        "second_factor",
        "must_change_password",
        "last_login",
        "joined_at",
        "where",
    )
    readonly_fields = ("second_factor", "where")
    buttons = (
        Button(
            "lock",
            "Lock account",
            "Nobody can sign in with it, and its sessions end.",
            lock,
            fits=lambda row: row.is_active,
        ),
        Button(
            "unlock",
            "Unlock account",
            "Its owner can sign in again.",
            unlock,
            fits=lambda row: not row.is_active,
        ),
        Button("sign-out", "Sign out everywhere", "All of its sessions end.", sign_out),
        Button(
            "reset-factor",
            "Reset second factor",
            "Make sure that it is really them who ask: the next sign-in sets up a new one.",
            reset_factor,
            fits=lambda row: row.has_factor,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Look for a second factor in the same query."""
        factors = Authenticator.objects.filter(user=OuterRef("pk"))
        rows: QuerySet[Any] = super().get_queryset(request)
        known: QuerySet[Any] = rows.annotate(has_factor=Exists(factors))
        return known

    def company_of(self, row: User) -> Company | None:
        """Return the user's company."""
        return row.companies.order_by("pk").first()

    @admin.display(boolean=True, ordering="has_factor")
    def second_factor(self, row: Any) -> bool:
        """Say whether the account has a second factor."""
        return bool(row.has_factor)

    @admin.display(description="companies")
    def where(self, row: User) -> str:
        """Return the user's companies with the roles."""
        found = row.memberships.select_related("company").order_by("company__name")
        return ", ".join(f"{one.company} ({one.get_role_display()})" for one in found) or "—"
