"""The page that follows an operation to its end."""

import pytest
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Node
from medstack.failures import Failure
from medstack.models import Event, Operation, User
from tests.engines.conftest import run_due
from tests.pages import SignIn
from tests.scripted import WAITING, Script, Start, starter, time_passes


@pytest.fixture
def start(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Start:
    return starter(cluster, monkeypatch)


def test_a_page_says_why_a_second_operation_is_refused_and_records_nothing(
    client_for: SignIn, operator: User, cluster: Cluster, node: Node
) -> None:
    browser = client_for(operator)
    url = reverse("node_availability", args=[cluster.slug, node.name])
    assert browser.post(url, {"availability": "drain"}).status_code == 302
    events = Event.objects.count()
    answer = browser.post(url, {"availability": "active"})
    assert answer.status_code == 422
    assert "is still running; wait until it has ended." in answer.text
    assert (Event.objects.count(), Operation.objects.count()) == (events, 1)


def panel(browser: Client, operation: Operation) -> str:
    """Return the operation's panel as the page asks for it."""
    answer = browser.get(operation.url, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    text: str = answer.text
    assert "<html" not in text
    return text


def test_the_page_asks_again_while_it_runs_and_the_server_ends_the_asking(
    start: Start, client_for: SignIn, auditor: User
) -> None:
    browser = client_for(auditor)
    operation = start(Script(WAITING, None))
    asking = f'hx-get="{operation.url}" hx-trigger="every 1s"'
    assert asking in browser.get(operation.url).text
    run_due()
    waiting = panel(browser, operation)
    assert asking in waiting
    assert "2 of 3 tasks run." in waiting
    time_passes(minutes=2)
    run_due()
    ended = panel(browser, operation)
    assert "hx-get" not in ended
    assert "hx-get" not in browser.get(operation.url).text.partition("<main")[2]


def test_a_failed_operation_says_why_in_its_panel_and_asks_no_more(
    start: Start, client_for: SignIn, auditor: User
) -> None:
    operation = start(Script(Failure("No space left on device.")))
    run_due()
    ended = panel(client_for(auditor), operation)
    assert "No space left on device." in ended
    assert "hx-get" not in ended


def test_a_stranger_finds_neither_the_operation_nor_a_trace_of_it(
    start: Start, client_for: SignIn, stranger: User
) -> None:
    browser = client_for(stranger)
    operation = start(Script())
    assert browser.get(operation.url).status_code == 404
    assert "Production" not in browser.get(reverse("operations")).text
