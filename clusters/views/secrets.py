"""Pages of secrets; what they share with their siblings stands in versioned.py."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from clusters.models import Secret
from clusters.views import versioned
from medstack import access


@login_required
@require_safe
def secrets(request: HttpRequest, slug: str) -> HttpResponse:
    """List the secrets."""
    return versioned.list_page(request, slug, Secret)


@login_required
@require_safe
def secret(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Show a secret and its versions."""
    return versioned.object_page(request, slug, name, Secret)


@login_required
@require_http_methods(["GET", "POST"])
def new_secret(request: HttpRequest, slug: str) -> HttpResponse:
    """Create a secret from a text or a file."""
    return versioned.new_page(request, slug, Secret)


@login_required
@require_http_methods(["GET", "POST"])
def rotate_secret(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Give a secret a new value."""
    return versioned.rotate_page(request, slug, name, Secret)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def delete_secret(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Delete a secret."""
    return versioned.delete_page(request, slug, name, Secret)
