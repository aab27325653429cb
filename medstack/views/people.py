"""Sign in, sign out, and choose one's own password."""

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from medstack import access
from medstack.models import Event
from medstack.models.events import Actor


class SignIn(LoginView):
    """Django's own sign-in, recorded; a refused one is answered 422 and recorded, too."""

    template_name = "medstack/sign_in.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Record who signed in, and from where."""
        response = super().form_valid(form)
        by = access.actor(self.request)
        company = access.companies_for(access.user_of(self.request)).first()
        Event.objects.record("user.signed_in", by.user, by=by, company=company)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Record the attempt without what was typed as the password."""
        by = Actor(address=access.address_of(self.request.META))
        tried = str(form.data.get("username", ""))[:254]
        Event.objects.record(
            "user.sign_in_refused", None, by=by, company=None, after={"email": tried}
        )
        return self.render_to_response(self.get_context_data(form=form), status=422)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("sign_in")


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
        company = access.companies_for(user).first()
        by = access.actor(request)
        Event.objects.record("user.password_changed", user, by=by, company=company)
        messages.success(request, "Your password is changed.")
        return redirect("clusters")
    return render(
        request,
        "medstack/change_password.html",
        {"form": form, "first": user.must_change_password},
        status=422 if form.is_bound else 200,
    )
