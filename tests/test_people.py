"""Sign in, and the first password."""

import re
from collections.abc import Callable
from io import StringIO
from ipaddress import ip_network

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from medstack.models import Event, User
from tests.conftest import PASSWORD
from tests.signing import code_of, give_factor

pytestmark = pytest.mark.django_db


def test_the_first_login_is_printed_once_and_must_be_changed() -> None:
    out = StringIO()
    call_command("first_owner", stdout=out)
    printed = re.search(r"Password:\s+(\S+)", out.getvalue())
    assert printed
    again = StringIO()
    call_command("first_owner", stdout=again)
    assert again.getvalue() == ""

    client = Client()
    login = {"login": "owner@medstack.localhost", "password": printed[1]}
    assert client.post("/sign-in/", login).status_code == 302
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"] == "/password/"
    new = {
        "old_password": printed[1],
        "new_password1": "a-better-one-of-mine-7",
        "new_password2": "a-better-one-of-mine-7",
    }
    assert client.post("/password/", new).status_code == 302
    # The password alone is not enough for an Owner.
    assert client.get("/")["Location"] == reverse("mfa_activate_totp")
    page = client.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    assert f'<code class="mono">{secret}</code>' in page.text
    answer = client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    assert answer["Location"] == reverse("mfa_view_recovery_codes")
    assert client.get("/").status_code == 200


def test_the_printed_password_is_stored_nowhere_in_clear() -> None:
    out = StringIO()
    call_command("first_owner", stdout=out)
    password = re.search(r"Password:\s+(\S+)", out.getvalue())
    assert password
    user = User.objects.get()
    assert password[1] not in user.password
    assert not [event for event in Event.objects.all() if password[1] in str(event.after)]


def test_a_refused_sign_in_is_recorded_without_the_password(owner: User) -> None:
    client = Client(REMOTE_ADDR="198.51.100.4")
    login = {"login": owner.email, "password": "wrong-password-1"}
    response = client.post("/sign-in/", login)
    assert response.status_code == 422
    event = Event.objects.get(action="user.sign_in_refused")
    assert event.address == "198.51.100.4"
    assert event.after == {"email": owner.email}


def test_sign_in_takes_the_address_in_any_case(owner: User) -> None:
    give_factor(owner)
    response = Client().post("/sign-in/", {"login": owner.email.upper(), "password": PASSWORD})
    assert response["Location"].startswith(reverse("mfa_authenticate"))


def test_every_page_has_a_strict_content_policy(
    owner: User, client_for: Callable[[User], Client]
) -> None:
    policy = client_for(owner).get("/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    owner: User, settings: pytest.FixtureRequest
) -> None:
    client = Client(REMOTE_ADDR="198.51.100.4", headers={"x-forwarded-for": "203.0.113.9"})
    client.post("/sign-in/", {"login": owner.email, "password": "wrong-password-1"})
    settings.TRUSTED_PROXIES = [ip_network("198.51.100.0/24")]  # type: ignore[attr-defined]
    client.post("/sign-in/", {"login": owner.email, "password": "wrong-password-2"})
    addresses = [event.address for event in Event.objects.filter(action__contains="refused")]
    assert addresses == ["203.0.113.9", "198.51.100.4"]
