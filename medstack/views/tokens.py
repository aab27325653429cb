"""Pages of access tokens: by which programs may work in a company, a new one, and its end."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from medstack import access
from medstack.actions import tokens as actions
from medstack.failures import Failure
from medstack.forms.tokens import TokenForm
from medstack.listing import Column, Listing
from medstack.models import Membership

COLUMNS = (
    Column("Name", "name"),
    Column("Company", "company__name"),
    Column("Of", "user__email"),
    Column("Role", "role"),
    Column("State"),
    Column("Used last", "used_at"),
    Column("Until", "expires_at"),
    Column("Actions"),
)


@login_required
@require_safe
def tokens(request: HttpRequest) -> HttpResponse:
    """List one's own tokens; an Owner sees those of the whole company."""
    listing = Listing(
        request,
        access.tokens_for(request).select_related("user", "company"),
        columns=COLUMNS,
        search=("name", "user__email", "company__name"),
        sort="-created_at",
    )
    return render(request, "medstack/tokens.html", {"listing": listing})


@never_cache
@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def new_token(request: HttpRequest) -> HttpResponse:
    """Make a token, and show it this once."""
    user = access.user_of(request)
    memberships = Membership.objects.filter(user=user, role__in=access.READ)
    form = TokenForm(
        request.POST if request.method == "POST" else None,
        memberships=list(memberships.select_related("company").order_by("company__name")),
    )
    if form.is_valid():
        values = form.cleaned_data
        company = form.memberships[values["company"]].company
        try:
            row, token = actions.make_token(
                company, values["name"], values["role"], values["days"], by=access.actor(request)
            )
        except Failure as error:
            form.add_error("name", str(error))
        else:
            example = request.build_absolute_uri(reverse("api:clusters"))
            context = {"made": row, "token": token, "example": example}
            return render(request, "medstack/token_made.html", context)
    status = 422 if form.is_bound else 200
    return render(request, "medstack/new_token.html", {"form": form}, status=status)


@login_required
@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a token back: one's own, or one of a company that one owns."""
    row = get_object_or_404(access.tokens_for(request).select_related("company"), pk=pk)
    actions.revoke_token(row, by=access.actor(request))
    return redirect("tokens")
