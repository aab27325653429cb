"""Pages of configs and secrets, which are alike: versions take over from each other."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Config, Secret
from medstack.models import Event, Operation, User
from tests.pages import Model, SignIn, existing, noun, page, queued_operations, using

BOTH = pytest.mark.parametrize("model", [Config, Secret])


@BOTH
def test_an_empty_list_says_what_to_do_next(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    seen = browser.get(page("{}s", model, cluster.slug)).text
    assert f"No {noun(model)}s yet" in seen
    assert page("new_{}", model, cluster.slug) in seen


@BOTH
def test_creating_from_a_text_saves_a_row_an_event_and_an_operation(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    url = page("new_{}", model, cluster.slug)
    answer = browser.post(url, {"name": "app.conf", "text": "a\r\nb"})
    assert answer.headers["Location"] == page("{}", model, cluster.slug, "app.conf")
    row = model.objects.get()
    assert (row.name, row.version, row.is_current, row.size_bytes) == ("app.conf", 1, True, 3)
    assert queued_operations() == [Operation.objects.get(kind=f"{noun(model)}.create").pk]
    event = Event.objects.get(action=f"{noun(model)}.created")
    assert event.after == {"name": "app.conf", "version": 1, "bytes": 3}
    seen = browser.get(answer.headers["Location"]).text
    assert "Creating" in seen
    assert "every 1s" in seen


@BOTH
@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"name": "app"}, "text"),
        ({"name": "app", "text": ""}, "text"),
        ({"name": "", "text": "x"}, "name"),
        ({"name": "-app", "text": "x"}, "name"),
        ({"name": "a/b", "text": "x"}, "name"),
        ({"name": "a" * 65, "text": "x"}, "name"),
        ({"name": "new", "text": "x"}, "name"),
    ],
)
def test_bad_input_is_answered_at_its_field(
    browser: Client, cluster: Cluster, model: Model, typed: dict[str, str], field: str
) -> None:
    answer = browser.post(page("new_{}", model, cluster.slug), typed)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not model.objects.exists()


@BOTH
def test_a_name_in_use_is_to_be_rotated_instead(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster)
    answer = browser.post(page("new_{}", model, cluster.slug), {"name": "app", "text": "x"})
    assert answer.status_code == 422
    assert "rotate it" in answer.context["form"].errors["name"][0]
    assert model.objects.count() == 1


@BOTH
def test_the_name_of_another_ones_version_is_refused(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster, version=2)
    answer = browser.post(page("new_{}", model, cluster.slug), {"name": "app-v2", "text": "x"})
    assert answer.status_code == 422
    assert "is a version of" in answer.context["form"].errors["name"][0]


@BOTH
def test_nothing_is_created_in_a_cluster_without_nodes(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    Cluster.objects.update(swarm_id="")
    answer = browser.post(page("new_{}", model, cluster.slug), {"name": "app", "text": "x"})
    assert answer.status_code == 422
    assert "no node yet" in answer.text
    assert not model.objects.exists()


@BOTH
def test_rotating_says_which_services_follow_and_makes_the_next_version(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    first = existing(model, cluster)
    using(cluster, model, "app")
    url = page("rotate_{}", model, cluster.slug, "app")
    asked = browser.get(url).text
    assert "Version 2 takes over" in asked
    assert reverse("service", args=[cluster.slug, "web"]) in asked
    answer = browser.post(url, {"text": "new value"})
    assert answer.headers["Location"] == page("{}", model, cluster.slug, "app")
    second = model.objects.get(is_current=True)
    assert (second.version, second.engine_name) == (2, "app-v2")
    operation = Operation.objects.get(kind=f"{noun(model)}.rotate")
    assert operation.intent == {"replaces": first.pk}
    assert queued_operations() == [operation.pk]


@BOTH
def test_a_second_rotation_at_once_is_refused(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster)
    url = page("rotate_{}", model, cluster.slug, "app")
    browser.post(url, {"text": "one"})
    answer = browser.post(url, {"text": "two"})
    assert answer.status_code == 422
    assert "still running" in answer.text
    assert model.objects.count() == 2


@BOTH
def test_versions_that_were_removed_stay_as_history(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster, is_current=False, removed_at=timezone.now())
    existing(model, cluster, version=2)
    answer = browser.get(page("{}", model, cluster.slug, "app"))
    shown = [(row["item"].version, row["status"][0]) for row in answer.context["versions"]]
    assert shown == [(2, "Current"), (1, "Removed")]


@BOTH
def test_one_that_services_use_is_not_deleted_and_the_page_names_them(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster)
    using(cluster, model, "app", service="web")
    using(cluster, model, "app", service="worker")
    url = page("delete_{}", model, cluster.slug, "app")
    assert "cannot be deleted" in browser.get(url).text
    answer = browser.post(url)
    assert answer.status_code == 422
    assert "is used by web, worker" in answer.text
    assert not Operation.objects.exists()


@BOTH
def test_one_that_nothing_uses_is_deleted_after_asking(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    row = existing(model, cluster)
    url = page("delete_{}", model, cluster.slug, "app")
    assert f"Delete {noun(model)}" in browser.get(url).text
    answer = browser.post(url)
    assert answer.headers["Location"] == page("{}", model, cluster.slug, "app")
    assert queued_operations() == [Operation.objects.get(kind=f"{noun(model)}.delete").pk]
    model.objects.filter(pk=row.pk).update(removed_at=timezone.now(), is_current=False)
    seen = browser.get(answer.headers["Location"]).text
    assert "It is deleted" in seen
    assert page("rotate_{}", model, cluster.slug, "app") not in seen


def test_a_config_shows_its_text_and_digest(browser: Client, cluster: Cluster) -> None:
    row = existing(Config, cluster, data=b"listen 80; # <b>")
    seen = browser.get(reverse("config", args=[cluster.slug, "app"])).text
    assert "listen 80; # &lt;b&gt;" in seen
    assert row.digest in seen


def test_a_binary_config_says_so(browser: Client, cluster: Cluster) -> None:
    existing(Config, cluster, data=b"\x89PNG\x00")
    assert "is binary" in browser.get(reverse("config", args=[cluster.slug, "app"])).text


@BOTH
def test_what_was_made_elsewhere_says_so(browser: Client, cluster: Cluster, model: Model) -> None:
    existing(model, cluster, is_external=True)
    for url in (page("{}s", model, cluster.slug), page("{}", model, cluster.slug, "app")):
        assert "Created outside the console" in browser.get(url).text


@BOTH
def test_the_list_shows_each_name_once_with_the_users_of_all_versions(
    browser: Client, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster, is_current=False)
    existing(model, cluster, version=2)
    using(cluster, model, "app", service="old")
    using(cluster, model, "app-v2", service="young")
    answer = browser.get(page("{}s", model, cluster.slug))
    (row,) = answer.context["listing"].page.object_list
    assert [service.name for service in row["services"]] == ["old", "young"]


def test_the_list_can_be_searched_sorted_and_paged(browser: Client, cluster: Cluster) -> None:
    Config.objects.bulk_create(
        Config(cluster=cluster, name=f"app-{number:02}", engine_id=f"id-{number}")
        for number in range(60)
    )
    url = reverse("configs", args=[cluster.slug])

    def names(query: str) -> list[str]:
        listing = browser.get(f"{url}?{query}").context["listing"]
        return [row["item"].name for row in listing.page.object_list]

    assert names("q=app-5") == [f"app-5{number}" for number in range(10)]
    assert names("sort=-name")[0] == "app-59"
    assert len(names("page=2")) == 10
    assert "Nothing found" in browser.get(f"{url}?q=nowhere").text


def test_a_list_takes_as_many_queries_for_many_as_for_one(
    browser: Client, cluster: Cluster
) -> None:
    def add(number: int) -> None:
        existing(Secret, cluster, f"app-{number}")
        using(cluster, Secret, f"app-{number}", service=f"web-{number}")

    url = reverse("secrets", args=[cluster.slug])
    add(0)
    # The first look claims the cluster's refresh, later ones find it claimed.
    browser.get(url)
    for_one = queries_of(browser, url)
    for number in range(1, 12):
        add(number)
    assert queries_of(browser, url) == for_one


def queries_of(browser: Client, url: str) -> int:
    """Count the queries that a page takes."""
    with CaptureQueriesContext(connection) as captured:
        browser.get(url)
    return len(captured)


@BOTH
def test_an_auditor_sees_all_and_changes_nothing(
    client_for: SignIn, auditor: User, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster)
    browser = client_for(auditor)
    assert (
        page("new_{}", model, cluster.slug)
        not in browser.get(page("{}s", model, cluster.slug)).text
    )
    seen = browser.get(page("{}", model, cluster.slug, "app")).text
    assert page("rotate_{}", model, cluster.slug, "app") not in seen
    for url in (
        page("new_{}", model, cluster.slug),
        page("rotate_{}", model, cluster.slug, "app"),
        page("delete_{}", model, cluster.slug, "app"),
    ):
        assert browser.get(url).status_code == 404
        assert browser.post(url, {"name": "other", "text": "x"}).status_code == 404
    assert not Operation.objects.exists()


@BOTH
def test_a_stranger_finds_nothing(
    client_for: SignIn, stranger: User, cluster: Cluster, model: Model
) -> None:
    existing(model, cluster)
    browser = client_for(stranger)
    for url in (page("{}s", model, cluster.slug), page("{}", model, cluster.slug, "app")):
        assert browser.get(url).status_code == 404
