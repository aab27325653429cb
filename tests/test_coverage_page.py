"""The coverage page: every volume of every node, how it is protected, and what one may change."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from backups.models import Protection, Snapshot, VolumeBackup, VolumePolicy
from clusters.models import Cluster, Node, Volume
from medstack.models import Event, User
from tests.pages import SignIn


@pytest.fixture
def volumes(cluster: Cluster, node: Node) -> dict[str, Volume]:
    """Make one volume of each kind; the backup of the protected one is two hours old."""
    other = Node.objects.create(cluster=cluster, name="node-2", swarm_node_id="two")
    names = {"orders": other, "cache": node, "fresh": node, "a" * 64: node, "stale": other}
    found = {
        name: Volume.objects.create(
            node=where, name=name, is_anonymous=len(name) == 64, observed_at=timezone.now()
        )
        for name, where in names.items()
    }
    Volume.objects.create(
        node=node, name="scratch", labels={"medstack.backup": "never"}, observed_at=timezone.now()
    )
    VolumePolicy.objects.create(
        cluster=cluster, node_name="node-1", volume_name="cache", excluded_reason="Made again."
    )
    for name, hours in (("orders", 2), ("stale", 7)):
        due = timezone.now() - timedelta(hours=hours)
        snapshot = Snapshot.objects.create(cluster=cluster, due=due, state="complete")
        VolumeBackup.objects.create(
            snapshot=snapshot,
            cluster=cluster,
            due=due,
            node_name="node-2",
            volume_name=name,
            state="captured",
        )
    return found


def test_each_volume_is_protected_excluded_anonymous_or_unprotected_and_says_why(
    volumes: dict[str, Volume], cluster: Cluster, auditor: User, client_for: SignIn
) -> None:
    answer = client_for(auditor).get(reverse("coverage", args=[cluster.slug]))
    rows = [one["row"] for one in answer.context["rows"]]
    assert [(row.key.node, row.key.volume[:6], row.state) for row in rows] == [
        ("node-1", "fresh", "unprotected"),
        ("node-2", "stale", "unprotected"),
        ("node-2", "orders", "protected"),
        ("node-1", "cache", "excluded"),
        ("node-1", "aaaaaa", "anonymous"),
    ]
    for words in (
        "It has never been backed up.",
        "Its last good backup is too old.",
        "Made again.",
        "Anonymous volumes are never backed up.",
        "2 hours ago",
    ):
        assert words in answer.text
    # Who may only read is offered no change; what is no data has no row.
    assert ">Change<" not in answer.text
    assert "scratch" not in answer.text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"stop": "on", "freeze": "on"}, "What is frozen cannot be stopped"),
        ({"stop": "on", "before_command": "dump"}, "What is stopped runs no command"),
        ({"is_excluded": "on"}, "Say why the volume is left out."),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    typed: dict[str, str],
    words: str,
    volumes: dict[str, Volume],
    cluster: Cluster,
    operator: User,
    client_for: SignIn,
) -> None:
    url = reverse("volume_policy", args=[cluster.slug, volumes["fresh"].pk])
    refused = client_for(operator).post(url, typed)
    assert refused.status_code == 422
    assert words in refused.text
    assert not VolumePolicy.objects.filter(volume_name="fresh").exists()


def test_an_operator_excludes_a_volume_for_a_reason_and_takes_that_back(
    volumes: dict[str, Volume], cluster: Cluster, operator: User, client_for: SignIn
) -> None:
    Protection.objects.create(cluster=cluster, applied_at=timezone.now())
    url = reverse("volume_policy", args=[cluster.slug, volumes["fresh"].pk])
    client = client_for(operator)
    client.post(url, {"is_excluded": "on", "excluded_reason": "Only thumbnails."})
    page = client.get(reverse("coverage", args=[cluster.slug])).text
    assert "Only thumbnails." in page
    # The agents hear of it with the next look, not with one that is due later.
    assert Protection.objects.get(cluster=cluster).applied_at is None
    client.post(url, {"excluded_reason": "Only thumbnails."})
    assert "Only thumbnails." not in client.get(reverse("coverage", args=[cluster.slug])).text
    events = Event.objects.filter(action="volume.policy").order_by("pk")
    reasons = [event.after["excluded_reason"] for event in events if event.after]
    assert reasons == ["Only thumbnails.", ""]
    assert {event.actor for event in events} == {operator}
