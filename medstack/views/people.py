"""Sign in, sign out, and choose one's own password."""

from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.account.views import LoginView
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from medstack import access
from medstack.models import Event


class SignIn(LoginView):  # type: ignore[misc]
    """The library's sign-in; a refused one is answered 422. See medstack/identity.py."""

    def form_invalid(self, form: object) -> HttpResponse:
        """Show what was wrong."""
        response: HttpResponse = super().form_invalid(form)
        response.status_code = 422
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("account_login")


@sensitive_post_parameters()
@login_required
@require_http_methods(["GET", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Let a user choose a password; a printed one has to be changed here first."""
    user = access.user_of(request)
    form = PasswordChangeForm(user, request.POST or None)
    if form.is_valid():
        form.save()
        user.must_change_password = False
        user.save(update_fields=["must_change_password"])
        update_session_auth_hash(request, user)
        reauthenticate_by_password(request)
        company = access.companies_for(user).first()
        by = access.actor(request)
        Event.objects.record("user.password_changed", user, by=by, company=company)
        messages.success(request, "Your password is changed.")
        return redirect("dashboard")
    return render(
        request,
        "medstack/change_password.html",
        {"form": form, "first": user.must_change_password},
        status=422 if form.is_bound else 200,
    )
