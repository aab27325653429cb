"""Follow operations to their end."""

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from medstack import access
from medstack.listing import Choice, Column, Listing
from medstack.models import Operation


@login_required
@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """List the operations of the user's companies."""
    listing = Listing(
        request,
        access.operations_for(request).select_related("cluster", "requested_by"),
        columns=(
            Column("Operation", "title"),
            Column("On", "target_name"),
            Column("Cluster", "cluster__name"),
            Column("State", "state"),
            Column("By", "requested_by__email"),
            Column("Requested", "requested_at"),
        ),
        search=("title", "target_name", "cluster__name", "error"),
        filters=(Choice("state", "State", (("", "All"), *Operation.State.choices)),),
        sort="-requested_at",
    )
    return render(
        request, "medstack/operations.html", {"listing": listing, "nav_active": "operations"}
    )


@login_required
@require_safe
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one operation; the panel alone when it asks for itself."""
    found = get_object_or_404(
        access.operations_for(request).select_related("cluster", "requested_by"), pk=pk
    )
    template = "includes/operation.html" if request.htmx else "medstack/operation.html"  # type: ignore[attr-defined]
    return render(request, template, {"operation": found, "nav_active": "operations"})


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Answer whether the console can serve: its database answers a query."""
    connection.ensure_connection()
    return JsonResponse({"status": "ok"})
