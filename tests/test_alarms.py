"""Alarms: loud once when a cluster is not protected, and quiet when it is again."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from backups.models import Protection, Snapshot
from backups.tasks import alarms
from clusters.models import Cluster
from medstack.models import Event, User
from tests.pages import SignIn


@pytest.fixture
def protection(cluster: Cluster, settings: Any) -> Protection:
    settings.BACKUPS = True
    return Protection.objects.create(
        cluster=cluster,
        since=timezone.now() - timedelta(days=2),
        recipients=["night@clinic.example"],
    )


def complete(cluster: Cluster, age: timedelta) -> datetime:
    """Give a cluster a complete snapshot of an age."""
    due = timezone.now() - age
    Snapshot.objects.create(cluster=cluster, due=due, state=Snapshot.State.COMPLETE)
    return due


def test_the_levels_are_told_once_each_and_so_is_their_end(
    protection: Protection, cluster: Cluster
) -> None:
    complete(cluster, timedelta(minutes=91))
    alarms.look_at_ages()
    alarms.look_at_ages()
    assert [one.subject for one in mail.outbox] == [f"[Warning] Backups of {cluster}"]
    assert mail.outbox[0].to == ["night@clinic.example"]
    Snapshot.objects.update(due=timezone.now() - timedelta(hours=6, minutes=1))
    alarms.look_at_ages()
    alarms.look_at_ages()
    complete(cluster, timedelta(minutes=5))
    alarms.look_at_ages()
    assert [one.subject[:6] for one in mail.outbox] == ["[Warni", "[Criti", "[OK] B"]
    actions = Event.objects.filter(action__startswith="protection.").values_list(
        "action", flat=True
    )
    assert list(actions) == ["protection.fresh", "protection.critical", "protection.warning"]


def test_a_partial_snapshot_does_not_reassure(protection: Protection, cluster: Cluster) -> None:
    complete(cluster, timedelta(hours=7))
    Snapshot.objects.create(cluster=cluster, due=timezone.now(), state=Snapshot.State.PARTIAL)
    alarms.look_at_ages()
    protection.refresh_from_db()
    assert protection.alarm == "critical"


def test_a_mail_server_that_fails_is_tried_again_and_never_twice_on_success(
    protection: Protection, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(cluster, timedelta(hours=7))

    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
        alarms.look_at_ages()
    assert not mail.outbox
    for _ in range(3):
        alarms.look_at_ages()
    assert len(mail.outbox) == 1


def test_new_agents_have_time_and_a_deleted_environment_is_no_alarm(
    protection: Protection, cluster: Cluster
) -> None:
    Protection.objects.update(since=timezone.now() - timedelta(minutes=30))
    alarms.look_at_ages()
    Protection.objects.update(
        since=timezone.now() - timedelta(days=9), ended_at=timezone.now() - timedelta(days=1)
    )
    alarms.look_at_ages()
    assert not mail.outbox


def test_an_alarm_stands_on_the_clusters_page(
    protection: Protection, cluster: Cluster, client_for: SignIn, auditor: User
) -> None:
    complete(cluster, timedelta(hours=7))
    alarms.look_at_ages()
    assert (
        "This cluster is not protected" in client_for(auditor).get(cluster.get_absolute_url()).text
    )


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("a@x.example\nb@x.example\nc@x.example\nd@x.example", "At most three"),
        ("a@x.example\nnobody", "“nobody” is not an e-mail address"),
    ],
)
def test_bad_recipients_are_refused_at_their_field(
    typed: str, words: str, cluster: Cluster, client_for: SignIn, operator: User
) -> None:
    url = reverse("recipients", args=[cluster.slug])
    answer = client_for(operator).post(url, {"addresses": typed})
    assert answer.status_code == 422
    assert words in str(answer.context["form"].errors["addresses"])
    assert not Protection.objects.filter(cluster=cluster).exists()


def test_up_to_three_recipients_are_kept(
    cluster: Cluster, client_for: SignIn, operator: User
) -> None:
    url = reverse("recipients", args=[cluster.slug])
    client_for(operator).post(url, {"addresses": "a@x.example\n\n a@x.example \nb@x.example"})
    assert Protection.objects.get(cluster=cluster).recipients == ["a@x.example", "b@x.example"]
    assert Event.objects.filter(action="protection.recipients").count() == 1
