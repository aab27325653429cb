"""Making a token and taking it back."""

import hashlib
import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from medstack.failures import Failure
from medstack.models import AccessToken, Company, Event, Membership
from medstack.models.events import Actor

# By this, scanners of source code recognise one that was committed by accident.
PREFIX = "mst_"
# What a token may be, by what the one who makes it is.
ALLOWED: dict[str, tuple[str, ...]] = {
    Membership.Role.OWNER: ("operator", "auditor"),
    Membership.Role.OPERATOR: ("operator", "auditor"),
    Membership.Role.AUDITOR: ("auditor",),
}


def digest_of(token: str) -> str:
    """Return what is kept of a token; 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def make_token(
    company: Company, name: str, role: str, days: int, *, by: Actor
) -> tuple[AccessToken, str]:
    """Make a token for the one who acts; return the row and the token, which is kept nowhere."""
    membership = Membership.objects.filter(user=by.user, company=company).first()
    if by.user is None or membership is None:
        raise Failure("Only a member of the company can make a token for it.")
    if role not in ALLOWED.get(Membership.Role(membership.role), ()):
        raise Failure("A token cannot do more than the one who made it.")
    token = PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            row = AccessToken.objects.create(
                user=by.user,
                company=company,
                name=name,
                role=role,
                sha256=digest_of(token),
                expires_at=timezone.now() + timedelta(days=days),
            )
    except IntegrityError:
        raise Failure(f"You have a token named “{name}” already.") from None
    after = {"role": role, "days": days}
    Event.objects.record("token.made", row, by=by, company=company, after=after)
    return row, token


@transaction.atomic
def revoke_token(row: AccessToken, *, by: Actor) -> None:
    """Take a token back at once."""
    now = timezone.now()
    if AccessToken.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=now):
        Event.objects.record("token.revoked", row, by=by, company=row.company)
