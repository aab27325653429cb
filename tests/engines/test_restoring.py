"""Backups through the pages, on real nodes: taken, proven, brought back, expired."""

import io
import json
from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import QuerySet
from django.utils import timezone

from backups import opening, restic
from backups.models import (
    Drill,
    Protection,
    Repository,
    RepositoryCheck,
    Restore,
    Snapshot,
    VolumeBackup,
)
from backups.tasks.adoption import look
from clusters import local
from clusters.gateway import on_node
from clusters.models import Cluster, Volume
from medstack.models import Event
from tests.engines.acting import deploy
from tests.engines.conftest import IMAGE, World, work_until

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]
SCRIPT = (
    "mkdir -p '/data/ö dir/.x' && echo keep > '/data/ö dir/.x/a b'"
    " && ln -s 'a b' '/data/ö dir/.x/l'"
    " && head -c 3000000 /dev/urandom > /data/big && chmod 640 /data/big && chown 12:34 /data/big"
    " && touch '/data/-n' && mkdir -m 1777 /data/sticky && mkfifo /data/pipe && sync"
)


def run_on(world: World, node: str, volume: str, command: str) -> str:
    """Run a shell command over a volume, in a container that is gone afterwards."""
    with on_node(world.node(node), timeout=30) as engine:
        body = {
            "Image": IMAGE,
            "Entrypoint": ["sh", "-c", command],
            "User": "0",
            "HostConfig": {
                "Mounts": [{"Type": "volume", "Source": volume, "Target": "/data"}],
            },
        }
        name = "medstack-test-shell"
        engine.container_remove(name)
        engine.container_create(name, body)
        engine.container_start(name)
        work_until(lambda: engine.container(name)["State"]["Status"] == "exited")
        with engine.container_logs(name, tail=1000) as lines:
            said = "\n".join(line.text for line in lines if line)
        code = engine.container(name)["State"]["ExitCode"]
        engine.container_remove(name)
    assert code == 0, said
    return said


def listing(world: World, node: str, volume: str) -> str:
    """Return names, kinds, modes, owners, sizes and digests of all that a volume holds."""
    return run_on(
        world,
        node,
        volume,
        "cd /data && find . | sort | while IFS= read -r f; do stat -c '%n %F %a %u:%g %s' \"$f\";"
        ' [ -f "$f" ] && [ ! -L "$f" ] && sha256sum < "$f"; done; true',
    )


@pytest.fixture(scope="module")
def cluster(world: World, repository_server: Path) -> World:
    """Two nodes with agents, a volume with odd files on one, and a service that uses it."""
    world.add_node("one")
    world.done()
    world.add_node("two")
    world.done()
    world.load_images()
    world.post("docker/volumes/new/", name="data", node=world.node("one").pk, kind="local")
    world.done()
    run_on(world, "one", "data", SCRIPT)
    return world


@pytest.fixture(scope="module")
def elsewhere(cluster: World) -> Iterator[World]:
    """Another cluster of the same company, with a node of its own."""
    found = copy(cluster)
    found.client.post("/clusters/new/", {"name": "Elsewhere", "company": found.company.pk})
    found.cluster = Cluster.objects.get(company=found.company, name="Elsewhere")
    found.url = f"/clusters/{found.cluster.slug}/"
    found.add_node("far")
    found.done()
    found.load_images()
    yield found
    local.destroy(found.node("far").local_name)


def take(world: World) -> Snapshot:
    """Press the button and carry it to its end."""
    world.post("backups/snapshots/now/")
    world.done()
    found = Snapshot.objects.filter(cluster=world.cluster, trigger="manual").first()
    assert found
    return found


def restorable(world: World) -> QuerySet[VolumeBackup]:
    """Return the backups of the volume, the newest first; other clusters' rows are there, too."""
    found = VolumeBackup.objects.restorable().filter(snapshot__cluster=world.cluster)
    return found.filter(volume_name="data").order_by("-due", "-pk")


def backup_of(snapshot: Snapshot, volume: str = "data") -> VolumeBackup:
    return VolumeBackup.objects.get(snapshot=snapshot, volume_name=volume)


def test_the_recovery_sheet_opens_the_repository_with_plain_restic(cluster: World) -> None:
    sheet = cluster.client.post(
        cluster.url + "backups/repository/sheet/", {"confirmation": cluster.cluster.name}
    )
    assert sheet.status_code == 200
    from backups.recovery import parse

    found = parse(sheet.content.decode(), cluster=cluster.cluster.slug)
    assert restic.exists(found.repository)
    assert Event.objects.filter(action="repository.sheet_downloaded").exists()


