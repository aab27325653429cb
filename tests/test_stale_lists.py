"""What was made or removed while the console was reading stays so, whatever the list says."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from clusters.actions import services as actions
from clusters.models import Cluster, Node, Secret, Service, Volume
from clusters.tasks.refresh import refresh_cluster
from medstack.models import User
from tests.fake_engine import FakeEngine
from tests.unwell import attach, by, fake_engines, service_on

# The moment at which the list is on its way: after it was asked for, before it is saved.
MEANWHILE = timedelta(seconds=5)


@pytest.fixture
def fake(tmp_path: Path, node: Node) -> Iterator[FakeEngine]:
    with fake_engines(tmp_path) as start:
        fake = start()
        attach(node, fake)
        yield fake


def test_a_volume_that_was_made_meanwhile_is_not_gone(
    cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    now = timezone.now()
    made = Volume.objects.create(node=node, name="new", observed_at=now + MEANWHILE)
    asked_for = Volume.objects.create(node=node, name="wanted")
    gone = Volume.objects.create(node=node, name="old", observed_at=now)
    refresh_cluster(cluster.pk)
    assert set(Volume.objects.present()) == {made, asked_for}
    gone.refresh_from_db()
    assert gone.gone_at


def test_a_volume_that_was_deleted_meanwhile_does_not_come_back(
    cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    gone_at = timezone.now() + MEANWHILE
    Volume.objects.create(node=node, name="data", observed_at=timezone.now(), gone_at=gone_at)
    fake.add("volumes", "data", Name="data")
    refresh_cluster(cluster.pk)
    assert not Volume.objects.present().exists()


def test_a_volume_that_was_made_again_outside_the_console_is_there_again(
    cluster: Cluster, node: Node, fake: FakeEngine
) -> None:
    gone_at = timezone.now() - MEANWHILE
    Volume.objects.create(node=node, name="data", observed_at=gone_at, gone_at=gone_at)
    fake.add("volumes", "data", Name="data")
    refresh_cluster(cluster.pk)
    assert Volume.objects.present().count() == 1


def test_a_service_that_was_deleted_meanwhile_does_not_come_back_as_a_ghost(
    cluster: Cluster, fake: FakeEngine
) -> None:
    service = service_on(fake, cluster)
    Service.objects.filter(pk=service.pk).update(
        engine_id="", deleted_at=timezone.now() + MEANWHILE
    )
    refresh_cluster(cluster.pk)
    assert not Service.objects.present().exists()


def test_a_service_that_is_being_made_is_not_missing(
    cluster: Cluster, fake: FakeEngine, operator: User
) -> None:
    service = service_on(fake, cluster)
    fake.state["services"].clear()
    actions.restart_service(service, by=by(operator))
    refresh_cluster(cluster.pk)
    service.refresh_from_db()
    assert service.engine_id
    cluster.operations.update(state="done", ended_at=timezone.now() - MEANWHILE)
    refresh_cluster(cluster.pk)
    service.refresh_from_db()
    assert service.status == "Missing"


def test_a_secret_that_was_removed_meanwhile_is_not_taken_up_again(
    cluster: Cluster, fake: FakeEngine
) -> None:
    listed = fake.add("secrets", "password")
    Secret.objects.create(
        cluster=cluster,
        name="password",
        engine_id=listed["ID"],
        is_current=False,
        removed_at=timezone.now(),
    )
    refresh_cluster(cluster.pk)
    assert not Secret.objects.present().exists()
