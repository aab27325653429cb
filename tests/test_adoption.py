"""Adoption: the repository's reports become rows, late ones and doubled ones included."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from backups import opening, restic
from backups.agent.tags import tags
from backups.manifest import serialise
from backups.models import Protection, Repository, Snapshot, VolumeBackup
from backups.parts import Environment, Report, Trigger, VolumePart
from backups.tasks import repository as repositories
from backups.tasks.adoption import look
from clusters.models import Cluster, Node
from medstack.models import Event
from medstack.models.events import SYSTEM
from tests.stores import PASSWORD

DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
SOON = DUE + timedelta(minutes=2)


@pytest.fixture
def repository(cluster: Cluster, tmp_path: Path, settings: Any) -> Repository:
    settings.REPOSITORIES_ROOT, settings.BACKUPS = tmp_path, True
    row = Repository.objects.create(
        cluster=cluster, folder="f", password=PASSWORD, initialised_at=DUE
    )
    repositories.make_folder(row)
    Protection.objects.create(cluster=cluster, since=DUE - timedelta(hours=1))
    return row


@pytest.fixture
def two(cluster: Cluster, node: Node) -> None:
    """Two nodes that were there long before."""
    Node.objects.filter(pk=node.pk).update(name="one", created_at=DUE - timedelta(days=9))
    other = Node.objects.create(cluster=cluster, name="two", swarm_node_id="two")
    Node.objects.filter(pk=other.pk).update(created_at=DUE - timedelta(days=9))


def volume(row: Repository, tmp_path: Path, node: str, due: datetime = DUE) -> VolumePart:
    """Store a volume as an agent does."""
    folder = tmp_path / "volumes" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text("content")
    repository = opening.for_console(row)
    labels = tags("volume", due, "data")
    restic.backup(repository, [folder], host=node, tags=labels)
    found = restic.snapshots(repository, tags=labels)[-1]
    return VolumePart(
        node=node,
        volume="data",
        state="captured",
        snapshot=found.id,
        tree=found.tree,
        files=1,
        bytes=7,
    )


def report(
    row: Repository,
    node: str,
    *parts: VolumePart,
    due: datetime = DUE,
    environment: bool = False,
    cluster: str = "",
    trigger: Trigger = "hourly",
) -> None:
    """Put a node's report into the repository."""
    content = serialise(
        Report(
            cluster=cluster or row.cluster.slug,
            due=due,
            node=node,
            seen=tuple(part.volume for part in parts),
            volumes=parts,
            environment=Environment() if environment else None,
            trigger=trigger,
            started=due,
            finished=due + timedelta(seconds=30),
        )
    )
    restic.backup_stdin(
        opening.for_console(row),
        io.BytesIO(content),
        "report.json",
        host=node,
        tags=tags("report", due),
    )


def only(cluster: Cluster) -> Snapshot:
    return Snapshot.objects.get(cluster=cluster)


def test_an_hour_is_complete_when_every_node_has_reported(
    repository: Repository, cluster: Cluster, two: None, tmp_path: Path
) -> None:
    report(repository, "one", volume(repository, tmp_path, "one"), environment=True)
    with time_machine.travel(SOON):
        look(cluster.pk)
    assert only(cluster).state == "taking"
    report(repository, "two")
    with time_machine.travel(SOON):
        look(cluster.pk)
        look(cluster.pk)
    found = only(cluster)
    assert (found.state, found.due, found.reasons) == ("complete", DUE, [])
    backup = VolumeBackup.objects.get()
    assert (backup.node_name, backup.files, backup.state) == ("one", 1, "captured")
    # The manifest stands in the repository, byte by byte.
    kept = restic.snapshots(opening.for_console(repository), tags=["kind:manifest"])
    content = restic.dump(opening.for_console(repository), kept[-1].id, "/manifest.json")
    assert b"".join(content).decode() == found.manifest
    assert Event.objects.filter(action="snapshot.complete").count() == 1


