"""Pages of a company's people: who they are, invitations, and joining by one."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from medstack import access
from medstack.actions import people as actions
from medstack.failures import Failure
from medstack.forms.people import ROLES, AcceptForm, InvitationForm, RoleForm
from medstack.models import Company, Invitation, Membership, User


@login_required
@require_safe
def members(request: HttpRequest) -> HttpResponse:
    """List the people of the companies that the user owns, and the open invitations."""
    companies = companies_of(request)
    invitations = Invitation.objects.filter(
        company__in=companies, accepted_at=None, revoked_at=None
    ).select_related("company", "invited_by")
    rows = Membership.objects.filter(company__in=companies).select_related("user", "company")
    context = {
        "memberships": rows.order_by("company__name", "user__email"),
        "invitations": invitations,
        "roles": ROLES.items(),
        "nav_active": "people",
    }
    return render(request, "medstack/members.html", context)


def companies_of(request: HttpRequest) -> QuerySet[Company]:
    """Return the companies that the user owns; 404 for anybody who owns none."""
    companies = access.companies_for(access.user_of(request), access.OWN)
    if not companies.exists():
        raise Http404
    return companies


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    """Invite somebody, and show the link once."""
    form = InvitationForm(request.POST or None, companies=companies_of(request))
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "medstack/invite.html", {"form": form}, status=status)
    values = form.cleaned_data
    try:
        invitation, token = actions.invite(
            values["company"], values["email"], values["role"], by=access.actor(request)
        )
    except Failure as error:
        form.add_error("email", str(error))
        return render(request, "medstack/invite.html", {"form": form}, status=422)
    url = request.build_absolute_uri(reverse("accept_invitation", args=[token]))
    try:
        actions.send_invitation(invitation, url)
        problem = ""
    except OSError as error:
        problem = f"The mail server did not take it: {error}"
    context = {"invitation": invitation, "url": url, "problem": problem}
    return render(request, "medstack/invited.html", context)


@login_required
@require_POST
def revoke_invitation(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an invitation back."""
    found = get_object_or_404(Invitation, pk=pk, company__in=companies_of(request))
    try:
        actions.revoke(found, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
    return redirect("members")


@login_required
@access.confirmed
@require_POST
def change_member(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a member another role, or end the membership."""
    found = get_object_or_404(
        Membership.objects.select_related("user", "company"),
        pk=pk,
        company__in=companies_of(request),
    )
    form = RoleForm(request.POST)
    try:
        if "remove" in request.POST:
            actions.remove_member(found, by=access.actor(request))
        elif form.is_valid():
            actions.change_role(found, form.cleaned_data["role"], by=access.actor(request))
        else:
            messages.error(request, "Choose one of the roles.")
    except Failure as error:
        messages.error(request, str(error))
    return redirect("members")


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join a company by the link of an invitation."""
    found = (
        Invitation.objects.filter(token_sha256=actions.digest_of(token))
        .select_related("company", "invited_by")
        .first()
    )
    if found is None or not found.is_open:
        return render(request, "medstack/invitation_over.html", status=404)
    user = User.objects.filter(email__iexact=found.email).first()
    if user and request.user != user:
        # The link alone must not let anybody into an account that exists.
        messages.info(request, f"Sign in as {user.email} to join {found.company}.")
        return redirect(f"{reverse('account_login')}?next={request.path}")
    form = AcceptForm(request.POST or None, email=found.email)
    if request.method == "POST" and (user or form.is_valid()):
        values = {"name": "", "password": ""} if user else form.cleaned_data
        try:
            actions.accept(
                found,
                user,
                name=values["name"],
                password=values["password"],
                by=access.actor(request),
            )
        except Failure:
            return render(request, "medstack/invitation_over.html", status=404)
        messages.success(request, f"Welcome to {found.company}.")
        return redirect("dashboard")
    status = 422 if request.method == "POST" else 200
    context = {"invitation": found, "form": None if user else form}
    return render(request, "medstack/accept_invitation.html", context, status=status)
