"""Pages of configs; what they share with their siblings stands in versioned.py."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from clusters.models import Config
from clusters.views import versioned
from medstack import access


@login_required
@require_safe
def configs(request: HttpRequest, slug: str) -> HttpResponse:
    """List the configs."""
    return versioned.list_page(request, slug, Config)


@login_required
@require_safe
def config(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Show a config and its versions."""
    return versioned.object_page(request, slug, name, Config)


@login_required
@require_http_methods(["GET", "POST"])
def new_config(request: HttpRequest, slug: str) -> HttpResponse:
    """Create a config from a text or a file."""
    return versioned.new_page(request, slug, Config)


@login_required
@require_http_methods(["GET", "POST"])
def rotate_config(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Give a config a new value."""
    return versioned.rotate_page(request, slug, name, Config)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def delete_config(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Delete a config."""
    return versioned.delete_page(request, slug, name, Config)