def test_the_test_sees_nodes_refused_to_delete(cluster: World) -> None:
    cluster.post("backups/repository/test/")
    operation = cluster.done()
    assert "Refused, as it must be" in operation.log
    assert Repository.objects.current().get(cluster=cluster.cluster).is_append_only


def test_a_snapshot_on_demand_is_complete_and_shows_everything(cluster: World) -> None:
    cluster.post("docker/secrets/new/", name="token", text="s3cret-value")
    cluster.done()
    found = take(cluster)
    assert (found.state, found.reasons) == ("complete", [])
    backup = backup_of(found)
    assert backup.bytes > 3_000_000
    manifest = json.loads(found.manifest)
    assert [one["name"] for one in manifest["environment"]["secrets"]] == ["token"]
    assert "s3cret-value" not in found.manifest
    assert manifest["environment"]["secrets"][0]["restorable"]
    page = cluster.page(f"backups/snapshots/{found.pk}/")
    assert "token" in page
    assert "Captured" in page
    assert "protected" in cluster.page("backups/coverage/").lower()


def test_the_hours_that_agents_took_alone_are_adopted(cluster: World) -> None:
    def adopted() -> bool:
        look(cluster.cluster.pk)
        rows = Snapshot.objects.filter(cluster=cluster.cluster, trigger="hourly")
        return rows.exclude(state="taking").exists()

    work_until(adopted, within=90)


def test_a_rebuilt_catalogue_equals_the_one_that_was_lost(cluster: World) -> None:
    kept = shown(cluster)
    assert kept
    # As after the loss of the console's database: only the repository is left.
    VolumeBackup.objects.filter(cluster=cluster.cluster).delete()
    Snapshot.objects.filter(cluster=cluster.cluster).delete()
    call_command("rebuild_catalogue", cluster.cluster.slug)
    assert shown(cluster) == kept


def shown(world: World) -> list[dict[str, Any]]:
    rows = VolumeBackup.objects.filter(cluster=world.cluster, purged_at=None)
    columns = ("due", "node_name", "volume_name", "restic_id", "tree", "files", "bytes")
    snapshots = Snapshot.objects.filter(cluster=world.cluster, purged_at=None).order_by("due")
    found = list(snapshots.exclude(manifest="").values("due", "trigger", "state", "manifest"))
    return found + list(rows.order_by(*columns[:3]).values(*columns))


def test_a_volume_comes_back_as_a_new_one_on_another_node(cluster: World) -> None:
    backup = restorable(cluster)[0]
    url = f"backups/volumes/{backup.pk}/restore/"
    two = cluster.node("two")
    cluster.post(url, node=two.pk, mode="new", name="back")
    cluster.done()
    assert listing(cluster, "two", "back") == listing(cluster, "one", "data")
    row = Restore.objects.get(volume_name="back")
    assert row.outcome == "passed"
    counts = {name: row.result[name] for name in ("files", "bytes")}
    assert counts == row.expected
    assert row.requested_by == cluster.user
    assert "Passed" in cluster.page(f"backups/restores/{row.pk}/")


def test_a_volume_comes_back_on_a_node_of_another_cluster_by_command_line(
    cluster: World, elsewhere: World
) -> None:
    said = io.StringIO()
    call_command(
        "restore",
        "volume",
        f"{cluster.cluster.slug}/one/data",
        f"--to={elsewhere.cluster.slug}/far",
        "--name=moved",
        "--wait",
        stdout=said,
    )
    assert "100 %" in said.getvalue() and "as the manifest says" in said.getvalue()
    assert listing(elsewhere, "far", "moved") == listing(cluster, "one", "data")
    row = Restore.objects.get(volume_name="moved")
    assert (row.cluster, row.snapshot.cluster) == (elsewhere.cluster, cluster.cluster)


def test_a_node_without_room_refuses_before_anything_is_saved_or_stopped(cluster: World) -> None:
    backup = restorable(cluster)[0]
    one = cluster.node("one")
    small = {"type": "tmpfs", "device": "tmpfs", "o": "size=64m"}
    with on_node(one) as engine:
        engine.volume_create({"Name": "small", "Driver": "local", "DriverOpts": small})
    cluster.refresh()
    url = f"backups/volumes/{backup.pk}/restore/"
    cluster.post(url, node=one.pk, mode="over", name="small", confirmation="small")
    said = cluster.failed()
    assert "one has no room: the backup needs 3 MB" in said and "Nothing was changed" in said
    assert not Snapshot.objects.filter(trigger="safety").exists()
    with on_node(one) as engine:
        engine.volume_remove("small")


