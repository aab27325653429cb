"""The audit record: every write is one event, complete, without secrets, and there for good."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Node, Service
from medstack.models import Company, Event, User
from medstack.models.events import Actor
from tests.pages import SignIn
from tests.running import running_service


@pytest.fixture
def event(company: Company, owner: User) -> Event:
    return Event.objects.record("test.happened", owner, by=Actor(owner), company=company)


@pytest.fixture
def service(cluster: Cluster, node: Node) -> Service:
    return running_service(cluster, node)


def append_only(statement: str, *values: str | int) -> None:
    """Expect that the database itself refuses a statement."""
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, values)


def test_the_database_refuses_to_change_an_event(event: Event) -> None:
    append_only("UPDATE medstack_event SET actor_name = %s WHERE id = %s", "nobody", event.pk)
    append_only("UPDATE medstack_event SET actor_name = %s", "nobody")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(after={})
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        event.save()
    assert Event.objects.get(pk=event.pk).actor_name == event.actor_name


def test_the_database_refuses_to_delete_an_event(event: Event) -> None:
    append_only("DELETE FROM medstack_event WHERE id = %s", event.pk)
    append_only("DELETE FROM medstack_event")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        event.delete()
    assert Event.objects.filter(pk=event.pk).exists()


def test_the_database_refuses_to_empty_the_record(event: Event) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # PostgreSQL truncates nothing while a row's own constraints are still to be checked.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # The seals point to the events: without them PostgreSQL itself refuses.
        append_only("TRUNCATE medstack_event CASCADE")
        append_only("TRUNCATE medstack_seal, medstack_event")
    else:
        # SQLite knows no TRUNCATE; replacing a row is its other way to lose one.
        append_only(
            "REPLACE INTO medstack_event (id, at, action, actor_name, subject_kind, subject_name)"
            " VALUES (%s, '2026-01-01', '', '', '', '')",
            event.pk,
        )
    assert Event.objects.filter(pk=event.pk).exists()


def test_people_and_companies_with_a_record_cannot_be_deleted_from_under_it(
    event: Event, company: Company, owner: User
) -> None:
    for row in (owner, company):
        with pytest.raises(DatabaseError), transaction.atomic():
            row.delete()


def test_who_and_from_where_come_with_the_request(
    client_for: SignIn, operator: User, service: Service
) -> None:
    browser = client_for(operator)
    url = reverse("restart_service", args=[service.cluster.slug, service.name])
    assert browser.post(url).status_code == 302
    event = Event.objects.get(action="service.restarted")
    assert (event.actor, event.address) == (operator, "192.0.2.7")
    page = browser.get(reverse("events")).text
    assert "service.restarted" in page
    assert "192.0.2.7" in page


def test_a_forged_origin_is_not_believed(
    client_for: SignIn, operator: User, service: Service, settings: Any
) -> None:
    url = reverse("restart_service", args=[service.cluster.slug, service.name])
    forged = {"X-Forwarded-For": "203.0.113.9"}
    client_for(operator).post(url, headers=forged)
    settings.TRUSTED_PROXIES = [ip_network("192.0.2.7")]
    client_for(operator).post(url, headers={"X-Forwarded-For": "10.0.0.1, 203.0.113.9"})
    newest, first = Event.objects.filter(action="service.restarted")
    assert (first.address, newest.address) == ("192.0.2.7", "203.0.113.9")


def test_an_event_outlives_the_name_of_who_did_it(
    event: Event, owner: User, client_for: SignIn
) -> None:
    User.objects.filter(pk=owner.pk).update(email="renamed@northside.example")
    owner.refresh_from_db()
    browser: Client = client_for(owner)
    assert "olive@northside.example" in browser.get(reverse("events")).text
