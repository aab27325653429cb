"""Who a program is: by a token in the header, and by nothing else."""

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import HttpError
from ninja.security import HttpBearer

from medstack import access
from medstack.actions.tokens import digest_of
from medstack.identity import has_second_factor, needs_second_factor
from medstack.models import AccessToken, Event, Membership
from medstack.models.events import Actor

MINUTE = 60
# The list of tokens says when one was used, to the minute.
USED_EVERY = 60


class Bearer(HttpBearer):
    """Let a valid token in, as often as is reasonable; guesses get few tries."""

    def authenticate(self, request: HttpRequest, token: str) -> AccessToken | None:
        """Return the token's row, or None."""
        row = valid(token)
        if row is None:
            refuse(request)
            return None
        if counted(f"api-calls:{row.pk}") > settings.API_CALLS:
            raise HttpError(429, "Too many requests with this token; wait a minute.")
        note_use(row)
        request.user = row.user
        request.access_token = row  # type: ignore[attr-defined]
        return row


def refuse(request: HttpRequest) -> None:
    """Record a wrong token once a minute for each address, and say when there were too many."""
    address = access.address_of(request.META)
    tries = counted(f"api-guesses:{address}")
    if tries == 1:
        Event.objects.record("token.refused", None, by=Actor(address=address), company=None)
    if tries > settings.API_GUESSES:
        raise HttpError(429, "Too many attempts with wrong tokens; wait a minute.")


def counted(key: str) -> int:
    """Count something within the running minute, in all processes together."""
    key = f"{key}:{timezone.now():%H%M}"
    cache.add(key, 0, 2 * MINUTE)
    try:
        return cache.incr(key)
    except ValueError:
        # It was swept away between the two.
        return 1


def valid(token: str) -> AccessToken | None:
    """Return the row of a token that may be used now.

    Who left the company, was locked, or lost the second factor that they need takes their tokens
    along.
    """
    rows = AccessToken.objects.select_related("user", "company")
    row = rows.filter(sha256=digest_of(token), revoked_at=None).first()
    if row is None or timezone.now() >= row.expires_at or not row.user.is_active:
        return None
    if not Membership.objects.filter(
        user=row.user, company=row.company, role__in=access.READ
    ).exists():
        return None
    if needs_second_factor(row.user) and not has_second_factor(row.user):
        return None
    return None if row.user.must_change_password else row


def note_use(row: AccessToken) -> None:
    """Keep when a token was used last."""
    now = timezone.now()
    if row.used_at is None or (now - row.used_at).total_seconds() > USED_EVERY:
        AccessToken.objects.filter(pk=row.pk).update(used_at=now)
