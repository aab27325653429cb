"""Invitations, roles and leaving: who belongs to a company."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from medstack.models import Company, Event, Invitation, Membership, User
from tests.conftest import person
from tests.pages import SignIn

NEW = {"name": "Nora", "password": "a-better-one-of-mine-7", "again": "a-better-one-of-mine-7"}


def invited(client: Client, company: Company, email: str = "nora@northside.example") -> str:
    """Invite somebody and return the path of the link in the e-mail."""
    form = {"company": company.pk, "email": email, "role": "auditor"}
    answer = client.post(reverse("invite"), form)
    assert answer.status_code == 200, answer.text
    link = next(line for line in str(mail.outbox[-1].body).splitlines() if "/join/" in line)
    assert link in answer.text
    return link.removeprefix("http://testserver")


def test_somebody_new_joins_by_the_link_in_an_e_mail(
    client_for: SignIn, owner: User, company: Company
) -> None:
    link = invited(client_for(owner), company)
    assert mail.outbox[-1].to == ["nora@northside.example"]
    visitor = Client()
    assert "Join Northside Clinic" in visitor.get(link).text
    assert visitor.post(link, NEW).status_code == 302
    nora = User.objects.get(email="nora@northside.example")
    assert nora.check_password(NEW["password"])
    assert nora.memberships.get().role == "auditor"
    # The link has done its work.
    assert Client().get(link).status_code == 404
    assert Event.objects.get(action="invitation.accepted").actor == nora


def test_the_link_is_kept_nowhere(client_for: SignIn, owner: User, company: Company) -> None:
    token = invited(client_for(owner), company).split("/")[-2]
    kept = str(list(Invitation.objects.values())) + str(list(Event.objects.values()))
    assert token not in kept


def test_a_weak_or_mistyped_password_is_refused_at_its_field(
    client_for: SignIn, owner: User, company: Company
) -> None:
    link = invited(client_for(owner), company)
    answer = Client().post(link, NEW | {"password": "nora", "again": "nora"})
    assert answer.status_code == 422
    assert "password" in answer.context["form"].errors
    answer = Client().post(link, NEW | {"again": "another-one-of-mine-8"})
    assert "again" in answer.context["form"].errors
    assert not User.objects.filter(email="nora@northside.example").exists()


def test_an_invitation_that_is_old_or_taken_back_opens_nothing(
    client_for: SignIn, owner: User, company: Company
) -> None:
    client = client_for(owner)
    old, taken = invited(client, company, "a@x.example"), invited(client, company, "b@x.example")
    Invitation.objects.filter(email="a@x.example").update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    row = Invitation.objects.get(email="b@x.example")
    assert client.post(reverse("revoke_invitation", args=[row.pk])).status_code == 302
    for link in (old, taken):
        assert Client().post(link, NEW).status_code == 404
    assert Membership.objects.count() == 1


def test_a_second_invitation_replaces_the_first(
    client_for: SignIn, owner: User, company: Company
) -> None:
    client = client_for(owner)
    first, second = invited(client, company), invited(client, company)
    assert Client().get(first).status_code == 404
    assert Client().get(second).status_code == 200


def test_somebody_with_an_account_must_sign_in_to_join(
    client_for: SignIn, owner: User, stranger: User, company: Company
) -> None:
    link = invited(client_for(owner), company, stranger.email)
    answer = Client().post(link, NEW)
    assert answer["Location"] == f"/sign-in/?next={link}"
    assert client_for(owner).post(link, NEW).status_code == 302
    assert not Membership.objects.filter(user=stranger, company=company).exists()
    assert client_for(stranger).post(link).status_code == 302
    assert Membership.objects.get(user=stranger, company=company).role == "auditor"


def test_a_member_is_not_invited_again(
    client_for: SignIn, owner: User, auditor: User, company: Company
) -> None:
    form = {"company": company.pk, "email": auditor.email.upper(), "role": "owner"}
    answer = client_for(owner).post(reverse("invite"), form)
    assert answer.status_code == 422
    assert "is a member already" in answer.text


def test_a_company_never_loses_its_last_owner(
    client_for: SignIn, owner: User, company: Company
) -> None:
    row = owner.memberships.get()
    url = reverse("change_member", args=[row.pk])
    client = client_for(owner)
    assert "without an Owner" in client.post(url, {"remove": "1"}, follow=True).text
    assert "without an Owner" in client.post(url, {"role": "auditor"}, follow=True).text
    person("second@northside.example", company, "owner")
    client.post(url, {"role": "auditor"})
    row.refresh_from_db()
    assert row.role == "auditor"


def test_somebody_who_left_sees_nothing_any_more(
    client_for: SignIn, owner: User, operator: User
) -> None:
    theirs = client_for(operator)
    assert "Northside Clinic" in theirs.get("/").text
    url = reverse("change_member", args=[operator.memberships.get().pk])
    client_for(owner).post(url, {"remove": "1"})
    assert "Northside Clinic" not in theirs.get("/").text
    event = Event.objects.get(action="member.removed")
    assert event.before == {"email": operator.email, "role": "operator"}


@pytest.mark.parametrize("role", ["operator", "auditor"])
def test_only_owners_see_and_change_the_people(
    role: str, request: pytest.FixtureRequest, client_for: SignIn
) -> None:
    client = client_for(request.getfixturevalue(role))
    assert client.get(reverse("members")).status_code == 404
    assert reverse("members") not in client.get("/").text
