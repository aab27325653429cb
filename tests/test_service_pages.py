"""The pages of services: what they show, what can be pressed, and to whom they say no."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Node, Service
from medstack.models import Event, Operation, User
from tests.pages import SignIn
from tests.running import IMAGE, errors_at, running_service, spec_of

SERVICES = "/clusters/production/docker/services/"


@pytest.fixture
def web(cluster: Cluster, node: Node) -> Service:
    """Return a service that runs as it is wanted."""
    return running_service(cluster, node)


# The list


def test_the_list_shows_what_runs_of_each_service(
    web: Service, operator: User, client_for: SignIn
) -> None:
    page = client_for(operator).get(SERVICES).content.decode()
    assert "2 of 2" in page
    assert IMAGE in page
    assert "node-1" in page
    assert "status-ok" in page
    assert 'hx-trigger="every' not in page


def test_the_list_asks_again_only_while_something_happens(
    web: Service, operator: User, client_for: SignIn
) -> None:
    Service.objects.filter(pk=web.pk).update(running=1)
    assert 'hx-trigger="every 3s"' in client_for(operator).get(SERVICES).content.decode()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?q=web", {"web", "agent"}),
        ("?q=postgres", {"db"}),
        ("?status=Degraded", {"db"}),
        ("?mode=Global", {"agent"}),
        ("?sort=-name", {"web", "db", "agent"}),
    ],
)
def test_the_list_can_be_searched_and_filtered(
    query: str,
    shown: set[str],
    web: Service,
    cluster: Cluster,
    operator: User,
    client_for: SignIn,
) -> None:
    made = {"cluster": cluster, "engine_id": "x", "applied_generation": 1}
    db = spec_of("db", image="postgres:16")
    Service.objects.create(name="db", spec=db, running=1, desired=2, **made)
    agent = spec_of("agent", mode="global", replicas=None)
    Service.objects.create(name="agent", spec=agent, running=1, desired=1, **made)
    listing = client_for(operator).get(f"{SERVICES}{query}").context["listing"]
    assert {row["service"].name for row in listing.page} == shown


# The page


def test_the_page_hides_values_that_look_secret(
    web: Service, auditor: User, client_for: SignIn
) -> None:
    page = client_for(auditor).get(web.get_absolute_url()).content.decode()
    assert "C.UTF-8" in page
    assert "DB_PASSWORD" in page
    assert "hunter2" not in page


def test_why_a_service_is_stuck_can_be_read_at_the_top(
    web: Service, operator: User, client_for: SignIn
) -> None:
    words = "no suitable node (scheduling constraints not satisfied on 1 node)"
    Service.objects.filter(pk=web.pk).update(running=0)
    web.tasks.update(state="pending", node=None, error=words)
    response = client_for(operator).get(web.get_absolute_url())
    assert response.context["trouble"]["title"] == "0 of 2 tasks run"
    assert words in response.context["trouble"]["details"]
    page = response.content.decode()
    assert page.index("callout-danger") < page.index('id="tasks-title"')


def test_why_a_change_is_not_applied_can_be_read_long_after(
    web: Service, operator: User, client_for: SignIn
) -> None:
    Service.objects.filter(pk=web.pk).update(generation=2)
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Operation.objects.create(
        kind="service.apply",
        title="Deploy",
        state=Operation.State.FAILED,
        company=web.cluster.company,
        cluster=web.cluster,
        target_kind="service",
        target_id=web.pk,
        target_name="web",
        error="invalid mount config",
        deadline=an_hour_ago,
        ended_at=an_hour_ago,
    )
    page = client_for(operator).get(web.get_absolute_url()).content.decode()
    assert "The last change has not reached the swarm" in page
    assert "invalid mount config" in page


def test_a_service_that_nothing_happens_to_is_not_asked_for_again(
    web: Service, operator: User, client_for: SignIn
) -> None:
    client, url = client_for(operator), web.get_absolute_url()
    assert 'hx-trigger="every 3s"' not in client.get(url).content.decode()
    Service.objects.filter(pk=web.pk).update(running=1)
    assert 'hx-trigger="every 3s"' in client.get(url).content.decode()
    web.tasks.update(since=timezone.now() - timedelta(hours=1))
    assert 'hx-trigger="every 3s"' not in client.get(url).content.decode()


def test_a_page_that_follows_a_deletion_leads_to_the_list(
    web: Service, operator: User, stranger: User, client_for: SignIn
) -> None:
    Service.objects.filter(pk=web.pk).update(deleted_at=timezone.now())
    client, url = client_for(operator), web.get_absolute_url()
    assert client.get(url).status_code == 404
    followed = client.get(url, headers={"HX-Request": "true"})
    assert followed.headers["HX-Redirect"] == SERVICES
    asked = client_for(stranger).get(url, headers={"HX-Request": "true"})
    assert asked.status_code == 404


# Who may


def test_an_auditor_sees_the_page_without_anything_to_press(
    web: Service, auditor: User, client_for: SignIn
) -> None:
    Service.objects.filter(pk=web.pk).update(observed=spec_of(replicas=5))
    for url in (SERVICES, web.get_absolute_url()):
        page = client_for(auditor).get(url).content.decode()
        main = page[page.index("<main") : page.index("</main>")]
        assert 'method="post"' not in main
        assert not re.search(r"/(new|edit|scale|delete|terminal)/\"", main)


PAGES = ("service", "service_logs")
FORMS = ("edit_service", "scale_service", "delete_service")
BUTTONS = ("restart_service", "refresh_service", "roll_back_service", "service_drift")


@pytest.mark.parametrize("name", [*FORMS, *BUTTONS])
def test_an_auditor_cannot_act(name: str, web: Service, auditor: User, client_for: SignIn) -> None:
    url = reverse(name, args=["production", "web"])
    assert client_for(auditor).post(url, {"choice": "accept"}).status_code == 404
    assert not Operation.objects.exists()


@pytest.mark.parametrize("name", [*PAGES, *FORMS, *BUTTONS])
def test_a_stranger_finds_nothing(
    name: str, web: Service, stranger: User, client_for: SignIn
) -> None:
    client, url = client_for(stranger), reverse(name, args=["production", "web"])
    assert client.post(url).status_code in (404, 405)
    assert client.get(url).status_code in (404, 405)
    assert client.get(SERVICES).status_code == 404


# Buttons


def test_scaling_is_an_operation_on_the_service(
    web: Service, operator: User, client_for: SignIn
) -> None:
    client, url = client_for(operator), f"{SERVICES}web/scale/"
    assert errors_at(client.post(url, {"replicas": "-1"}), "replicas")
    assert client.post(url, {"replicas": "5"})["Location"] == web.get_absolute_url()
    web.refresh_from_db()
    assert web.replicas == 5
    page = client.get(web.get_absolute_url()).content.decode()
    assert f'id="operation-{Operation.objects.get().pk}"' in page


@pytest.mark.parametrize(
    ("name", "kind"), [("restart_service", "service.apply"), ("refresh_service", "service.refresh")]
)
def test_a_button_starts_an_operation(
    name: str, kind: str, web: Service, operator: User, client_for: SignIn
) -> None:
    url = reverse(name, args=["production", "web"])
    assert client_for(operator).post(url)["Location"] == web.get_absolute_url()
    assert Operation.objects.get().kind == kind


def test_rolling_back_what_never_changed_is_refused_in_plain_words(
    web: Service, operator: User, client_for: SignIn
) -> None:
    response = client_for(operator).post(reverse("roll_back_service", args=["production", "web"]))
    assert response.status_code == 422
    assert "There is no earlier version of this service" in response.content.decode()


def test_deleting_needs_the_name(web: Service, operator: User, client_for: SignIn) -> None:
    client, url = client_for(operator), f"{SERVICES}web/delete/"
    assert errors_at(client.post(url, {"confirmation": "wbe"}), "confirmation")
    assert not Operation.objects.exists()
    assert client.post(url, {"confirmation": "web"}).status_code == 302
    assert Operation.objects.get().kind == "service.delete"


# Drift


@pytest.fixture
def drifted(web: Service) -> Service:
    """Return a service to which somebody has done things outside the console."""
    environment = ["LANG=C.UTF-8", "DB_PASSWORD=hunter3", "DEBUG=1"]
    web.observed = spec_of(replicas=5, environment=environment)
    web.observed_version = 8
    web.save()
    return web


def test_drift_is_shown_without_secrets(
    drifted: Service, auditor: User, client_for: SignIn
) -> None:
    page = client_for(auditor).get(drifted.get_absolute_url()).content.decode()
    assert "Changed outside the console" in page
    assert "Mode.Replicated.Replicas" in page
    assert "DEBUG=1" in page
    assert "hunter" not in page


def drift_button(client: Client, service: Service, choice: str, *, version: int = 8) -> Any:
    """Press one of the two buttons of the drift section."""
    url = reverse("service_drift", args=["production", service.name])
    return client.post(url, {"choice": choice, "version": version})


def test_overwriting_drift_is_an_operation(
    drifted: Service, operator: User, client_for: SignIn
) -> None:
    assert drift_button(client_for(operator), drifted, "overwrite").status_code == 302
    assert Operation.objects.get().kind == "service.overwrite"


def test_accepted_drift_is_what_is_wanted(
    drifted: Service, operator: User, client_for: SignIn
) -> None:
    assert drift_button(client_for(operator), drifted, "accept").status_code == 302
    drifted.refresh_from_db()
    assert drifted.replicas == 5
    assert not drifted.drift
    assert Event.objects.filter(action="service.drift_accepted").count() == 1


def test_nobody_accepts_drift_that_the_page_did_not_show(
    drifted: Service, operator: User, client_for: SignIn
) -> None:
    response = drift_button(client_for(operator), drifted, "accept", version=7)
    assert response.status_code == 422
    drifted.refresh_from_db()
    assert drifted.replicas == 2
