"""Long work shows wherever somebody goes, and says how it ended."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster
from medstack.models import Operation, User
from tests.pages import SignIn

HTMX = {"HTTP_HX_REQUEST": "true"}


def operation(cluster: Cluster, **values: object) -> Operation:
    given = {
        "kind": "service.apply",
        "title": "Deploy",
        "company": cluster.company,
        "cluster": cluster,
        "target_kind": "service",
        "target_id": 1,
        "target_name": "web",
        "state": "running",
        "deadline": timezone.now(),
    }
    return Operation.objects.create(**(given | values))


def end(row: Operation, state: str) -> None:
    Operation.objects.filter(pk=row.pk).update(state=state, ended_at=timezone.now())


def asked(browser: Client, *watched: object) -> str:
    """Return what the bar gets when it asks again."""
    url = reverse("running_operations")
    return browser.get(url, {"watched": watched}, **HTMX).content.decode()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["dashboard", "clusters", "operations", "events", "mfa_index"])
def test_every_page_says_what_runs_and_asks_again_only_while_something_does(
    client_for: SignIn, owner: User, cluster: Cluster, name: str
) -> None:
    browser = client_for(owner)
    asking = f'id="running" hx-get="{reverse("running_operations")}'
    assert asking not in browser.get(reverse(name)).content.decode()
    row = operation(cluster, percentage=40)
    page = browser.get(reverse(name)).content.decode()
    assert f"{asking}?watched={row.pk}&amp;" in page
    assert "1 running" in page and "40 %" in page and f'href="{row.url}"' in page


def test_the_server_ends_the_asking_and_says_how_it_went(
    client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    browser = client_for(owner)
    one, two = operation(cluster), operation(cluster)
    answer = asked(browser, one.pk, two.pk)
    assert "2 running" in answer and "hx-get" in answer
    end(one, "failed")
    # What has failed meanwhile is not forgotten while the other goes on.
    answer = asked(browser, one.pk, two.pk)
    assert "1 running" in answer and f"watched={one.pk}&amp;" in answer
    end(two, "done")
    answer = asked(browser, two.pk, one.pk)
    assert "1 failed" in answer and "hx-get" not in answer
    assert "?state=failed" in answer
    assert "All done" in asked(browser, two.pk)


def test_it_tells_strangers_nothing(client_for: SignIn, stranger: User, cluster: Cluster) -> None:
    row = operation(cluster)
    browser = client_for(stranger)
    assert "running</span>" not in asked(browser, row.pk)
    end(row, "failed")
    assert "failed" not in asked(browser, row.pk)


@pytest.mark.parametrize("watched", ["", "no-number", "9" * 40, "-1", "²"])
def test_it_stands_what_nobody_should_ask(client_for: SignIn, owner: User, watched: str) -> None:
    assert 'id="running"' in asked(client_for(owner), watched)


def test_without_scripts_its_address_leads_to_the_operations(
    client_for: SignIn, owner: User
) -> None:
    answer = client_for(owner).get(reverse("running_operations"))
    assert answer.headers["Location"] == reverse("operations")
