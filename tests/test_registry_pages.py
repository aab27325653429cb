"""Pages of registries: credentials go in, and never come out again."""

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Registry, Service
from medstack.models import Event, Operation, User
from tests.pages import SignIn, queued_operations

PASSWORD = "s3cr3t-Registry-Password"


@pytest.fixture
def registry(cluster: Cluster) -> Registry:
    return Registry.objects.create(
        cluster=cluster, address="registry.example.com/app", username="robot", password=PASSWORD
    )


@pytest.fixture
def service(cluster: Cluster) -> Service:
    container = {"Image": "registry.example.com/app/web:1.2"}
    spec = {"Name": "web", "TaskTemplate": {"ContainerSpec": container}}
    return Service.objects.create(cluster=cluster, name="web", spec=spec)


def test_manage_docker_leads_to_the_registries(browser: Client, cluster: Cluster) -> None:
    answer = browser.get(reverse("manage_docker", args=[cluster.slug]))
    assert answer.headers["Location"] == reverse("registries", args=[cluster.slug])


def test_the_tabs_stand_in_order_with_their_counts(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    answer = browser.get(reverse("registries", args=[cluster.slug]))
    assert [(tab["label"], tab["count"]) for tab in answer.context["tabs"]] == [
        ("Registries", 1),
        ("Configs", 0),
        ("Secrets", 0),
        ("Volumes", 0),
        ("Services", 0),
        ("Networks", 0),
        ("Load balancer", 0),
    ]


def test_an_empty_list_says_what_to_do_next(browser: Client, cluster: Cluster) -> None:
    page = browser.get(reverse("registries", args=[cluster.slug])).text
    assert "No registries yet" in page
    assert reverse("new_registry", args=[cluster.slug]) in page


def test_adding_a_registry_saves_it_and_tests_its_login(browser: Client, cluster: Cluster) -> None:
    answer = browser.post(
        reverse("new_registry", args=[cluster.slug]),
        {"address": "https://registry.example.com/app", "username": "bot", "password": PASSWORD},
    )
    registry = Registry.objects.get()
    assert answer.headers["Location"] == reverse("registry", args=[cluster.slug, registry.pk])
    assert (registry.address, registry.password) == ("registry.example.com/app", PASSWORD)
    operation = Operation.objects.get(kind="registry.apply")
    assert queued_operations() == [operation.pk]
    event = Event.objects.get(action="registry.created")
    assert (event.actor_name, event.address) == ("oscar@northside.example", "192.0.2.7")


def test_the_password_is_in_no_table_in_clear(browser: Client, cluster: Cluster) -> None:
    browser.post(
        reverse("new_registry", args=[cluster.slug]),
        {"address": "registry.example.com", "username": "robot", "password": PASSWORD},
    )
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert PASSWORD not in repr(cursor.fetchall()), table


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"address": "", "username": "", "password": ""}, "address"),
        ({"address": "http://registry.example.com", "username": "", "password": ""}, "address"),
        ({"address": "registry.example.com:99999", "username": "", "password": ""}, "address"),
        ({"address": "registry.example.com", "username": "robot", "password": ""}, "password"),
        ({"address": "registry.example.com", "username": "", "password": "x"}, "username"),
    ],
)
def test_bad_input_is_answered_at_its_field(
    browser: Client, cluster: Cluster, typed: dict[str, str], field: str
) -> None:
    answer = browser.post(reverse("new_registry", args=[cluster.slug]), typed)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Registry.objects.exists()
    assert not Operation.objects.exists()


