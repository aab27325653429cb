"""What support staff may do to an account whose owner cannot help themselves."""

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction

from medstack.failures import Failure
from medstack.models import Company, Event, User
from medstack.models.events import Actor


def record(action: str, user: User, by: Actor) -> None:
    """Record it where the user's company reads it."""
    company = Company.objects.filter(memberships__user=user).order_by("pk").first()
    Event.objects.record(action, user, by=by, company=company)


def end_sessions(user: User) -> None:
    """End every session of a user."""
    for session in UserSession.objects.filter(user=user):
        session.end()


@transaction.atomic
def lock(user: User, *, by: Actor) -> None:
    """Let nobody sign in with the account any more."""
    if by.user == user:
        raise Failure("You cannot lock your own account.")
    User.objects.filter(pk=user.pk).update(is_active=False)
    end_sessions(user)
    record("user.locked", user, by)


@transaction.atomic
def unlock(user: User, *, by: Actor) -> None:
    """Let the account's owner sign in again."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    record("user.unlocked", user, by)


@transaction.atomic
def sign_out_everywhere(user: User, *, by: Actor) -> None:
    """End every session of the account."""
    end_sessions(user)
    record("user.signed_out_everywhere", user, by)


@transaction.atomic
def reset_second_factor(user: User, *, by: Actor) -> None:
    """Remove the second factors; who needs one sets up another at the next sign-in."""
    if by.user == user:
        raise Failure("Change your own second factor in your account's settings.")
    Authenticator.objects.filter(user=user).delete()
    end_sessions(user)
    record("user.second_factor_reset", user, by)
