"""Pages of volumes: what is on every node, and what services mount."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Node, Service, Volume
from medstack.models import Event, Operation, User
from tests.pages import SignIn, queued_operations


@pytest.fixture
def other_node(cluster: Cluster) -> Node:
    return Node.objects.create(
        cluster=cluster,
        name="node-2",
        endpoint_url="unix:///nonexistent/other.sock",
        swarm_node_id="swarmnode2",
        swarm_state="ready",
        seen_at=timezone.now(),
    )


def volume_on(node: Node, name: str, **values: Any) -> Volume:
    """Make a volume that was seen on its node."""
    return Volume.objects.create(node=node, name=name, observed_at=timezone.now(), **values)


def mounting(cluster: Cluster, volume: str, *, service: str, node: Node | None = None) -> Service:
    """Make a service that mounts a volume, pinned to a node if one is given."""
    mount = {"Type": "volume", "Source": volume, "Target": "/data"}
    template: dict[str, Any] = {"ContainerSpec": {"Image": "nginx:1.27", "Mounts": [mount]}}
    if node:
        template["Placement"] = {"Constraints": [f"node.id == {node.swarm_node_id}"]}
    spec = {"Name": service, "TaskTemplate": template}
    return Service.objects.create(cluster=cluster, name=service, spec=spec)


def listed(browser: Client, cluster: Cluster, query: str = "") -> list[tuple[str, str]]:
    """Return the names and nodes in the list, as the address asks for it."""
    answer = browser.get(f"{reverse('volumes', args=[cluster.slug])}?{query}")
    rows = answer.context["listing"].page.object_list
    return [(row["volume"].name, row["volume"].node.name) for row in rows]


def typed(node: Node, **changed: Any) -> dict[str, Any]:
    """Return what the form sends for a plain volume, with some of it changed."""
    usual = {
        "name": "data",
        "node": node.pk,
        "kind": "local",
        "nfs_options": "rw,nfsvers=4",
        "tmpfs_size": "64m",
        "labels": "",
    }
    return usual | changed


def test_an_empty_list_says_what_to_do_next(browser: Client, cluster: Cluster) -> None:
    page = browser.get(reverse("volumes", args=[cluster.slug])).text
    assert "No named volumes yet" in page
    assert reverse("new_volume", args=[cluster.slug]) in page


def test_the_same_name_on_two_nodes_is_two_volumes(
    browser: Client, cluster: Cluster, node: Node, other_node: Node
) -> None:
    volume_on(node, "data", size_bytes=2048)
    volume_on(other_node, "data")
    assert listed(browser, cluster) == [("data", "node-1"), ("data", "node-2")]


def test_a_volume_lists_the_services_that_may_mount_it_on_its_node(
    browser: Client, cluster: Cluster, node: Node, other_node: Node
) -> None:
    volume_on(node, "data")
    volume_on(other_node, "data")
    mounting(cluster, "data", service="pinned", node=node)
    mounting(cluster, "data", service="roaming")
    answer = browser.get(reverse("volumes", args=[cluster.slug]))
    users = {
        row["volume"].node.name: [service.name for service in row["services"]]
        for row in answer.context["listing"].page.object_list
    }
    assert users == {"node-1": ["pinned", "roaming"], "node-2": ["roaming"]}


def test_the_list_is_filtered_by_node_and_driver_and_searched(
    browser: Client, cluster: Cluster, node: Node, other_node: Node
) -> None:
    volume_on(node, "data")
    volume_on(node, "share", driver="nfs-plugin")
    volume_on(other_node, "cache")
    assert listed(browser, cluster, "node=node-2") == [("cache", "node-2")]
    assert listed(browser, cluster, "driver=nfs-plugin") == [("share", "node-1")]
    assert listed(browser, cluster, "q=dat") == [("data", "node-1")]
    assert listed(browser, cluster, "node=&driver=")[0] == ("cache", "node-2")


def test_anonymous_volumes_stand_apart(browser: Client, cluster: Cluster, node: Node) -> None:
    volume_on(node, "data")
    volume_on(node, "f" * 64, is_anonymous=True)
    answer = browser.get(reverse("volumes", args=[cluster.slug]))
    assert listed(browser, cluster) == [("data", "node-1")]
    assert [row["volume"].name for row in answer.context["anonymous"]] == ["f" * 64]
    assert listed(browser, cluster, "is_anonymous=True") == [("f" * 64, "node-1")]


def test_what_is_gone_is_not_listed(browser: Client, cluster: Cluster, node: Node) -> None:
    gone = volume_on(node, "data", gone_at=timezone.now())
    assert listed(browser, cluster) == []
    page = browser.get(reverse("volume", args=[cluster.slug, gone.pk])).text
    assert "no longer on the node" in page


def test_creating_a_volume_saves_a_row_an_event_and_an_operation(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    url = reverse("new_volume", args=[cluster.slug])
    answer = browser.post(url, typed(node, labels="team=radiology\nkeep=yes"))
    volume = Volume.objects.get()
    assert answer.headers["Location"] == reverse("volume", args=[cluster.slug, volume.pk])
    assert (volume.node, volume.name, volume.driver) == (node, "data", "local")
    assert volume.labels == {"team": "radiology", "keep": "yes"}
    assert queued_operations() == [Operation.objects.get(kind="volume.create").pk]
    event = Event.objects.get(action="volume.created")
    assert event.after == {"name": "data", "node": "node-1", "driver": "local", "options": []}
    assert "Creating" in browser.get(answer.headers["Location"]).text


def test_an_nfs_share_becomes_options_of_the_local_driver(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    sent = typed(node, kind="nfs", nfs_server="nfs.example.com", nfs_path="/exports/images")
    browser.post(reverse("new_volume", args=[cluster.slug]), sent)
    volume = Volume.objects.get()
    assert json.loads(volume.options) == {
        "type": "nfs",
        "o": "addr=nfs.example.com,rw,nfsvers=4",
        "device": ":/exports/images",
    }
    page = browser.get(reverse("volume", args=[cluster.slug, volume.pk])).text
    assert "addr=nfs.example.com" in page


def test_a_tmpfs_has_a_size_and_an_owner(browser: Client, cluster: Cluster, node: Node) -> None:
    sent = typed(node, kind="tmpfs", tmpfs_size="100m", tmpfs_uid="1000")
    browser.post(reverse("new_volume", args=[cluster.slug]), sent)
    assert json.loads(Volume.objects.get().options) == {
        "type": "tmpfs",
        "o": "size=100m,uid=1000",
        "device": "tmpfs",
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a"}, "name"),
        ({"name": "not a name"}, "name"),
        ({"name": "0" * 64}, "name"),
        ({"node": ""}, "node"),
        ({"node": "999"}, "node"),
        ({"kind": "cloud"}, "kind"),
        ({"kind": "nfs", "nfs_path": "/exports"}, "nfs_server"),
        ({"kind": "nfs", "nfs_server": "a,soft", "nfs_path": "/exports"}, "nfs_server"),
        ({"kind": "nfs", "nfs_server": "nfs.example.com", "nfs_path": "exports"}, "nfs_path"),
        (
            {"kind": "nfs", "nfs_server": "a", "nfs_path": "/b", "nfs_options": "rw; rm"},
            "nfs_options",
        ),
        ({"kind": "tmpfs", "tmpfs_size": "much"}, "tmpfs_size"),
        ({"kind": "tmpfs", "tmpfs_size": "0"}, "tmpfs_size"),
        ({"labels": "no equals"}, "labels"),
        ({"labels": "a=1\na=2"}, "labels"),
        ({"labels": "medstack.row=1"}, "labels"),
    ],
)
def test_bad_input_is_answered_at_its_field(
    browser: Client, cluster: Cluster, node: Node, changed: dict[str, Any], field: str
) -> None:
    answer = browser.post(reverse("new_volume", args=[cluster.slug]), typed(node) | changed)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Volume.objects.exists()
    assert not Operation.objects.exists()


def test_a_name_that_its_node_has_is_refused(browser: Client, cluster: Cluster, node: Node) -> None:
    volume_on(node, "data")
    answer = browser.post(reverse("new_volume", args=[cluster.slug]), typed(node))
    assert answer.status_code == 422
    assert "node-1 has a volume named" in answer.context["form"].errors["name"][0]


def test_a_node_that_is_down_is_not_offered(browser: Client, cluster: Cluster, node: Node) -> None:
    Node.objects.update(last_error="connection refused")
    page = browser.get(reverse("new_volume", args=[cluster.slug]))
    assert not page.context["form"].fields["node"].queryset.exists()
    assert "No node is ready" in page.text
    answer = browser.post(reverse("new_volume", args=[cluster.slug]), typed(node))
    assert list(answer.context["form"].errors) == ["node"]


def test_options_that_may_hold_a_password_are_not_shown(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    options = {"type": "cifs", "device": "//host/share", "o": "username=u,password=hunter2"}
    volume = volume_on(node, "share", options=json.dumps(options))
    page = browser.get(reverse("volume", args=[cluster.slug, volume.pk])).text
    assert "cifs" in page
    assert "hunter2" not in page


def test_deleting_asks_for_the_name(browser: Client, cluster: Cluster, node: Node) -> None:
    volume = volume_on(node, "data", size_bytes=2048)
    url = reverse("delete_volume", args=[cluster.slug, volume.pk])
    assert "Its data" in browser.get(url).text
    answer = browser.post(url, {"confirmation": "date"})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["confirmation"]
    assert not Operation.objects.exists()
    answer = browser.post(url, {"confirmation": "data"})
    assert answer.headers["Location"] == reverse("volume", args=[cluster.slug, volume.pk])
    assert queued_operations() == [Operation.objects.get(kind="volume.delete").pk]


def test_a_volume_in_use_is_not_deleted_and_the_page_names_its_services(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    volume = volume_on(node, "data")
    mounting(cluster, "data", service="database", node=node)
    url = reverse("delete_volume", args=[cluster.slug, volume.pk])
    assert "cannot be deleted" in browser.get(url).text
    answer = browser.post(url, {"confirmation": "data"})
    assert answer.status_code == 422
    assert "is used by database" in answer.text
    assert not Operation.objects.exists()


def test_an_auditor_sees_all_and_changes_nothing(
    client_for: SignIn, auditor: User, cluster: Cluster, node: Node
) -> None:
    volume = volume_on(node, "data")
    browser = client_for(auditor)
    new = reverse("new_volume", args=[cluster.slug])
    delete = reverse("delete_volume", args=[cluster.slug, volume.pk])
    assert new not in browser.get(reverse("volumes", args=[cluster.slug])).text
    assert delete not in browser.get(reverse("volume", args=[cluster.slug, volume.pk])).text
    assert browser.post(new, typed(node, name="other")).status_code == 404
    assert browser.post(delete, {"confirmation": "data"}).status_code == 404
    assert not Operation.objects.exists()


def test_a_stranger_finds_nothing(
    client_for: SignIn, stranger: User, cluster: Cluster, node: Node
) -> None:
    volume = volume_on(node, "data")
    browser = client_for(stranger)
    assert browser.get(reverse("volumes", args=[cluster.slug])).status_code == 404
    assert browser.get(reverse("volume", args=[cluster.slug, volume.pk])).status_code == 404


def test_a_volume_of_another_cluster_is_not_found(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    volume = volume_on(node, "data")
    other = Cluster.objects.create(company=cluster.company, name="Other", slug="other")
    assert browser.get(reverse("volume", args=[other.slug, volume.pk])).status_code == 404
