"""Rules for every response: a strict content policy, and no work before an account is safe."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from medstack.identity import has_second_factor, needs_second_factor
from medstack.models import User

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; manifest-src 'self'"
)
# What is open to somebody whose account is not safe yet.
OPEN = ("/account/", "/password/", "/sign-out/", "/static/", "/healthz")
# In the session once the factor was seen, so that not every request has to look.
SEEN = "has_second_factor"
Answer = Callable[[HttpRequest], HttpResponse]


def content_security_policy(get_response: Answer) -> Answer:
    """Allow our own files only."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return middleware


def signed_in_with_own_password(get_response: Answer) -> Answer:
    """Send a user with a printed one-time password to choose one first."""

    def middleware(request: HttpRequest) -> HttpResponse:
        must = getattr(request.user, "must_change_password", False)
        if must and not request.path.startswith(("/password/", "/sign-out/", "/static/")):
            return redirect("change_password")
        return get_response(request)

    return middleware


def signed_in_with_second_factor(get_response: Answer) -> Answer:
    """Send whoever can change or destroy something to set up a second factor first."""

    def middleware(request: HttpRequest) -> HttpResponse:
        user = request.user
        open_to_all = request.path.startswith(OPEN) or request.session.get(SEEN)
        if isinstance(user, User) and not open_to_all and needs_second_factor(user):
            if not has_second_factor(user):
                return redirect("mfa_activate_totp")
            request.session[SEEN] = True
        return get_response(request)

    return middleware
