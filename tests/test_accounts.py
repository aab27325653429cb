"""Second factors, guesses, sessions and confirmations: how an account is kept safe."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Node
from medstack.models import Event, User
from tests.conftest import PASSWORD
from tests.pages import SignIn
from tests.signing import SECRET, code_of, give_factor, sign_in

pytestmark = pytest.mark.django_db
SIGN_IN, CODE = "/sign-in/", "/account/security/authenticate/"


@pytest.fixture(autouse=True)
def nothing_counted(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def login(user: User, password: str = PASSWORD, client: Client | None = None) -> Client:
    """Type e-mail address and password."""
    client = client or Client(REMOTE_ADDR="192.0.2.7")
    client.post(SIGN_IN, {"login": user.email, "password": password})
    return client


def test_an_owners_password_alone_opens_nothing(owner: User) -> None:
    give_factor(owner)
    client = login(owner)
    assert client.get("/")["Location"].startswith(SIGN_IN)
    assert client.post(CODE, {"code": "000000"}).status_code == 200
    assert client.get("/")["Location"].startswith(SIGN_IN)
    assert client.post(CODE, {"code": code_of()}).status_code == 302
    assert client.get("/").status_code == 200
    assert Event.objects.get(action="user.signed_in").actor == owner


def test_a_code_works_once(owner: User) -> None:
    give_factor(owner)
    code = code_of()
    assert login(owner).post(CODE, {"code": code}).status_code == 302
    assert login(owner).post(CODE, {"code": code}).status_code == 200


@pytest.mark.parametrize("role", ["owner", "operator"])
def test_who_can_change_something_must_set_up_a_second_factor(
    role: str, request: pytest.FixtureRequest
) -> None:
    user: User = request.getfixturevalue(role)
    client = login(user)
    assert client.get("/")["Location"] == reverse("mfa_activate_totp")
    assert client.get(reverse("events"))["Location"] == reverse("mfa_activate_totp")


def test_who_only_reads_may_do_without(auditor: User) -> None:
    assert login(auditor).get("/").status_code == 200


def test_a_recovery_code_lets_in_once_when_the_phone_is_lost(
    operator: User, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[Any]]
) -> None:
    client = login(operator)
    secret = client.get(reverse("mfa_activate_totp")).context["form"].secret
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    page = client.get(reverse("mfa_view_recovery_codes")).text
    codes = re.findall(r"\b\d{8}\b", page)
    assert len(codes) == 10
    assert codes[0] not in client.get(reverse("mfa_view_recovery_codes")).text
    for expected in (302, 200):
        assert login(operator).post(CODE, {"code": codes[0]}).status_code == expected
    actions = set(Event.objects.values_list("action", flat=True))
    assert "user.totp_activated" in actions


def test_factors_rest_encrypted_in_rows_and_sessions(operator: User) -> None:
    client = login(operator)
    secret = client.get(reverse("mfa_activate_totp")).context["form"].secret
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    assert Authenticator.objects.filter(user=operator, type="totp").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        stored = str(cursor.fetchall())
        cursor.execute("SELECT session_data FROM django_session")
        stored += str(cursor.fetchall())
    assert secret not in stored


def test_guessing_a_password_is_stopped_for_that_account_from_everywhere(
    owner: User, operator: User
) -> None:
    give_factor(owner)
    for number in range(5):
        login(owner, "wrong-password-1", Client(REMOTE_ADDR=f"198.51.100.{number}"))
    client = Client(REMOTE_ADDR="198.51.100.99")
    answer = client.post(SIGN_IN, {"login": owner.email, "password": PASSWORD})
    assert answer.status_code == 422
    assert "Too many failed" in answer.text
    # Somebody else is not locked out with them.
    give_factor(operator)
    answer = client.post(SIGN_IN, {"login": operator.email, "password": PASSWORD})
    assert answer["Location"].startswith(CODE)


def test_guessing_codes_is_stopped(owner: User) -> None:
    give_factor(owner)
    client = login(owner)
    for _ in range(5):
        client.post(CODE, {"code": "000000"})
    assert "Too many failed" in client.post(CODE, {"code": code_of()}).text


def test_what_cannot_be_undone_asks_who_is_there_first(
    owner: User, cluster: Cluster, node: Node
) -> None:
    client = Client()
    give_factor(owner)
    client.force_login(owner)
    url = reverse("remove_node", args=[cluster.slug, node.name])
    for method in (client.get, client.post):
        answer = method(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/")
    confirm = f"{reverse('account_reauthenticate')}?next={url}"
    assert "Confirm that it is you" in client.get(confirm).text
    assert client.post(confirm, {"password": "wrong-password-1"}).status_code == 200
    assert client.get(url).status_code == 302
    assert client.post(confirm, {"password": PASSWORD})["Location"] == url
    assert client.get(url).status_code == 200


def test_a_code_confirms_as_well(owner: User, cluster: Cluster, node: Node) -> None:
    client = Client()
    give_factor(owner)
    client.force_login(owner)
    url = reverse("remove_node", args=[cluster.slug, node.name])
    confirm = f"{reverse('mfa_reauthenticate')}?next={url}"
    assert client.post(confirm, {"code": code_of(SECRET)})["Location"] == url


def test_other_sessions_are_seen_and_signed_out(auditor: User) -> None:
    here, there = login(auditor), login(auditor, client=Client(REMOTE_ADDR="203.0.113.5"))
    page = here.get(reverse("usersessions_list")).text
    assert "203.0.113.5" in page
    assert here.post(reverse("usersessions_list")).status_code == 302
    assert here.get("/").status_code == 200
    assert there.get("/")["Location"].startswith(SIGN_IN)


def test_the_last_factor_of_an_owner_stays(client_for: SignIn, owner: User) -> None:
    client = client_for(owner)
    client.post(reverse("mfa_deactivate_totp"))
    assert Authenticator.objects.filter(user=owner, type="totp").exists()


def test_nobody_signs_up_by_themselves() -> None:
    for path in ("/accounts/signup/", "/account/signup/", "/signup/"):
        assert Client().get(path).status_code == 404


def test_a_session_ends_with_a_new_password(auditor: User) -> None:
    here, there = login(auditor), login(auditor)
    new = "a-better-one-of-mine-7"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/password/", form).status_code == 302
    assert here.get("/").status_code == 200
    assert there.get("/")["Location"].startswith(SIGN_IN)


def test_pages_of_the_account_are_drawn(client_for: SignIn, owner: User) -> None:
    client = sign_in(Client(), owner)
    for name in ("mfa_index", "mfa_add_webauthn", "mfa_generate_recovery_codes"):
        assert client.get(reverse(name)).status_code == 200
    assert "Sign in with a passkey" in Client().get(SIGN_IN).text
