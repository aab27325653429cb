"""What programs may do: every address of the API, for every kind of token, by one table."""

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from medstack.models import AccessToken, Company, Event, Membership, User
from tests.belongings import Belongings, addresses, belongings
from tests.programs import program, sent, token_of, undone

KINDS = ("owner", "operator", "reader", "auditor", "stranger")
Row = tuple[int, int, int, int, int]
# An Owner's and an Operator's token that may change things; an Owner's that only reads; an
# Auditor's; one of another company that may change things there.
SHOWN: Row = (200, 200, 200, 200, 404)
# Everybody may ask for lists of their own.
OWN: Row = (200, 200, 200, 200, 200)
DONE: Row = (202, 202, 403, 403, 404)
# The repository is not ready yet.
CONFLICT: Row = (409, 409, 403, 403, 404)
WINDOW = {"first": "2026-01-01", "last": "2026-01-31", "format": "json"}
STATED: dict[str, tuple[str, Row]] = {
    "clusters": ("get", OWN),
    "cluster": ("get", SHOWN),
    "nodes": ("get", SHOWN),
    "services": ("get", SHOWN),
    "service": ("get", SHOWN),
    "refresh": ("post", DONE),
    "secrets": ("get", SHOWN),
    "create_secret": ("post", DONE),
    "rotate_secret": ("put", DONE),
    "snapshots": ("get", SHOWN),
    "snapshot_now": ("post", CONFLICT),
    "snapshot": ("get", SHOWN),
    "snapshot_volumes": ("get", SHOWN),
    "restore_volume": ("post", DONE),
    "restores": ("get", SHOWN),
    "restore": ("get", SHOWN),
    "reports": ("get", OWN),
    "company_report": ("post", OWN),
    "cluster_report": ("post", SHOWN),
    "operation": ("get", SHOWN),
}
BODIES = {
    "create_secret": {"name": "new-one", "value": "s3cret"},
    "rotate_secret": {"value": "s3cret"},
    "restore_volume": {"node": "ours-node", "name": "restored"},
    "company_report": WINDOW,
    "cluster_report": WINDOW,
}
# They belong to nobody: what describes the API, and its empty root.
OPEN = {"openapi-json", "api-root"}


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    cache.clear()
    return belongings(company, "ours", owner)


def test_every_address_for_programs_has_a_stated_expectation() -> None:
    found = {name.removeprefix("api:") for name, _ in addresses() if name.startswith("api:")}
    assert found - OPEN == set(STATED)


def test_every_token_gets_what_is_stated_at_every_address(
    ours: Belongings, owner: User, operator: User, auditor: User, stranger: User
) -> None:
    tokens = (
        token_of(owner),
        token_of(operator),
        token_of(owner, "auditor", name="reader"),
        token_of(auditor, "auditor"),
        token_of(stranger),
    )
    surprises = []
    for name, (method, row) in STATED.items():
        url = ours.url(f"api:{name}")
        for kind, token, expected in zip(KINDS, tokens, row, strict=True):
            status = undone(program(token), method, url, BODIES.get(name)).status_code
            if status != expected:
                surprises.append(f"{kind} {method} {url}: {status}, not {expected}")
        status = undone(Client(), method, url, BODIES.get(name)).status_code
        if status != 401:
            surprises.append(f"nobody {method} {url}: {status}, not 401")
    assert not surprises, "\n".join(surprises)


def test_a_list_holds_nothing_of_another_company(
    ours: Belongings, stranger: User, owner: User
) -> None:
    theirs = program(token_of(stranger))
    mine = program(token_of(owner))
    for name in ("clusters", "reports"):
        url = ours.url(f"api:{name}")
        assert theirs.get(url).json() == {"items": [], "count": 0}
    assert [row["slug"] for row in mine.get(ours.url("api:clusters")).json()["items"]] == [
        ours.cluster.slug
    ]