def test_a_cancelled_restore_removes_what_it_began(cluster: World) -> None:
    backup = restorable(cluster)[0]
    two = cluster.node("two")
    cluster.post(f"backups/volumes/{backup.pk}/restore/", node=two.pk, mode="new", name="dropped")
    operation = cluster.last()

    def has_begun() -> bool:
        with on_node(two) as engine:
            return "dropped" in {one["Name"] for one in engine.volumes()}

    work_until(has_begun)
    assert "Cancel it" in cluster.client.get(operation.url).text
    cluster.client.post(f"/operations/{operation.pk}/cancel/")
    assert f"Cancelled by {cluster.user.email}" in cluster.failed()
    assert Restore.objects.get(volume_name="dropped").outcome == "cancelled"
    assert not has_begun()
    with on_node(two) as engine:
        assert not engine.containers(all=True, filters={"name": ["medstack-op-"]})


def test_an_existing_volume_is_not_touched_without_its_name(cluster: World) -> None:
    backup = restorable(cluster)[0]
    url = f"backups/volumes/{backup.pk}/restore/"
    one = cluster.node("one")
    cluster.refresh()
    text = cluster.post(url, 422, node=one.pk, mode="over", name="data")
    assert "Type data to overwrite it" in text
    text = cluster.post(url, 422, node=one.pk, mode="new", name="data")
    assert "has a volume of this name already" in text
    assert not Restore.objects.filter(volume_name="data").exists()


def test_over_an_existing_volume_with_its_service_stopped_meanwhile(cluster: World) -> None:
    volume = Volume.objects.present().get(node=cluster.node("one"), name="data")
    deploy(
        cluster,
        "writer",
        args="web",
        constraints="node.hostname==one",
        **{
            "volumes-0-volume": f"{volume.node.swarm_node_id}/{volume.name}",
            "volumes-0-path": "/srv/data",
        },
    )
    before = listing(cluster, "one", "data")
    backup = restorable(cluster)[0]
    run_on(cluster, "one", "data", "rm -rf /data/big '/data/ö dir' && echo new > /data/new")
    one = cluster.node("one")
    cluster.post(
        f"backups/volumes/{backup.pk}/restore/",
        node=one.pk,
        mode="over",
        name="data",
        confirmation="data",
    )
    cluster.done()
    assert listing(cluster, "one", "data") == before
    row = Restore.objects.get(volume_name="data")
    assert row.safety
    # What was overwritten can be had again.
    saved = backup_of(row.safety)
    assert saved.state == "captured"
    with cluster.manager() as manager:
        live = manager.service("writer")
    assert live["Spec"]["Mode"]["Replicated"]["Replicas"] == 1


def test_a_killed_restore_fails_in_words_and_leaves_nothing(cluster: World) -> None:
    backup = restorable(cluster)[0]
    two = cluster.node("two")
    cluster.post(f"backups/volumes/{backup.pk}/restore/", node=two.pk, mode="new", name="lost")
    operation = cluster.last()
    container = f"medstack-op-{operation.pk}"

    def killed() -> bool:
        with on_node(two) as engine:
            # Not the one that looked for room before.
            names = [one["Names"] for one in engine.containers(filters={"name": [container]})]
            if [f"/{container}"] in names:
                engine.container_kill(container)
            return [f"/{container}"] in names

    work_until(killed)
    assert "ended with code" in cluster.failed()
    with on_node(two) as engine:
        assert "lost" not in {one["Name"] for one in engine.volumes()}
        assert not engine.containers(all=True, filters={"name": ["medstack-op-"]})


def test_a_drill_proves_a_backup_and_removes_its_scratch(cluster: World) -> None:
    backup = restorable(cluster)[0]
    cluster.post(f"backups/volumes/{backup.pk}/drill/")
    cluster.done()
    backup.refresh_from_db()
    assert backup.verification == "drilled"
    drill = Drill.objects.get(volume_backup=backup)
    assert (drill.outcome, drill.differences) == ("passed", [])
    assert drill.duration is not None
    assert drill.node
    with on_node(drill.node) as engine:
        assert not [one for one in engine.volumes() if "drill" in one["Name"]]


