"""Services that stand still for a restore come back, whatever becomes of it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.urls import reverse
from django.utils import timezone

from backups import jobs
from backups.models import Outcome, Repository, Restore, Snapshot, VolumeBackup
from backups.tasks.due import enqueue_due
from clusters.models import Cluster, Node, Service, Volume
from medstack import operations
from medstack.failures import Failure
from medstack.models import Operation, User
from tests.catalogues import filled, protected
from tests.engines.conftest import run_due
from tests.fake_engine import FakeEngine
from tests.pages import SignIn
from tests.scripted import Killed, time_passes
from tests.unwell import attach, fake_engines, let_time_pass, replicas, service_on

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
OUT_OF_REACH = "dial tcp: connection refused"


@pytest.fixture
def fake(tmp_path: Path, node: Node) -> Iterator[FakeEngine]:
    with fake_engines(tmp_path) as start:
        fake = start()
        attach(node, fake)
        fake.state["volumes"]["data"] = {"ID": "data", "Name": "data", "Driver": "local"}
        yield fake


@pytest.fixture
def service(fake: FakeEngine, cluster: Cluster, node: Node) -> Service:
    """Return a service with three replicas that mounts the volume."""
    Volume.objects.create(node=node, name="data", driver="local")
    mount = {"Type": "volume", "Source": "data", "Target": "/data"}
    template = {"ContainerSpec": {"Image": "nginx:1.27", "Mounts": [mount]}}
    mode = {"Replicated": {"Replicas": 3}}
    return service_on(fake, cluster, TaskTemplate=template, Mode=mode)


@pytest.fixture
def restore(
    cluster: Cluster,
    node: Node,
    service: Service,
    operator: User,
    client_for: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> Restore:
    """Ask for a restore over the volume; its safety snapshot is there already."""
    repository = protected(cluster, NOON)
    Repository.objects.update(node_access='{"password": "y"}', initialised_at=NOON)
    filled(cluster, node, repository, first=NOON, hours=1, volumes=("data",))
    backup = VolumeBackup.objects.get()
    url = reverse("restore_volume", args=[cluster.slug, backup.pk])
    fields = {"node": node.pk, "mode": "over", "name": "data", "confirmation": "data"}
    assert client_for(operator).post(url, fields).status_code == 302
    row = Restore.objects.get()
    filled(cluster, node, repository, first=timezone.now(), hours=1, volumes=("data",))
    safety = Snapshot.objects.latest("due")
    Restore.objects.update(safety=safety)

    def follow(*_args: Any, name: str = "", **_more: Any) -> dict[str, int]:
        if name == "room":
            return {"free": 10**9}
        raise Failure("node-1: the disk is broken.")

    monkeypatch.setattr(jobs, "follow", follow)
    return row


def ended(row: Restore) -> Operation:
    run_due()
    let_time_pass()
    run_due()
    row.refresh_from_db()
    assert row.operation and row.operation.state == "failed", row.operation
    return row.operation


def test_a_failed_restore_gives_them_their_replicas_back(
    restore: Restore, service: Service, fake: FakeEngine
) -> None:
    told: list[int] = []
    fake.hold(f"/services/{service.engine_id}/update", lambda: told.append(1))
    operation = ended(restore)
    assert operation.error == "node-1: the disk is broken."
    assert (len(told), replicas(fake, service)) == (2, 3)
    assert restore.outcome == Outcome.FAILED
    assert "its safety" in operation.log


def test_where_no_manager_answers_then_the_tick_starts_them_later(
    restore: Restore, service: Service, fake: FakeEngine, settings: LazySettings
) -> None:
    path = f"/services/{service.engine_id}/update"

    def stop_then_break() -> None:
        fake.fail(path, OUT_OF_REACH)

    fake.hold(path, stop_then_break, times=1)
    operation = ended(restore)
    assert replicas(fake, service) == 0
    assert restore.outcome == Outcome.FAILED
    assert "started again as soon as that is possible" in operation.log

    enqueue_due()
    run_due()
    assert replicas(fake, service) == 0
    fake.heal()
    enqueue_due()
    run_due()
    assert replicas(fake, service) == 3
    enqueue_due()
    calls = len(fake.calls)
    run_due()
    assert not [one for one in fake.calls[calls:] if one.startswith("POST")]


def test_what_somebody_has_started_meanwhile_stays_as_it_is(
    restore: Restore, service: Service, fake: FakeEngine
) -> None:
    path = f"/services/{service.engine_id}/update"
    fake.hold(path, lambda: fake.fail(path, OUT_OF_REACH), times=1)
    ended(restore)
    fake.heal()
    live = fake.state["services"][service.engine_id]
    live["Spec"]["Mode"]["Replicated"]["Replicas"] = 5
    enqueue_due()
    run_due()
    assert replicas(fake, service) == 5
    assert not Operation.objects.filter(intent__has_key="replicas").exists()


def test_a_worker_that_is_killed_while_they_stand_still_leaves_that_to_the_next(
    restore: Restore, service: Service, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after the Engine has stopped them, before anything else of it is kept."""
    path = f"/services/{service.engine_id}/update"
    fake.hold(path, lambda: monkeypatch.setattr(operations, "progress", killed), times=1)
    whole = operations.progress

    def killed(*_args: Any, **_more: Any) -> bool:
        raise Killed

    with pytest.raises(Killed):
        run_due()
    assert replicas(fake, service) == 0
    monkeypatch.setattr(operations, "progress", whole)
    time_passes(minutes=1)
    assert operations.resume() == 1
    assert ended(restore).error == "node-1: the disk is broken."
    assert replicas(fake, service) == 3


def test_a_container_of_nobodys_service_is_named_before_anything_stops(
    restore: Restore, service: Service, fake: FakeEngine
) -> None:
    mounts = [{"Type": "volume", "Name": "data"}]
    fake.state["containers"]["by hand"] = {
        "Id": "c1",
        "Names": ["/by-hand"],
        "Mounts": mounts,
        "Labels": {},
        "State": "running",
    }
    assert "by-hand uses the volume" in ended(restore).error
    assert replicas(fake, service) == 3


def test_a_cancelled_restore_is_recorded_as_cancelled(
    restore: Restore, service: Service, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    assert restore.operation_id
    url = reverse("cancel_operation", args=[restore.operation_id])
    client_for(operator).post(url)
    assert "Cancelled by" in ended(restore).error
    assert restore.outcome == Outcome.CANCELLED
    assert replicas(fake, service) == 3
