"""Every write an Owner can make to the people of a company."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from medstack.failures import Failure
from medstack.models import Company, Event, Invitation, Membership, User
from medstack.models.events import Actor

VALID_FOR = timedelta(days=7)


def digest_of(token: str) -> str:
    """Return what is kept of a link."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def invite(company: Company, email: str, role: str, *, by: Actor) -> tuple[Invitation, str]:
    """Invite somebody; return the row and the token of the link, which is kept nowhere."""
    if by.user is None:
        raise Failure("Only a person can invite.")
    if Membership.objects.filter(company=company, user__email__iexact=email).exists():
        raise Failure(f"{email} is a member already.")
    token = secrets.token_urlsafe(32)
    now = timezone.now()
    # A second invitation replaces the first, whose link may be lost.
    Invitation.objects.filter(
        company=company, email=email, accepted_at=None, revoked_at=None
    ).update(revoked_at=now)
    invitation = Invitation.objects.create(
        company=company,
        email=email,
        role=role,
        token_sha256=digest_of(token),
        invited_by=by.user,
        expires_at=now + VALID_FOR,
    )
    Event.objects.record(
        "invitation.made", invitation, by=by, company=company, after={"email": email, "role": role}
    )
    return invitation, token


def send_invitation(invitation: Invitation, url: str) -> None:
    """Send the link; raise OSError where the mail server does not take it."""
    send_mail(
        f"You are invited to {invitation.company} on MedStack Control",
        f"{invitation.invited_by} invites you to {invitation.company} as "
        f"{invitation.get_role_display()}.\n\nOpen this link within a week, and choose a "
        f"password:\n\n{url}\n\nIf you did not expect this, do nothing.\n",
        settings.DEFAULT_FROM_EMAIL,
        [invitation.email],
    )


@transaction.atomic
def revoke(invitation: Invitation, *, by: Actor) -> None:
    """Take an invitation back: its link stops working."""
    if not invitation.is_open:
        raise Failure("This invitation is not open any more.")
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    Event.objects.record("invitation.revoked", invitation, by=by, company=invitation.company)


@transaction.atomic
def accept(
    invitation: Invitation, user: User | None, *, name: str, password: str, by: Actor
) -> User:
    """Let the invited person in: somebody with an account keeps it, anybody else gets one."""
    mine = Invitation.objects.filter(
        pk=invitation.pk, accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
    ).update(accepted_at=timezone.now())
    if not mine:
        raise Failure("This invitation is not open any more.")
    if user is None:
        user = User.objects.create_user(invitation.email, password, name=name)
    Membership.objects.create(user=user, company=invitation.company, role=invitation.role)
    Event.objects.record(
        "invitation.accepted",
        invitation,
        by=Actor(user, by.address),
        company=invitation.company,
        after={"email": invitation.email, "role": invitation.role},
    )
    return user


@transaction.atomic
def change_role(membership: Membership, role: str, *, by: Actor) -> None:
    """Give a member another role; a company never loses its last Owner."""
    refuse_without_owner(membership, "Changing the role of")
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    Event.objects.record(
        "member.role", membership, by=by, company=membership.company, before=before, after=role
    )


@transaction.atomic
def remove_member(membership: Membership, *, by: Actor) -> None:
    """End a membership; the account and all that it did stay."""
    refuse_without_owner(membership, "Removing")
    Event.objects.record(
        "member.removed",
        membership,
        by=by,
        company=membership.company,
        before={"email": membership.user.email, "role": membership.role},
    )
    membership.delete()


def refuse_without_owner(membership: Membership, doing: str) -> None:
    """Refuse what would leave a company without an Owner."""
    # Locked, so that two Owners cannot remove each other at the same moment.
    Company.objects.select_for_update().get(pk=membership.company_id)
    owners = Membership.objects.filter(company=membership.company, role=Membership.Role.OWNER)
    if membership.role == Membership.Role.OWNER and owners.count() == 1:
        raise Failure(f"{doing} {membership.user} would leave the company without an Owner.")
