"""Numbers for Prometheus, for those who may see them."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from ninja.errors import HttpError
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from backups.metrics import text
from medstack import access
from medstack.bearer import Bearer

PLAIN = "text/plain; charset=utf-8"


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the installation's own token with all numbers, a company's with those of its own."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    clusters = None
    if not is_installation(token):
        try:
            row = Bearer().authenticate(request, token) if scheme.lower() == "bearer" else None
        except HttpError as error:
            return HttpResponse(f"{error}\n", status=error.status_code, content_type=PLAIN)
        if row is None:
            answer = HttpResponse("A token is needed.\n", status=401, content_type=PLAIN)
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        clusters = access.clusters_for(request)
    return HttpResponse(text(clusters, timezone.now()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def is_installation(token: str) -> bool:
    """Say whether this is the token from the installation's file, if there is one."""
    return any(constant_time_compare(token, one) for one in settings.METRICS_TOKENS)