def test_a_node_that_is_silent_for_half_an_hour_makes_it_partial_and_a_late_report_mends_it(
    repository: Repository, cluster: Cluster, two: None, tmp_path: Path
) -> None:
    report(repository, "one", environment=True)
    with time_machine.travel(DUE + timedelta(minutes=31)):
        look(cluster.pk)
        assert only(cluster).state == "partial"
        assert only(cluster).reasons == ['Node "two" did not report.']
        report(repository, "two", volume(repository, tmp_path, "two"))
        look(cluster.pk)
    assert only(cluster).state == "complete"
    assert VolumeBackup.objects.get().node_name == "two"


def test_a_doubled_report_changes_nothing(
    repository: Repository, cluster: Cluster, two: None
) -> None:
    for _ in range(2):
        report(repository, "one", environment=True)
        report(repository, "two")
    with time_machine.travel(SOON):
        look(cluster.pk)
    assert only(cluster).state == "complete"


def test_data_that_the_repository_does_not_have_is_a_failure(
    repository: Repository, cluster: Cluster, two: None, tmp_path: Path
) -> None:
    part = volume(repository, tmp_path, "one")
    report(repository, "one", replace(part, snapshot="f" * 64), environment=True)
    report(repository, "two")
    with time_machine.travel(SOON):
        look(cluster.pk)
    assert only(cluster).state == "partial"
    assert "not in the repository" in VolumeBackup.objects.get().reason


def test_a_report_of_another_cluster_is_left_alone_and_named(
    repository: Repository, cluster: Cluster, two: None
) -> None:
    report(repository, "one", environment=True, cluster="somebody-elses")
    with time_machine.travel(SOON):
        look(cluster.pk)
    assert not Snapshot.objects.exists()
    assert "somebody-elses" in Protection.objects.get().look_error


def test_three_hours_that_agents_took_alone_are_all_adopted(
    repository: Repository, cluster: Cluster, two: None
) -> None:
    for hours in range(3):
        due = DUE + timedelta(hours=hours)
        report(repository, "one", environment=True, due=due)
        report(repository, "two", due=due)
    with time_machine.travel(DUE + timedelta(hours=2, minutes=5)):
        look(cluster.pk)
    assert [row.state for row in Snapshot.objects.all()] == ["complete"] * 3


def test_an_hour_of_which_nothing_arrives_is_missed_until_something_does(
    repository: Repository, cluster: Cluster, two: None
) -> None:
    with time_machine.travel(DUE + timedelta(minutes=64)):
        look(cluster.pk)
        assert not Snapshot.objects.exists()
    with time_machine.travel(DUE + timedelta(minutes=66)):
        look(cluster.pk)
    assert only(cluster).state == "missed"
    assert Event.objects.filter(action="snapshot.missed").count() == 1
    report(repository, "one", environment=True)
    report(repository, "two")
    with time_machine.travel(DUE + timedelta(minutes=67)):
        look(cluster.pk)
    assert Snapshot.objects.get(due=DUE).state == "complete"


def test_a_volume_that_shrank_strangely_is_plausible_no_more(
    repository: Repository, cluster: Cluster, two: None, tmp_path: Path
) -> None:
    big = replace(volume(repository, tmp_path, "one"), files=1000, bytes=10**9)
    report(repository, "one", big, environment=True)
    report(repository, "two")
    later = DUE + timedelta(hours=1)
    report(
        repository, "one", volume(repository, tmp_path, "one", later), environment=True, due=later
    )
    report(repository, "two", due=later)
    with time_machine.travel(later + timedelta(minutes=2)):
        look(cluster.pk)
    newest, first = VolumeBackup.objects.all()
    assert (first.verification, newest.verification) == ("plausible", "recorded")
    assert "Only" in newest.suspicion


def test_the_end_of_the_audit_chain_stands_in_the_manifest(
    repository: Repository, cluster: Cluster, two: None
) -> None:
    from medstack import sealing

    Event.objects.record("test.happened", None, by=SYSTEM, company=cluster.company)
    sealing.seal(cluster.company_id)
    report(repository, "one", environment=True)
    report(repository, "two")
    with time_machine.travel(SOON):
        look(cluster.pk)
    assert json.loads(only(cluster).manifest)["anchor"] == {
        "number": 1,
        "hash": Event.objects.get(action="test.happened").seal.hash,
    }
