"""The page on which an environment is restored: the plan first, and nothing by accident."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups import jobs, recovery, restic
from backups.agent import tags as tagging
from backups.manifest import Manifest, serialise
from backups.models import Outcome, Repository, Restore, Snapshot
from backups.parts import Environment, VolumePart
from backups.restoring import REFUSED
from clusters.models import Cluster, Node, Volume
from medstack import operations
from medstack.models import Company, Event, Operation, User
from tests.fake_engine import FakeEngine
from tests.test_plan import ENVIRONMENT, NETWORK, part, service

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SMALL = Environment(
    services=(service("web"),),
    networks=(NETWORK,),
    node_labels=({"ID": "old", "Hostname": "old-1", "Role": "manager", "Labels": {}},),
    nodes=({"ID": "old", "Name": "old-1"},),
)


@pytest.fixture
def engine(node: Node, tmp_path: Path) -> Iterator[FakeEngine]:
    """Put a manager that knows its one node behind the node."""
    with FakeEngine(tmp_path / "docker.sock") as fake:
        Node.objects.filter(pk=node.pk).update(endpoint_url=fake.url)
        fake.info = {**fake.info, "Swarm": {"ControlAvailable": True, "NodeID": node.swarm_node_id}}
        fake.state["nodes"][node.swarm_node_id] = {
            "ID": node.swarm_node_id,
            "Version": {"Index": 5},
            "Spec": {"Name": "", "Role": "manager", "Labels": {}, "Availability": "active"},
            "Description": {"Hostname": "host-1"},
            "Status": {"State": "ready"},
        }
        yield fake


def snapshot_of(
    cluster: Cluster, environment: Environment = SMALL, *volumes: VolumePart, **more: Any
) -> Snapshot:
    """Make a snapshot of an environment with a volume, as the console keeps it."""
    found = Manifest(
        cluster=cluster.slug,
        due=NOON,
        state="complete",
        reasons=(),
        environment=environment,
        volumes=volumes or (part("old-1", "data"),),
    )
    values = {"state": "complete", "manifest": serialise(found).decode()} | more
    return Snapshot.objects.create(cluster=cluster, due=NOON, **values)


def page_of(snapshot: Snapshot, query: str = "") -> str:
    return reverse("restore_environment", args=[snapshot.cluster.slug, snapshot.pk]) + query


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_plan_shows_what_would_be_created_where(
    browser: Client, cluster: Cluster, engine: FakeEngine
) -> None:
    answer = browser.get(page_of(snapshot_of(cluster)))
    assert answer.status_code == 200
    created = [(item.kind, item.name) for item in answer.context["plan"].created]
    assert created == [("network", "backend"), ("volume", "data"), ("service", "web")]
    assert "In place of old-1" in text_of(answer) and "holds data" in text_of(answer)
    assert not Restore.objects.exists()


def test_typing_the_name_of_the_cluster_starts_the_operation_and_is_an_event(
    browser: Client, cluster: Cluster, engine: FakeEngine, operator: User
) -> None:
    snapshot = snapshot_of(cluster)
    answer = browser.post(page_of(snapshot), {"confirmation": cluster.name})
    row = Restore.objects.get()
    assert answer.url == reverse("restore", args=[cluster.slug, row.pk])  # type: ignore[attr-defined]
    assert (row.mode, row.outcome, row.requested_by) == ("environment", Outcome.RUNNING, operator)
    assert row.plan["nodes"] == {"old-1": "node-1"}
    assert row.expected == {"files": 3, "bytes": 4096}
    assert Operation.objects.get(kind="environment.restore").target_id == row.pk
    event = Event.objects.get(action="restore.requested")
    assert event.after
    assert event.actor == operator and event.after["nodes"] == {"old-1": "node-1"}
    assert browser.get(answer.url).status_code == 200  # type: ignore[attr-defined]


@pytest.mark.parametrize("typed", ["", "production", "another"])
def test_without_the_exact_name_nothing_is_restored(
    browser: Client, cluster: Cluster, engine: FakeEngine, typed: str
) -> None:
    answer = browser.post(page_of(snapshot_of(cluster)), {"confirmation": typed})
    assert answer.status_code == 422
    assert answer.context["form"].errors["confirmation"]
    assert not Restore.objects.exists()


def test_warnings_have_to_be_accepted(
    browser: Client, cluster: Cluster, engine: FakeEngine
) -> None:
    bare = Environment(
        services=(service("web", container={"Image": "app:1"}),), networks=(NETWORK,)
    )
    snapshot = snapshot_of(cluster, bare)
    answer = browser.post(page_of(snapshot), {"confirmation": cluster.name})
    assert answer.status_code == 422
    assert "Accept the warnings first" in text_of(answer)
    browser.post(page_of(snapshot), {"confirmation": cluster.name, "accept": "on"})
    assert "The digest" in Restore.objects.get().plan["warnings"][0]


def test_a_volume_that_is_there_stops_it_before_anything_is_touched(
    browser: Client, cluster: Cluster, node: Node, engine: FakeEngine
) -> None:
    Volume.objects.create(node=node, name="data", observed_at=timezone.now())
    answer = browser.post(page_of(snapshot_of(cluster)), {"confirmation": cluster.name})
    assert answer.status_code == 422
    assert "its data is not touched" in text_of(answer)
    assert not Restore.objects.exists()
    assert not [call for call in engine.calls if call.startswith("POST")]


def test_an_environment_goes_to_another_cluster_of_the_company_only(
    browser: Client, company: Company, cluster: Cluster, engine: FakeEngine, stranger: User
) -> None:
    other = Cluster.objects.create(company=company, name="Spare", slug="spare", swarm_id="s2")
    Node.objects.filter(cluster=cluster).update(cluster=other)
    snapshot = snapshot_of(cluster)
    answer = browser.get(page_of(snapshot, "?cluster=spare"))
    assert answer.context["target"] == other
    browser.post(page_of(snapshot, "?cluster=spare"), {"confirmation": "Spare"})
    assert Restore.objects.get().cluster == other
    theirs = Company.objects.get(name="Elsewhere")
    Cluster.objects.create(company=theirs, name="X", slug="theirs", swarm_id="s3")
    assert browser.get(page_of(snapshot, "?cluster=theirs")).status_code == 404


def test_what_holds_nothing_and_clusters_without_a_node_say_so(
    browser: Client, cluster: Cluster, engine: FakeEngine
) -> None:
    empty = snapshot_of(cluster, manifest="", state="failed")
    assert "it holds nothing to restore" in text_of(browser.get(page_of(empty)))
    Snapshot.objects.filter(pk=empty.pk).update(purged_at=NOON, purge_reason="Too old.")
    assert "was purged on 2026-03-01" in text_of(browser.get(page_of(empty)))
    Cluster.objects.update(swarm_id="")
    assert "No cluster has a node yet" in text_of(browser.get(page_of(empty)))


def test_a_manager_that_does_not_answer_is_an_error_in_words(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    assert "No manager answers" in text_of(browser.get(page_of(snapshot_of(cluster))))


def test_the_public_address_of_the_load_balancer_has_to_be_one(
    browser: Client, cluster: Cluster, engine: FakeEngine
) -> None:
    snapshot = snapshot_of(cluster, ENVIRONMENT, part("a", "data"))
    answer = browser.get(page_of(snapshot, "?address=nonsense"))
    assert answer.status_code == 422
    assert "address" in answer.context["map_form"].errors


# The command line


def run(*words: str) -> str:
    """Run `manage.py restore environment` with these words; return what it printed."""
    out = io.StringIO()
    call_command("restore", "environment", *words, stdout=out)
    return out.getvalue()


def test_the_command_line_prints_the_plan_and_queues_the_restore(
    cluster: Cluster, engine: FakeEngine
) -> None:
    snapshot_of(cluster)
    shown = run("production", "--to", "production", "--plan")
    assert "old-1 -> node-1" in shown and "service web" in shown
    assert not Restore.objects.exists()
    shown = run("production@2026-03-01T12:00", "--to", "production", "--map", "old-1=node-1")
    assert "is queued" in shown
    assert Restore.objects.get().requested_by_name == "MedStack Control"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["production", "--to", "nowhere"], "No cluster is called “nowhere”"),
        (["production@yesterday", "--to", "production"], "is no time"),
        (["production@2026-03-02T12:00", "--to", "production"], "There is no snapshot"),
        (["other", "--to", "production"], "There is no snapshot “other”"),
        (["--to", "production"], "Say which snapshot"),
        (["production", "--to", "production", "--map", "x"], "no map of a node"),
        (["production", "--to", "production", "--map", "x=node-1"], "has no node “x”, only old-1"),
        (["production", "--to", "production", "--map", "old-1=y"], "no node “y”, only node-1"),
    ],
)
def test_bad_words_are_refused_before_anything_is_made(
    cluster: Cluster, engine: FakeEngine, words: list[str], complaint: str
) -> None:
    snapshot_of(cluster)
    with pytest.raises(CommandError, match=complaint) as refused:
        run(*words)
    assert refused.value.returncode == 1
    assert not Restore.objects.exists()


def test_a_conflict_ends_the_command_with_another_code(
    cluster: Cluster, node: Node, engine: FakeEngine
) -> None:
    snapshot_of(cluster)
    engine.state["volumes"]["data"] = {"Name": "data", "Driver": "local"}
    with pytest.raises(CommandError, match="its data is not touched") as refused:
        run("production", "--to", "production")
    assert refused.value.returncode == REFUSED


def test_the_command_line_accepts_warnings_only_when_told(
    cluster: Cluster, engine: FakeEngine
) -> None:
    bare = service("web", container={"Image": "app:1"})
    snapshot_of(cluster, Environment(services=(bare,), networks=(NETWORK,)))
    with pytest.raises(CommandError, match="accept the warnings first") as refused:
        run("production", "--to", "production", "--map", "old-1=node-1")
    assert refused.value.returncode == REFUSED
    assert not Restore.objects.exists()
    run("production", "--to", "production", "--map", "old-1=node-1", "--yes")
    assert Restore.objects.get().plan["warnings"]


def test_a_sheet_of_another_cluster_or_none_at_all_is_refused(
    cluster: Cluster, engine: FakeEngine, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet"
    sheet.write_text("nothing")
    with pytest.raises(CommandError, match="no recovery sheet"):
        run("--to", "production", "--sheet", str(sheet))
    sheet.write_text(recovery.make("other", "Other", restic.Repository("/nowhere", "x"), NOON))
    with pytest.raises(CommandError, match="of the cluster “other”, not of “production”"):
        run("production", "--to", "production", "--sheet", str(sheet))
    assert Cluster.objects.count() == 1


def test_an_empty_console_restores_from_the_sheet_alone(
    company: Company,
    cluster: Cluster,
    engine: FakeEngine,
    tmp_path: Path,
    settings: LazySettings,
) -> None:
    kept = restic.Repository(str(tmp_path / "lost-1"), "of-the-lost-console")
    restic.initialise(kept)
    found = Manifest(
        cluster="lost",
        due=NOON,
        state="complete",
        reasons=(),
        environment=SMALL,
        volumes=(part("old-1", "data"),),
    )
    content, tags = io.BytesIO(serialise(found)), tagging.tags("manifest", NOON)
    restic.backup_stdin(kept, content, "manifest.json", host=tagging.CONSOLE, tags=tags)
    sheet = tmp_path / "sheet"
    sheet.write_text(recovery.make("lost", "Lost", kept, NOON))
    settings.REPOSITORIES_ROOT = tmp_path

    shown = run("--sheet", str(sheet), "--to", "production", "--company", company.name)
    assert "1 snapshots" in shown and "service web" in shown and "is queued" in shown
    row = Restore.objects.get()
    assert (row.snapshot.cluster.slug, row.cluster) == ("lost", cluster)


def test_a_wrong_password_is_said_before_anything_is_made(
    company: Company,
    cluster: Cluster,
    engine: FakeEngine,
    tmp_path: Path,
    settings: LazySettings,
) -> None:
    settings.REPOSITORIES_ROOT = tmp_path
    restic.initialise(restic.Repository(str(tmp_path / "lost-1"), "of-the-lost-console"))
    guessed = restic.Repository(str(tmp_path / "lost-1"), "guessed")
    sheet = tmp_path / "sheet"
    sheet.write_text(recovery.make("lost", "Lost", guessed, NOON))
    with pytest.raises(CommandError, match="password"):
        run("--sheet", str(sheet), "--to", "production", "--company", company.name)
    assert Cluster.objects.count() == 1


# The operation


def test_a_node_without_room_ends_it_before_anything_is_made(
    browser: Client,
    cluster: Cluster,
    engine: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "follow", lambda *_args, **_more: {"free": 4095, "needed": 4096})
    repository = Repository.objects.create(
        cluster=cluster, folder="production-1", password="x", node_access='{"password": "y"}'
    )
    snapshot = snapshot_of(cluster, repository=repository)
    browser.post(page_of(snapshot), {"confirmation": cluster.name})
    row = Restore.objects.get()
    assert row.operation
    operations.advance(row.operation.pk)
    row.refresh_from_db()
    assert "node-1 has no room" in row.operation.error
    assert "Nothing was changed" in row.operation.error
    assert row.outcome == Outcome.FAILED and row.result["done"] == ["Look at the cluster"]
    assert not [call for call in engine.calls if call.startswith("POST")]
    page = text_of(browser.get(reverse("restore", args=[cluster.slug, row.pk])))
    assert "Deploy the services" in page and "Restore once more" in page


def test_a_conflict_that_comes_after_the_plan_ends_it_before_anything_is_made(
    browser: Client, cluster: Cluster, engine: FakeEngine
) -> None:
    browser.post(page_of(snapshot_of(cluster)), {"confirmation": cluster.name})
    engine.state["volumes"]["data"] = {"Name": "data", "Driver": "local"}
    row = Restore.objects.get()
    assert row.operation
    operations.advance(row.operation.pk)
    row.refresh_from_db()
    assert "its data is not touched" in row.operation.error
    assert row.outcome == Outcome.FAILED
    assert not [call for call in engine.calls if call.startswith("POST")]
