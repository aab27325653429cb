"""How the sign-in library works here.

Nobody signs up by themselves, factors are encrypted, and what happens to an account is recorded.
"""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from medstack import access
from medstack.crypto import cipher
from medstack.models import Company, Event, Membership, User
from medstack.models.events import Actor

# Who can change or destroy something, and who can see every company.
NEED_SECOND_FACTOR = (Membership.Role.OWNER, Membership.Role.OPERATOR)


def needs_second_factor(user: User) -> bool:
    """Say whether the user may only work with a second factor."""
    return user.is_staff or user.memberships.filter(role__in=NEED_SECOND_FACTOR).exists()


def has_second_factor(user: User) -> bool:
    """Say whether the user has an authenticator app or a passkey; recovery codes alone are none."""
    factors = Authenticator.objects.filter(user=user)
    return bool(factors.exclude(type=Authenticator.Type.RECOVERY_CODES).exists())


def record(action: str, user: User, request: HttpRequest, **after: Any) -> None:
    """Record what happened to an account, in the user's company."""
    by = Actor(user=user, address=access.address_of(request.META))
    company = Company.objects.filter(memberships__user=user).first()
    Event.objects.record(action, user, by=by, company=company, after=after or None)


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-in with an e-mail address and a password."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Refuse: people are invited."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that attempts are counted by."""
        return access.address_of(request.META) or "0.0.0.0"  # noqa: S104 - no address is known

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Record who signed in; the password that was typed just now need not be typed again."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        reauthenticate_by_password(request)
        record("user.signed_in", user, request)
        return response

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record the attempt without what was typed as the password."""
        super().authentication_failed(request, **credentials)
        by = Actor(address=access.address_of(request.META))
        tried = str(credentials.get("email", ""))[:254]
        user = User.objects.filter(email__iexact=tried).first()
        company = Company.objects.filter(memberships__user=user).first() if user else None
        Event.objects.record(
            "user.sign_in_refused", user, by=by, company=company, after={"email": tried}
        )

    def send_notification_mail(
        self,
        template_prefix: str,
        user: User,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """Record what the library would write to the user: a factor came, went, or was renewed."""
        record(f"user.{template_prefix.rpartition('/')[2]}", user, self.request)


class SecondFactors(DefaultMFAAdapter):  # type: ignore[misc]
    """Authenticator apps, passkeys and recovery codes; their secrets are encrypted at rest."""

    @cached_property
    def cipher(self) -> Any:
        """Return the cipher over the field keys."""
        return cipher()

    def encrypt(self, text: str) -> str:
        """Encrypt a factor's secret."""
        return str(self.cipher.encrypt(text.encode()).decode())

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt a factor's secret."""
        return str(self.cipher.decrypt(encrypted_text.encode()).decode())

    def can_delete_authenticator(self, authenticator: Any) -> bool:
        """Keep the last factor of somebody who may not work without one."""
        codes = Authenticator.Type.RECOVERY_CODES
        others = Authenticator.objects.filter(user=authenticator.user).exclude(pk=authenticator.pk)
        return (
            authenticator.type == codes
            or others.exclude(type=codes).exists()
            or not needs_second_factor(authenticator.user)
        )
