"""Follow operations to their end."""

from collections import Counter

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from medstack import access
from medstack import operations as cancelling
from medstack.failures import Failure
from medstack.listing import Choice, Column, Listing
from medstack.models import Operation

# So many of the newest are searched and sorted at once; a link leads to those before them.
NEWEST = 10_000


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
            Column("Requested", "pk"),
        ),
        search=("title", "target_name", "cluster__name", "error"),
        filters=(Choice("state", "State", (("", "All"), *Operation.State.choices)),),
        sort="-pk",
        newest=NEWEST,
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
    can_operate = bool(found.company and access.may(request, found.company))
    context = {"operation": found, "nav_active": "operations", "can_operate": can_operate}
    return render(request, template, context)


@login_required
@require_safe
def running(request: HttpRequest) -> HttpResponse:
    """Show what runs now; for a page that showed some of it, say how these have ended."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("operations")
    asked = [pk for pk in request.GET.getlist("watched")[:20] if pk.isdecimal() and len(pk) < 19]
    ended = access.operations_for(request).filter(pk__in=asked).exclude(state__in=Operation.ACTIVE)
    states = dict(ended.values_list("pk", "state"))
    watched = {"ended": list(states)} | Counter(states.values())
    return render(request, "includes/running.html", {"watched": watched})


@login_required
@require_POST
def cancel_operation(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask an operation to end."""
    found = get_object_or_404(access.operations_for(request, access.OPERATE), pk=pk)
    try:
        cancelling.cancel(found, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
    return redirect(found.url)


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Answer whether the console can serve: its database answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "The database does not answer."}, status=503)
    return JsonResponse({"status": "ok"})