def test_a_backups_files_are_listed_and_one_is_downloaded(cluster: World) -> None:
    backup = restorable(cluster).filter(snapshot__trigger="manual").reverse()[0]
    url = f"backups/volumes/{backup.pk}/files/"
    assert "ö dir/" in cluster.page(url)
    assert "a b" in cluster.page(url + "?path=%C3%B6%20dir/.x")
    answer = cluster.client.post(cluster.url + url + "download/", {"path": "ö dir/.x/a b"})
    assert b"".join(answer.streaming_content) == b"keep\n"  # type: ignore[attr-defined]
    event = Event.objects.filter(action="backup.file_downloaded").first()
    assert event
    assert event.after
    assert event.after["path"].endswith("/a b")
    outside = cluster.client.post(cluster.url + url + "download/", {"path": "../../report.json"})
    assert outside.status_code == 404


def test_what_no_rule_keeps_is_forgotten_and_stays_as_evidence(cluster: World) -> None:
    held, expired = take(cluster), take(cluster)
    old = timezone.now() - timedelta(days=40)
    for number, row in enumerate((held, expired)):
        # A month has one final: these two are not.
        due = (old - timedelta(days=5)).replace(microsecond=0) - timedelta(hours=number)
        Snapshot.objects.filter(pk=row.pk).update(due=due)
        VolumeBackup.objects.filter(snapshot=row).update(due=due)
    final = take(cluster)
    due = (old - timedelta(days=4)).replace(microsecond=0)
    Snapshot.objects.filter(pk=final.pk).update(due=due)
    VolumeBackup.objects.filter(snapshot=final).update(due=due)
    cluster.post(f"backups/snapshots/{held.pk}/hold/", reason="Case 12")
    page = cluster.page("backups/retention/")
    assert "Case 12" in page
    before = ids(cluster)
    gone = {*expired.part_ids, backup_of(expired).restic_id}
    assert gone <= before
    cluster.post("backups/retention/run/")
    cluster.done()
    expired.refresh_from_db()
    assert expired.purged_at
    assert "no rule" in expired.purge_reason
    assert not gone & ids(cluster)
    held.refresh_from_db()
    assert held.purged_at is None
    assert backup_of(held).restic_id in ids(cluster)
    # A second run finds nothing to delete.
    after = ids(cluster)
    cluster.post("backups/retention/run/")
    cluster.done()
    assert ids(cluster) == after
    assert expired.get_absolute_url() in cluster.client.get(cluster.url + "backups/").text


def ids(world: World) -> set[str]:
    row = Repository.objects.current().get(cluster=world.cluster)
    return {one.id for one in restic.snapshots(opening.for_console(row))}


def test_a_corrupted_pack_is_found_by_check_and_drill_which_name_the_backup(
    cluster: World,
) -> None:
    # Those before were moved in time, and have been found again in the repository since.
    backup = backup_of(take(cluster))
    row = Repository.objects.current().get(cluster=cluster.cluster)
    packs = sorted((opening.folder(row) / "data").rglob("*"), key=lambda one: -size_of(one))
    packs[0].chmod(0o600)
    content = bytearray(packs[0].read_bytes())
    content[1000:1100] = bytes(100)
    packs[0].write_bytes(bytes(content))
    cluster.post("backups/repository/check/")
    said = cluster.failed()
    assert "damaged" in said and str(backup) in said
    assert RepositoryCheck.objects.filter(repository=row, state="failed").exists()
    backup.refresh_from_db()
    assert backup.check_error
    assert backup.verification == "failed"
    cluster.refresh()
    cluster.post(f"backups/volumes/{backup.pk}/drill/")
    said = cluster.failed()
    drill = cluster.last()
    assert (drill.kind, drill.target_name) == ("volume.drill", f"Drill of {backup}")
    backup.refresh_from_db()
    assert backup.drilled == "failed", said
    assert "damaged" in Drill.objects.latest("pk").differences[0]


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def test_the_last_node_goes_only_after_a_last_snapshot(cluster: World) -> None:
    for name in ("two", "one"):
        cluster.post(f"nodes/{name}/remove/", confirmation=name)
        cluster.done(within=200)
    last = Snapshot.objects.filter(cluster=cluster.cluster, trigger="last").get()
    assert last.state in ("complete", "partial"), last.reasons
    assert backup_of(last).state == "captured"
    assert Protection.objects.get(cluster=cluster.cluster).ended_at
