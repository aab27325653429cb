"""Every change of a company's subscription; support staff make them."""

from django.db import transaction
from django.utils import timezone

from medstack.failures import Failure
from medstack.models import Company, Event
from medstack.models.events import Actor

State = Company.Subscription
# From each state, where it may go; what is purged is gone for good.
ALLOWED = {
    State.ACTIVE: (State.PAST_DUE, State.CANCELLED),
    State.PAST_DUE: (State.ACTIVE, State.CANCELLED),
    State.CANCELLED: (State.ACTIVE, State.PAST_DUE),
    State.PURGED: (),
}
LONGEST_GRACE = 365


@transaction.atomic
def change_subscription(company: Company, state: str, *, by: Actor) -> None:
    """Set a subscription's state; a return within the grace loses nothing."""
    row = Company.objects.select_for_update().get(pk=company.pk)
    before = State(row.subscription)
    if state not in ALLOWED[before]:
        raise Failure(f"A subscription that is {before.label.lower()} cannot become that.")
    row.subscription = state
    row.cancelled_at = timezone.now() if state == State.CANCELLED else None
    row.save(update_fields=["subscription", "cancelled_at"])
    Event.objects.record(
        "subscription.changed", row, by=by, company=row, before=before.value, after=state
    )


@transaction.atomic
def extend_grace(company: Company, days: int, *, by: Actor) -> None:
    """Give a cancelled company more time before everything is deleted."""
    row = Company.objects.select_for_update().get(pk=company.pk)
    if row.subscription != State.CANCELLED:
        raise Failure("Only a cancelled subscription has a grace.")
    if not row.grace_days < days <= LONGEST_GRACE:
        raise Failure(f"Write a number of days from {row.grace_days + 1} to {LONGEST_GRACE}.")
    before, row.grace_days = row.grace_days, days
    row.save(update_fields=["grace_days"])
    Event.objects.record("subscription.grace", row, by=by, company=row, before=before, after=days)
