"""Rules for every request: no null characters, a strict content policy, and safe accounts only."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.defaults import bad_request

from medstack.identity import has_second_factor, needs_second_factor
from medstack.models import User

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; manifest-src 'self'"
)
# What is open to somebody whose account is not safe yet.
OPEN = ("/account/", "/password/", "/sign-out/", "/static/", "/healthz", "/help/")
# What is open to somebody who has a printed password still.
OPEN_BEFORE = ("/password/", "/sign-out/", "/static/", "/help/")
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


def without_null_characters(get_response: Answer) -> Answer:
    """Refuse an address that PostgreSQL could not look for: it takes no null characters."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\0" not in request.path and "%00" not in request.META.get("QUERY_STRING", ""):
            return get_response(request)
        if request.path.startswith("/api/"):
            refusal = {"error": "An address holds no null characters.", "fields": {}}
            return JsonResponse(refusal, status=400)
        return bad_request(request, BadRequest())

    return middleware


def signed_in_with_own_password(get_response: Answer) -> Answer:
    """Send a user with a printed one-time password to choose one first."""

    def middleware(request: HttpRequest) -> HttpResponse:
        must = getattr(request.user, "must_change_password", False)
        if must and not request.path.startswith(OPEN_BEFORE):
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
