"""`manage.py restore volume`: for scripts, and for a console that has lost everything it knew."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.core.management.base import CommandError

from backups import jobs, recovery, restic
from backups.agent.tags import CONSOLE, tags
from backups.manifest import Manifest, serialise
from backups.models import Outcome, Repository, Restore
from backups.restoring import FAILED, REFUSED
from clusters.models import Cluster, Node
from medstack.models import Company
from medstack.operations import Waiting
from tests.catalogues import filled, protected
from tests.fake_engine import FakeEngine
from tests.test_plan import ENVIRONMENT, part
from tests.unwell import attach, fake_engines

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = ("--to=production/node-1", "--name=back")


@pytest.fixture
def fake(tmp_path: Path, node: Node) -> Any:
    with fake_engines(tmp_path) as start:
        found = start()
        attach(node, found)
        yield found


@pytest.fixture
def catalogue(cluster: Cluster, node: Node) -> None:
    """Let there be backups of two hours, in a repository that nobody has to reach."""
    repository = protected(cluster, NOON)
    Repository.objects.update(node_access='{"password": "y"}', initialised_at=NOON)
    filled(cluster, node, repository, first=NOON, hours=2, volumes=("data",))


def run(*words: str) -> str:
    said = io.StringIO()
    call_command("restore", "volume", *words, stdout=said)
    return said.getvalue()


def answering(monkeypatch: pytest.MonkeyPatch, **counts: int) -> None:
    """Let the containers on the node count what they are told to, after a while."""
    asked: list[str] = []

    def follow(*_args: Any, name: str = "", **_more: Any) -> dict[str, int] | Waiting:
        asked.append(name)
        if asked.count(name) == 1:
            return Waiting("node-1: 1 of 2 MB", fraction=0.5, again_in=0)
        return {"free": 10**9} if name == "room" else {"seconds": 1, **counts}

    monkeypatch.setattr(jobs, "follow", follow)


def test_it_is_carried_to_its_end_where_no_worker_runs(
    catalogue: None, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, files=120, bytes=2_000_000)
    said = run("production/node-1/data@2026-03-01T12:30", *HERE, "--wait")
    assert "1 of 2 MB" in said and "100 %" in said
    assert "120 files and 2,000,000 bytes came back, as the manifest says" in said
    row = Restore.objects.get()
    assert (row.outcome, row.snapshot.due) == (Outcome.PASSED, NOON)
    assert "POST /volumes/create" in fake.calls


def test_fewer_files_than_the_manifest_counted_are_a_failure(
    catalogue: None, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, files=119, bytes=2_000_000)
    with pytest.raises(CommandError, match=r"119 files .* the manifest says 120") as failed:
        run("production/node-1/data", *HERE, "--wait")
    assert failed.value.returncode == FAILED
    assert Restore.objects.get().outcome == Outcome.FAILED
    # What was begun is gone.
    assert not fake.state["volumes"]


def test_without_room_nothing_is_made_or_stopped(
    catalogue: None, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "follow", lambda *_args, **_more: {"free": 1_999_999})
    with pytest.raises(CommandError, match="node-1 has no room: the backup needs 2 MB") as failed:
        run("production/node-1/data", *HERE, "--wait")
    assert failed.value.returncode == FAILED
    assert not [one for one in fake.calls if one.startswith("POST")]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["data", *HERE], "Name a backup as CLUSTER/NODE/VOLUME"),
        (["production/node-1/other", *HERE], "There is no backup"),
        (["production/node-1/data@2026-03-01T11:00", *HERE], "There is no backup"),
        (["production/node-1/data@noon", *HERE], "“noon” is no time"),
        (["production/node-1/data", "--to=production/x", "--name=back"], "There is no node"),
        (["production/node-1/data", "--to=production/node-1", "--name=a/b"], "is no name for a"),
        (["production/node-1/data", *HERE, "--sheet=/nowhere"], "No such file"),
    ],
)
def test_bad_words_are_refused_before_anything_is_made(
    catalogue: None, words: list[str], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint) as refused:
        run(*words)
    assert refused.value.returncode == 1
    assert not Restore.objects.exists()


def test_the_nodes_of_another_company_are_refused_with_another_code(catalogue: None) -> None:
    company = Company.objects.create(name="Elsewhere")
    other = Cluster.objects.create(company=company, name="Other", slug="other", swarm_id="s2")
    Node.objects.create(cluster=other, name="node-9", swarm_node_id="n9")
    with pytest.raises(CommandError, match="of its own company only") as refused:
        run("production/node-1/data", "--to=other/node-9", "--name=back")
    assert refused.value.returncode == REFUSED
    assert not Restore.objects.exists()


def test_an_empty_console_restores_a_volume_from_the_sheet_alone(
    cluster: Cluster,
    company: Company,
    fake: FakeEngine,
    tmp_path: Path,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = restic.Repository(str(tmp_path / "lost-1"), "of-the-lost-console")
    restic.initialise(kept)
    found = Manifest(
        cluster="lost",
        due=NOON,
        state="complete",
        reasons=(),
        environment=ENVIRONMENT,
        volumes=(part("old-1", "data"),),
    )
    restic.backup_stdin(
        kept,
        io.BytesIO(serialise(found)),
        "manifest.json",
        host=CONSOLE,
        tags=tags("manifest", NOON),
    )
    sheet = tmp_path / "sheet"
    sheet.write_text(recovery.make("lost", "Lost", kept, NOON + timedelta(days=1)))
    settings.REPOSITORIES_ROOT = tmp_path

    with pytest.raises(CommandError, match="of the cluster “lost”, not of “production”"):
        run("production/old-1/data", *HERE, f"--sheet={sheet}")
    assert not Cluster.objects.filter(slug="lost").exists()

    size = {"files": found.volumes[0].files, "bytes": found.volumes[0].bytes}
    answering(monkeypatch, **size)
    said = run("lost/old-1/data", *HERE, f"--sheet={sheet}")
    assert "1 snapshots and 1 backups" in said and "is queued" in said
    row = Restore.objects.get()
    assert (row.snapshot.cluster.slug, row.cluster, row.expected) == ("lost", cluster, size)
