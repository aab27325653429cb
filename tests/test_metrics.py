"""What monitoring may know: whether the console serves, and the numbers of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client.parser import text_string_to_metric_families

from backups.models import Drill, Outcome, Protection, Snapshot
from medstack.models import Company, Operation, User
from tests.belongings import Belongings, belongings
from tests.programs import program, token_of

WHOLE = "the-installation-s-own-token"
Samples = dict[tuple[str, ...], float]


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    cache.clear()
    found = belongings(company, "ours", owner)
    Protection.objects.create(cluster=found.cluster, since=timezone.now() - timedelta(days=9))
    return found


@pytest.fixture
def theirs(stranger: User) -> Belongings:
    return belongings(stranger.companies.get(), "theirs", stranger)


def numbers(token: str) -> Samples:
    """Read all samples: name and values of the labels."""
    answer = program(token).get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_age_of_the_last_complete_snapshot_is_told_for_each_cluster(
    ours: Belongings, auditor: User
) -> None:
    hour = timedelta(hours=1)
    Snapshot.objects.update(due=timezone.now() - 3 * hour)
    Snapshot.objects.create(
        cluster=ours.cluster, due=timezone.now() - hour, state=Snapshot.State.FAILED
    )
    found = numbers(token_of(auditor, "auditor"))
    age = found["medstack_snapshot_age_seconds", ours.cluster.slug]
    assert 3 * 3600 <= age < 3 * 3600 + 600
    assert found["medstack_snapshots_unsound_total", ours.cluster.slug, "failed"] == 1


def test_a_cluster_without_any_complete_snapshot_ages_from_its_protection_on(
    ours: Belongings, auditor: User
) -> None:
    Snapshot.objects.update(state=Snapshot.State.FAILED)
    token = token_of(auditor, "auditor")
    age = "medstack_snapshot_age_seconds", ours.cluster.slug
    assert numbers(token)[age] >= 9 * 24 * 3600
    Protection.objects.update(ended_at=timezone.now())
    assert age not in numbers(token)


def test_failures_and_durations_of_operations_are_told(ours: Belongings, auditor: User) -> None:
    now = timezone.now()
    rows = Operation.objects.filter(pk=ours.operation.pk)
    token = token_of(auditor, "auditor")
    assert numbers(token)["medstack_operations_active", "queued"] == 1
    rows.update(state="failed", started_at=now, ended_at=now)
    assert numbers(token)["medstack_operations_failed_total", "ours-cluster", "service.apply"] == 1
    rows.update(state="done", ended_at=now + timedelta(seconds=7))
    found = numbers(token)
    name = "medstack_operation_duration_seconds"
    assert found[f"{name}_bucket", "service.apply", "5.0"] == 0
    assert found[f"{name}_bucket", "service.apply", "15.0"] == 1
    assert found[f"{name}_bucket", "service.apply", "+Inf"] == 1
    assert found[f"{name}_count", "service.apply"] == 1
    assert found[f"{name}_sum", "service.apply"] == 7
    Drill.objects.create(volume_backup=ours.backup, outcome=Outcome.FAILED)
    assert numbers(token)["medstack_drills_failed_total", ours.cluster.slug] == 1


def test_a_companys_token_sees_the_companys_numbers_and_the_installations_own_all(
    ours: Belongings, theirs: Belongings, auditor: User, settings: Any
) -> None:
    settings.METRICS_TOKENS = [WHOLE]
    Snapshot.objects.update(state=Snapshot.State.FAILED)
    name = "medstack_snapshots_unsound_total"
    mine = numbers(token_of(auditor, "auditor"))
    assert (name, "ours-cluster", "failed") in mine
    assert not [key for key in mine if "theirs-cluster" in key]
    assert ("medstack_queue_tasks",) not in mine
    everything = numbers(WHOLE)
    assert (name, "ours-cluster", "failed") in everything
    assert (name, "theirs-cluster", "failed") in everything
    assert everything["medstack_queue_tasks",] == OrmQ.objects.count()


@pytest.mark.parametrize("token", ["", "wrong", "Ünïcode"])
def test_nobody_else_sees_any_number(token: str, ours: Belongings, settings: Any) -> None:
    for tokens in ([], [WHOLE]):
        settings.METRICS_TOKENS = tokens
        for header in (f"Bearer {token}", token, ""):
            answer = Client(headers={"authorization": header}).get("/metrics")
            assert answer.status_code == 401
            assert "ours" not in answer.text


def test_health_says_when_the_database_does_not_answer(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Client().get("/healthz").json() == {"status": "ok"}

    def broken(*args: object) -> None:
        raise OperationalError("password of medstack is wrong")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", broken)
        answer = Client().get("/healthz")
    assert answer.status_code == 503
    assert "password" not in answer.text
