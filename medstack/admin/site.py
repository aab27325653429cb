"""The support staff's own site: who may enter it, and where it sends the others."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from medstack.identity import has_second_factor
from medstack.models import User


class SupportSite(AdminSite):
    """Django's admin, entered through the console's own sign-in."""

    site_title = "MedStack Control support"
    site_header = "MedStack Control support"
    index_title = "What customers have"
    site_url = "/"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        """Admit support staff with a second factor; the middleware has seen to the rest."""
        user = request.user
        return (
            isinstance(user, User) and user.is_active and user.is_staff and has_second_factor(user)
        )

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send a visitor to the console's sign-in; who is no staff learns nothing."""
        if request.user.is_authenticated:
            raise Http404
        return redirect(
            f"{reverse('account_login')}?{urlencode({'next': request.get_full_path()})}"
        )

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """End the session."""
        logout(request)
        return redirect("account_login")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """Send them where everybody changes their password."""
        return redirect("change_password")


site = SupportSite(name="admin")