def test_a_member_of_two_companies_reaches_with_a_token_only_the_one_it_was_made_for(
    ours: Belongings, owner: User
) -> None:
    token = token_of(owner)
    other = Company.objects.create(name="Southside Clinic")
    Membership.objects.create(user=owner, company=other, role=Membership.Role.OWNER)
    theirs = belongings(other, "theirs", owner)
    client = program(token)
    assert client.get(ours.url("api:cluster")).status_code == 200
    assert client.get(theirs.url("api:cluster")).status_code == 404
    assert client.get(theirs.url("api:operation")).status_code == 404
    found = client.get(ours.url("api:clusters")).json()["items"]
    assert [row["slug"] for row in found] == [ours.cluster.slug]


def test_a_backup_is_not_restored_into_another_company_even_by_a_member_of_both(
    ours: Belongings, owner: User
) -> None:
    other = Company.objects.create(name="Southside Clinic")
    token = token_of(owner)
    Membership.objects.create(user=owner, company=other, role=Membership.Role.OWNER)
    theirs = belongings(other, "theirs", owner)
    body = {"node": theirs.node.name, "cluster": theirs.cluster.slug, "name": "leaked"}
    answer = sent(program(token), "post", ours.url("api:restore_volume"), body)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "loss",
    ["expiry", "revocation", "membership", "billing", "lock", "second factor", "one-time password"],
)
def test_a_token_ends_with_whatever_its_person_loses(
    loss: str, ours: Belongings, operator: User
) -> None:
    client, url = program(token_of(operator)), ours.url("api:cluster")
    assert client.get(url).status_code == 200
    tokens = AccessToken.objects.filter(user=operator)
    if loss == "expiry":
        tokens.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif loss == "revocation":
        tokens.update(revoked_at=timezone.now())
    elif loss == "membership":
        operator.memberships.all().delete()
    elif loss == "billing":
        operator.memberships.update(role=Membership.Role.BILLING)
    elif loss == "second factor":
        Authenticator.objects.filter(user=operator).delete()
    elif loss == "lock":
        User.objects.filter(pk=operator.pk).update(is_active=False)
    else:
        User.objects.filter(pk=operator.pk).update(must_change_password=True)
    assert client.get(url).status_code == 401


def test_an_operators_token_only_reads_once_its_person_only_reads(
    ours: Belongings, operator: User
) -> None:
    client = program(token_of(operator))
    operator.memberships.update(role=Membership.Role.AUDITOR)
    assert client.post(ours.url("api:refresh")).status_code == 404
    assert client.get(ours.url("api:service")).status_code == 200


def test_a_session_is_no_token_and_a_token_is_no_session(ours: Belongings, owner: User) -> None:
    assert program(token_of(owner)).get(ours.url("cluster"))["Location"].startswith("/sign-in/")
    client = Client()
    client.force_login(owner)
    assert client.get(ours.url("api:cluster")).status_code == 401


def test_guessing_tokens_is_recorded_and_slowed_down_but_stops_no_valid_one(
    ours: Belongings, owner: User, settings: pytest.FixtureRequest
) -> None:
    settings.API_GUESSES = 3  # type: ignore[attr-defined]
    valid, url = program(token_of(owner)), ours.url("api:clusters")
    answers = [program(f"mst_wrong{number}").get(url) for number in range(5)]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429
    assert answers[-1]["Retry-After"] == "60"
    assert answers[0]["WWW-Authenticate"] == "Bearer"
    assert valid.get(url).status_code == 200
    assert 1 <= Event.objects.filter(action="token.refused", address="192.0.2.77").count() <= 2


def test_a_program_in_a_hurry_is_told_to_wait(
    ours: Belongings, owner: User, settings: pytest.FixtureRequest
) -> None:
    settings.API_CALLS = 2  # type: ignore[attr-defined]
    client, url = program(token_of(owner)), ours.url("api:clusters")
    # A minute may begin anew in between, but not twice.
    assert 429 in [client.get(url).status_code for _ in range(6)]
