"""Two rules for every response: a strict content policy, and no work on a printed password."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; manifest-src 'self'"
)
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
