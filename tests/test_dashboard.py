"""The first page: how every cluster is, what runs, and what somebody should look at."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups.models import Protection, Repository, Snapshot
from backups.schedule import HOUR, hour_of
from clusters.models import Cluster, DomainMapping, Node, Service
from clusters.views.dashboard import counts
from medstack.models import Company, Operation, User
from tests.pages import SignIn
from tests.running import running_service

URL = "/"


def cluster_of(company: Company, name: str) -> Cluster:
    return Cluster.objects.create(company=company, name=name, slug=name.lower(), swarm_id=name)


def node_of(cluster: Cluster, name: str, **values: object) -> Node:
    ready = {"swarm_node_id": name, "swarm_state": "ready", "seen_at": timezone.now()}
    url = f"unix:///nonexistent/{cluster.slug}-{name}.sock"
    return Node.objects.create(cluster=cluster, name=name, endpoint_url=url, **(ready | values))


def protect(cluster: Cluster, *ages: timedelta, size: int = 10**9) -> Repository:
    """Give a cluster complete snapshots of these ages."""
    now = timezone.now()
    repository = Repository.objects.create(
        cluster=cluster, folder=cluster.slug, password="planted", size_bytes=size
    )
    Protection.objects.create(cluster=cluster, since=now - timedelta(days=3))
    for age in ages:
        Snapshot.objects.create(
            cluster=cluster, repository=repository, due=now - age, state=Snapshot.State.COMPLETE
        )
    return repository


def text(client_for: SignIn, user: User, url: str = URL) -> str:
    return " ".join(client_for(user).get(url).content.decode().split())


def test_a_newcomer_is_led_to_the_first_cluster(
    client_for: SignIn, owner: User, auditor: User
) -> None:
    page = text(client_for, owner)
    assert "Create your first cluster" in page and f'href="{reverse("new_cluster")}"' in page
    # Who may not create one is told who may.
    page = text(client_for, auditor)
    assert "An Owner or Operator" in page and reverse("new_cluster") not in page


def test_it_says_how_many_nodes_are_ready_and_services_run(
    client_for: SignIn, owner: User, cluster: Cluster, node: Node
) -> None:
    node_of(cluster, "away", last_error="No answer within 5 seconds.")
    running_service(cluster, node)
    Service.objects.create(cluster=cluster, name="behind", desired=3, running=1)
    Service.objects.create(cluster=cluster, name="stopped", desired=0, running=0)
    page = text(client_for, owner)
    assert "1 of 2 ready" in page and "1 of 2 running" in page
    assert "1 of 2 nodes down" in page
    # The list of clusters uses the same words.
    assert "1 of 2 nodes down" in text(client_for, owner, reverse("clusters"))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"last_error": "It refuses."},
        {"swarm_state": "down"},
        {"swarm_state": "unknown"},
        {"swarm_node_id": ""},
        {"seen_at": None},
        {"seen_at": timezone.now() - timedelta(days=1)},
        {"removed_at": timezone.now()},
    ],
)
def test_a_node_counts_as_ready_where_its_own_page_says_so(
    cluster: Cluster, values: dict[str, object]
) -> None:
    node = node_of(cluster, "one", **values)
    found = counts(Cluster.objects.all(), timezone.now()).get(cluster.pk, {})
    assert found.get("ready", 0) == (node.status == "Ready")
    assert found.get("creating", 0) == (node.status == "Creating")
    assert found.get("nodes", 0) == (node.status != "Removed")


@pytest.mark.parametrize(
    ("age", "kind", "words"),
    [
        (timedelta(minutes=23), "ok", "23 minutes ago"),
        # The next hour's snapshot is being taken: the promise is not broken yet.
        (timedelta(minutes=70), "ok", "1 hour ago"),
        (timedelta(minutes=80), "warning", "1 hour ago"),
        (timedelta(minutes=140), "danger", "2 hours ago"),
    ],
)
def test_the_age_of_the_last_complete_snapshot_is_held_against_the_promise(
    client_for: SignIn, owner: User, cluster: Cluster, age: timedelta, kind: str, words: str
) -> None:
    protect(cluster, age)
    page = text(client_for, owner)
    assert f'<span class="status status-{kind}">{words}</span> <span' in page
    # The cluster's own page judges alike.
    status = f'<span class="status status-{kind}">Last complete snapshot</span>'
    assert status in text(client_for, owner, cluster.get_absolute_url())


def test_a_cluster_that_never_had_a_snapshot_is_late_once_the_promise_is_broken(
    client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    protect(cluster)
    assert 'status-danger">No complete snapshot yet' in text(client_for, owner)
    Protection.objects.update(since=timezone.now())
    assert 'status-ok">No complete snapshot yet' in text(client_for, owner)


def test_the_last_day_of_snapshots_is_drawn_and_said(
    client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    protect(cluster)
    hour = hour_of(timezone.now())
    for back, state in ((1, "complete"), (2, "failed"), (3, "partial"), (23, "complete")):
        Snapshot.objects.create(cluster=cluster, due=hour - back * HOUR, state=state)
    page = text(client_for, owner)
    said = "2 complete, 1 partial, 1 failed, 19 missed, 1 not due"
    assert f"in the last 24 hours: {said}" in page
    assert page.count("#hour-missed-day") == 19


def test_domains_that_want_a_look_are_listed(
    client_for: SignIn, owner: User, cluster: Cluster, node: Node
) -> None:
    now, service = timezone.now(), running_service(cluster, node)
    well: dict[str, Any] = {"checked_at": now, "not_after": now + timedelta(days=60)}
    rows: dict[str, dict[str, Any]] = {
        "well.example": well,
        "new.example": {},
        "ends.example": well | {"not_after": now + timedelta(days=3, hours=1)},
        "wrong.example": well | {"problem": "It leads to another address."},
        "gone.example": {"removed_at": now},
    }
    for domain, values in rows.items():
        DomainMapping.objects.create(service=service, domain=domain, port=80, **values)
    page = text(client_for, owner)
    assert "3 to inspect" in page
    assert "well.example" not in page and "gone.example" not in page
    assert "ends in 3 days" in page and "It leads to another address." in page
    assert "Nobody has seen it answer yet." in page


def test_stored_bytes_are_added_up_over_repositories(
    client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    protect(cluster, HOUR, size=3 << 30)
    protect(cluster_of(cluster.company, "Second"), HOUR, size=1 << 30)
    page = text(client_for, owner).replace("\xa0", " ")
    assert "4.0 GB" in page and "3.0 GB" in page


def test_nothing_of_another_company_is_counted_or_shown(
    client_for: SignIn, owner: User, stranger: User, cluster: Cluster, node: Node
) -> None:
    service = running_service(cluster, node)
    DomainMapping.objects.create(service=service, domain="ours.example", port=80)
    protect(cluster, HOUR)
    page = text(client_for, stranger)
    assert "Production" not in page and "ours.example" not in page
    cluster_of(stranger.companies.get(), "Theirs")
    page = text(client_for, stranger)
    assert "Theirs" in page and "Production" not in page and "ours.example" not in page
    assert 'figure-value">0 <small>of 0</small>' in page


def test_it_asks_as_few_queries_for_twenty_clusters_as_for_two(
    client_for: SignIn, owner: User, company: Company
) -> None:
    browser = client_for(owner)
    browser.get(URL)

    def add(number: int) -> None:
        cluster = cluster_of(company, f"Cluster{number:02d}")
        node = node_of(cluster, "one")
        service = running_service(cluster, node)
        DomainMapping.objects.create(service=service, domain=f"{number}.example", port=80)
        protect(cluster, HOUR)
        Operation.objects.create(
            kind="service.apply",
            title="Deploy",
            company=company,
            cluster=cluster,
            target_kind="service",
            target_id=service.pk,
            target_name="web",
            deadline=timezone.now(),
        )

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(URL).status_code == 200
        return len(queries)

    add(0)
    add(1)
    with_two = asked()
    for number in range(2, 20):
        add(number)
    assert asked() == with_two <= 15


def test_more_than_fifty_clusters_stand_on_several_pages(
    client_for: SignIn, owner: User, company: Company
) -> None:
    Cluster.objects.bulk_create(
        Cluster(company=company, name=f"Cluster {n:02d}", slug=f"cluster-{n:02d}")
        for n in range(53)
    )
    page = text(client_for, owner)
    assert page.count('class="card summary"') == 50 and "Cluster 52" not in page
    page = text(client_for, owner, f"{URL}?page=2")
    assert page.count('class="card summary"') == 3 and "Cluster 52" in page
    page = text(client_for, owner, f"{URL}?q=cluster+07")
    assert page.count('class="card summary"') == 1


def test_it_follows_what_runs_until_nothing_does(
    client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    operation = Operation.objects.create(
        kind="service.apply",
        title="Deploy",
        company=cluster.company,
        cluster=cluster,
        target_kind="service",
        target_id=1,
        target_name="web",
        state="running",
        percentage=40,
        deadline=timezone.now(),
    )
    page = text(client_for, owner)
    assert 'id="dashboard-operations" aria-labelledby="running-title" hx-get="/"' in page
    assert "40 %" in page and operation.url in page
    Operation.objects.update(state="done", ended_at=timezone.now())
    page = text(client_for, owner)
    assert 'id="dashboard-operations" aria-labelledby="running-title">' in page
    assert "Nothing is running." in page
