"""Access tokens: made by a person for a program, shown once, taken back."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from medstack.models import AccessToken, Company, Event, Membership, User
from tests.conftest import person
from tests.pages import SignIn
from tests.programs import program, token_of
from tests.signing import give_factor

NEW = "/tokens/new/"


@pytest.fixture(autouse=True)
def nothing_counted(db: None) -> None:
    cache.clear()


def form(company: Company, **changed: object) -> dict[str, object]:
    return {"name": "deploy", "company": company.pk, "role": "operator", "days": 30} | changed


def test_a_token_is_shown_once_and_only_its_digest_is_kept(
    client_for: SignIn, operator: User, company: Company
) -> None:
    browser = client_for(operator)
    answer = browser.post(NEW, form(company))
    found = re.search(r"mst_[\w-]{43}", answer.text)
    assert found
    assert "no-store" in answer["Cache-Control"]
    assert program(found[0]).get("/api/v1/clusters").status_code == 200
    page = browser.get("/tokens/").text
    assert "deploy" in page
    assert found[0] not in page
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM medstack_accesstoken")
        assert found[0] not in str(cursor.fetchall())
    made = Event.objects.get(action="token.made")
    assert (made.company, made.actor, made.after) == (
        company,
        operator,
        {"role": "operator", "days": 30},
    )


def test_a_token_is_valid_for_the_days_that_were_chosen_and_no_others_can_be_chosen(
    client_for: SignIn, operator: User, company: Company
) -> None:
    browser = client_for(operator)
    assert browser.post(NEW, form(company, days=100_000)).status_code == 422
    assert browser.post(NEW, form(company)).status_code == 200
    left = AccessToken.objects.get().expires_at - timezone.now()
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_nobody_makes_a_token_that_may_do_more_than_they(
    client_for: SignIn, auditor: User, company: Company, stranger: User
) -> None:
    browser = client_for(auditor)
    answer = browser.post(NEW, form(company))
    assert answer.status_code == 422
    assert "cannot do more than you" in answer.text
    assert browser.post(NEW, form(company, role="auditor")).status_code == 200
    billing = client_for(person("bill@northside.example", company, Membership.Role.BILLING))
    for browser in (billing, client_for(stranger)):
        assert browser.post(NEW, form(company, role="auditor")).status_code == 422
    assert "There is no company for it" in billing.get(NEW).text
    assert AccessToken.objects.count() == 1


def test_a_name_is_taken_until_its_token_is_taken_back(
    client_for: SignIn, operator: User, company: Company
) -> None:
    browser = client_for(operator)
    browser.post(NEW, form(company))
    assert "named “deploy” already" in browser.post(NEW, form(company)).text
    browser.post(reverse("revoke_token", args=[AccessToken.objects.get().pk]))
    assert browser.post(NEW, form(company)).status_code == 200


def test_making_a_token_asks_who_is_there_first(operator: User, company: Company) -> None:
    client = Client()
    give_factor(operator)
    client.force_login(operator)
    answer = client.post(NEW, form(company))
    assert answer["Location"].startswith("/account/confirm/")
    assert not AccessToken.objects.exists()


def test_a_token_that_was_taken_back_opens_nothing_from_then_on(
    client_for: SignIn, operator: User
) -> None:
    token = token_of(operator)
    row = AccessToken.objects.get()
    browser = client_for(operator)
    assert browser.post(reverse("revoke_token", args=[row.pk])).status_code == 302
    assert program(token).get("/api/v1/clusters").status_code == 401
    assert "Revoked" in browser.get("/tokens/").text
    # A second time changes and records nothing.
    browser.post(reverse("revoke_token", args=[row.pk]))
    assert Event.objects.filter(action="token.revoked").count() == 1


def test_an_owner_sees_and_ends_the_tokens_of_the_whole_company_and_others_their_own(
    client_for: SignIn, owner: User, operator: User, auditor: User, stranger: User
) -> None:
    token = token_of(operator, name="from-ci")
    assert "from-ci" in client_for(owner).get("/tokens/").text
    url = reverse("revoke_token", args=[AccessToken.objects.get().pk])
    for other in (auditor, stranger):
        assert "from-ci" not in client_for(other).get("/tokens/").text
        assert client_for(other).post(url).status_code == 404
    assert client_for(owner).post(url).status_code == 302
    assert program(token).get("/api/v1/clusters").status_code == 401


def test_the_list_says_when_a_token_was_used_last(client_for: SignIn, operator: User) -> None:
    token = token_of(operator)
    browser = client_for(operator)
    assert "Never" in browser.get("/tokens/").text
    program(token).get("/api/v1/clusters")
    assert "Never" not in browser.get("/tokens/").text
