"""Two companies never see each other's anything."""

import pytest
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Volume
from medstack.models import Company, Membership, User
from tests.belongings import Belongings, addresses, asked, belongings
from tests.conftest import person
from tests.signing import sign_in
from tests.test_access import STATED


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    return belongings(company, "ours", owner)


@pytest.fixture
def theirs(stranger: User) -> Belongings:
    return belongings(stranger.companies.get(), "theirs", stranger)


def test_no_page_or_list_of_a_company_shows_anything_of_another(
    ours: Belongings, theirs: Belongings, owner: User
) -> None:
    secretive = []
    for name, (get, _) in STATED.items():
        if get[0] != 200 or name == "service_log_stream":
            continue
        for query in ("", "?q=theirs", "?sort=-pk"):
            page = asked(owner, "get", f"{ours.url(name)}{query}").content.decode()
            shown = page.replace('value="theirs"', "").replace("q=theirs", "")
            if "theirs" in shown.replace("“theirs”", ""):
                secretive.append(f"{name}{query}")
    assert secretive == []
    assert "theirs-cluster" in asked(theirs.company.members.get(), "get", "/").content.decode()


def test_an_object_of_another_company_is_not_found_below_ones_own_cluster(
    ours: Belongings, theirs: Belongings, owner: User
) -> None:
    found = []
    for name, pattern in addresses():
        foreign = theirs.own(pattern) if "<slug:slug>" in pattern else []
        if not foreign:
            continue
        others = [[ours.cluster.slug, *foreign]]
        if "tasks/<int:pk>" in pattern:
            others = [[ours.cluster.slug, ours.service.name, theirs.task.pk]]
        for args in others:
            for method in ("get", "post"):
                status = asked(owner, method, reverse(name, args=args)).status_code
                if status not in (404, 405):
                    found.append(f"{method} {name}: {status}")
    assert found == []


def test_nobody_creates_a_cluster_for_a_company_without_the_role(
    ours: Belongings, theirs: Belongings, owner: User, auditor: User
) -> None:
    for user, company in ((owner, theirs.company), (auditor, ours.company)):
        client = Client()
        sign_in(client, user)
        before = Cluster.objects.count()
        answer = client.post(reverse("new_cluster"), {"name": "new", "company": company.pk})
        assert (answer.status_code, Cluster.objects.count()) == (422, before)


def test_nobody_puts_a_volume_on_another_companys_node(
    ours: Belongings, theirs: Belongings, owner: User
) -> None:
    client = Client()
    sign_in(client, owner)
    form = {"name": "data", "node": theirs.node.pk, "kind": "local"}
    answer = client.post(reverse("new_volume", args=[ours.cluster.slug]), form)
    assert answer.status_code == 422
    assert "node" in answer.context["form"].errors
    assert not Volume.objects.filter(name="data").exists()


def test_a_person_in_two_companies_has_in_each_the_role_of_that_one(
    ours: Belongings, theirs: Belongings
) -> None:
    guest = person("gil@guest.example", ours.company, Membership.Role.AUDITOR)
    Membership.objects.create(user=guest, company=theirs.company, role=Membership.Role.OPERATOR)
    for whose, status in ((ours, 404), (theirs, 302)):
        assert asked(guest, "get", whose.url("cluster")).status_code == 200
        assert asked(guest, "post", whose.url("restart_service")).status_code == status


def test_a_role_that_is_taken_away_is_gone_with_the_next_click(
    ours: Belongings, operator: User
) -> None:
    assert asked(operator, "get", ours.url("new_service")).status_code == 200
    Membership.objects.filter(user=operator).update(role=Membership.Role.AUDITOR)
    assert asked(operator, "get", ours.url("new_service")).status_code == 404
    Membership.objects.filter(user=operator).delete()
    assert asked(operator, "get", ours.url("cluster")).status_code == 404