def test_an_address_that_is_there_already_is_to_be_rotated(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    answer = browser.post(
        reverse("new_registry", args=[cluster.slug]),
        {"address": registry.address, "username": "robot", "password": "x"},
    )
    assert answer.status_code == 422
    assert "Open it to rotate" in answer.context["form"].errors["address"][0]


def test_no_page_shows_the_password(browser: Client, cluster: Cluster, registry: Registry) -> None:
    page = reverse("registry", args=[cluster.slug, registry.pk])
    assert PASSWORD not in browser.get(page).text
    refused = browser.post(page, {"username": "", "password": "another-password"})
    assert refused.status_code == 422
    assert "another-password" not in refused.text
    assert PASSWORD not in browser.get(reverse("registries", args=[cluster.slug])).text


def test_rotating_the_credential_tells_which_services_get_it(
    browser: Client, cluster: Cluster, registry: Registry, service: Service
) -> None:
    page = reverse("registry", args=[cluster.slug, registry.pk])
    assert reverse("service", args=[cluster.slug, "web"]) in browser.get(page).text
    browser.post(page, {"username": "robot-2", "password": "rotated"})
    registry.refresh_from_db()
    assert (registry.username, registry.password) == ("robot-2", "rotated")
    assert registry.rotated_at is not None
    assert queued_operations() == [Operation.objects.get(kind="registry.apply").pk]
    assert Event.objects.filter(action="registry.rotated").count() == 1


def test_an_empty_password_keeps_the_saved_one(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    page = reverse("registry", args=[cluster.slug, registry.pk])
    browser.post(page, {"username": "robot-2", "password": ""})
    registry.refresh_from_db()
    assert (registry.username, registry.password) == ("robot-2", PASSWORD)


def test_the_address_of_a_registry_stays(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    page = reverse("registry", args=[cluster.slug, registry.pk])
    browser.post(page, {"address": "evil.example.com", "username": "robot", "password": ""})
    registry.refresh_from_db()
    assert registry.address == "registry.example.com/app"


def test_testing_the_login_is_an_operation(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    browser.post(reverse("test_registry", args=[cluster.slug, registry.pk]))
    operation = Operation.objects.get(kind="registry.test")
    assert queued_operations() == [operation.pk]
    page = browser.get(reverse("registry", args=[cluster.slug, registry.pk])).text
    assert f'id="operation-{operation.pk}"' in page


def test_the_list_asks_for_itself_only_while_something_runs(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    url = reverse("registries", args=[cluster.slug])
    assert "every 3s" not in browser.get(url).text
    browser.post(reverse("test_registry", args=[cluster.slug, registry.pk]))
    assert "every 3s" in browser.get(url).text
    Operation.objects.update(state=Operation.State.DONE, ended_at=timezone.now())
    assert "every 3s" not in browser.get(url).text


def test_a_refused_login_is_readable_in_the_list(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    said = "unauthorized: incorrect username or password"
    Registry.objects.update(tested_at=timezone.now(), test_error=said)
    page = browser.get(reverse("registries", args=[cluster.slug])).text
    assert "Refused" in page
    assert said in page


def test_a_registry_in_use_is_not_deleted_and_the_page_names_its_services(
    browser: Client, cluster: Cluster, registry: Registry, service: Service
) -> None:
    url = reverse("delete_registry", args=[cluster.slug, registry.pk])
    answer = browser.post(url)
    assert answer.status_code == 422
    assert "is used by web" in answer.text
    assert Registry.objects.filter(pk=registry.pk).exists()


def test_a_registry_that_nothing_uses_is_deleted_after_asking(
    browser: Client, cluster: Cluster, registry: Registry
) -> None:
    url = reverse("delete_registry", args=[cluster.slug, registry.pk])
    assert "Delete registry" in browser.get(url).text
    assert Registry.objects.exists()
    assert "is deleted" in browser.post(url, follow=True).text
    assert not Registry.objects.exists()
    assert Event.objects.filter(action="registry.deleted").count() == 1


def test_an_auditor_sees_all_and_changes_nothing(
    client_for: SignIn, auditor: User, cluster: Cluster, registry: Registry
) -> None:
    browser = client_for(auditor)
    page = reverse("registry", args=[cluster.slug, registry.pk])
    seen = browser.get(page).text
    assert registry.address in seen
    assert "Test login" not in seen
    assert 'name="password"' not in seen
    assert browser.post(page, {"username": "a", "password": "b"}).status_code == 404
    for name in ("test_registry", "delete_registry"):
        answer = browser.post(reverse(name, args=[cluster.slug, registry.pk]))
        assert answer.status_code == 404
    assert browser.get(reverse("new_registry", args=[cluster.slug])).status_code == 404
    assert not Operation.objects.exists()


def test_a_stranger_finds_nothing(
    client_for: SignIn, stranger: User, cluster: Cluster, registry: Registry
) -> None:
    browser = client_for(stranger)
    for url in (
        reverse("manage_docker", args=[cluster.slug]),
        reverse("registries", args=[cluster.slug]),
        reverse("registry", args=[cluster.slug, registry.pk]),
        reverse("networks", args=[cluster.slug]),
    ):
        assert browser.get(url).status_code == 404


def test_who_is_not_signed_in_is_asked_to(client: Client, cluster: Cluster) -> None:
    answer = client.get(reverse("registries", args=[cluster.slug]))
    assert answer.headers["Location"].startswith(reverse("account_login"))
