"""The proof of it all: every node is deleted, and the environment comes back on new ones."""

import io
import json
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import override_settings

from backups.models import Outcome, Restore, Snapshot
from backups.tasks.agents import apply
from clusters.gateway import on_node
from clusters.ingress import balancer
from clusters.local.configuration import configured
from clusters.local.images import demo_image
from clusters.local.ingress_images import caddy_image, traefik_image
from clusters.models import DomainMapping, Registry, Secret, Service, Volume
from medstack.models import Event
from tests.engines.acting import deploy, everything_kept, inside
from tests.engines.conftest import World, finish, work_until
from tests.engines.ingress_lab import import_image
from tests.engines.pebble import Pebble, pebble
from tests.engines.registry import USER, PrivateRegistry, private_registry
from tests.engines.visiting import Answer, secure

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]
Json = dict[str, Any]
PASSWORD, SHOP = "pull-Kd8-password", "ward.clinic.example"
BYTES = bytes(range(256)) + b"\nno end of line"
SETTINGS = "greeting = hello\nname = Käthe\n"


@pytest.fixture(scope="module")
def registry(
    world: World,
    local_network: dict[str, object],
    repository_server: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PrivateRegistry]:
    """Run a registry with a password that holds the application; no node keeps the image."""
    for name in ("node-1", "node-2"):
        world.add_node(name)
    world.done()
    gateway = IPv4Network(str(local_network["LOCAL_NODES_SUBNET"]))[1]
    folder = tmp_path_factory.mktemp("registry")
    with private_registry(folder, str(gateway), PASSWORD) as running:
        image = f"{running.address}/team/app"
        with on_node(world.node("node-1"), timeout=60) as engine:
            archive, changes = demo_image()
            engine.image_import(archive, image, "latest", changes)
            running.push(engine, f"{image}:latest", PASSWORD)
            engine.delete("/images/{0}", f"{image}:latest", force=True)
        yield running


@pytest.fixture(scope="module")
def authority(
    world: World, registry: PrivateRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pebble]:
    """Run a certificate authority, whose name server leads to the first node."""
    folder, gateway = tmp_path_factory.mktemp("pebble"), str(configured().gateway)
    address = str(world.node("node-1").address)
    with (
        pebble(folder, gateway, address) as found,
        override_settings(DNS_SERVER=found.name_server, PRIVATE_ACME=True),
    ):
        yield found


def load_balancer_images(world: World, node: str) -> None:
    with on_node(world.node(node), timeout=120) as engine:
        import_image(engine, balancer.TRAEFIK_IMAGE, traefik_image())
        import_image(engine, balancer.SOCKET_IMAGE, caddy_image())
    world.refresh()


@pytest.fixture(scope="module")
def snapshot(world: World, registry: PrivateRegistry, authority: Pebble) -> Snapshot:
    """Make an application with everything that there is, let it work, and snapshot it."""
    load_balancer_images(world, "node-1")
    first, second = world.node("node-1"), world.node("node-2")
    with world.manager() as engine:
        body = {"Name": "backend", "Driver": "overlay", "Attachable": True, "CheckDuplicate": True}
        engine.network_create(body)
    world.post("nodes/node-2/labels/", labels="disk=ssd")
    world.post(
        "docker/registries/new/",
        address=f"{registry.address}/team",
        username=USER,
        password=PASSWORD,
    )
    world.post("docker/configs/new/", name="settings", text=SETTINGS)
    world.post("docker/secrets/new/", name="key", file=SimpleUploadedFile("key", BYTES))
    world.post("docker/volumes/new/", name="visits", node=second.pk, kind="local")
    world.post(
        "docker/load-balancer/deploy/",
        node=first.pk,
        address=first.address,
        email="ops@clinic.example",
        directory="",
        acme_directory=authority.directory,
        acme_ca=authority.ca,
        issuer_ca=authority.root(),
        challenge="http-01",
        ciphers="strict",
        image=balancer.TRAEFIK_IMAGE,
        socket_image=balancer.SOCKET_IMAGE,
    )
    world.done(within=180)
    world.refresh()
    pk = Registry.objects.get(cluster=world.cluster).pk
    mounted: Json = {
        "configs-0-name": "settings",
        "configs-0-target": "/etc/app/settings.ini",
        "secrets-0-name": "key",
        "secrets-0-uid": "1000",
        "secrets-0-mode": "0400",
    }
    deploy(
        world,
        "shop",
        registry=pk,
        image="app:latest",
        args="api",
        networks=["internal", "backend"],
        **mounted,
        **{"volumes-0-volume": f"{second.swarm_node_id}/visits", "volumes-0-path": "/data"},
        **{"domains-0-domain": SHOP, "domains-0-port": "8080"},
    )
    deploy(
        world,
        "helper",
        registry=pk,
        image="app:latest",
        args="web",
        constraints="node.labels.disk==ssd",
        networks=["backend"],
    )
    work_until(lambda: visit(world, authority, "node-1"), within=60, what="the shop answers")
    inside(
        world, "shop", "sh", "-c", "head -c 300000 /dev/urandom > /data/blob; ln -s blob /data/to"
    )
    apply(world.cluster.pk)
    world.post("backups/snapshots/now/")
    world.done(within=180)
    found = Snapshot.objects.filter(cluster=world.cluster, trigger="manual").first()
    assert found
    return found


def visit(world: World, authority: Pebble, node: str) -> Answer | None:
    """Visit the shop; nothing as long as nothing good is answered there."""
    try:
        answer = secure(SHOP, str(world.node(node).address), authority.root())
    except OSError:
        return None
    return answer if answer.status == 200 else None


def visits(answer: Answer | None) -> int:
    assert answer
    return int(json.loads(answer.body)["visits"])


def blob(world: World) -> list[bytes]:
    return inside(world, "shop", "sh", "-c", "sha256sum /data/blob; readlink /data/to")


def restored(world: World, snapshot: Snapshot) -> Restore:
    """Restore the environment through its page, and carry that to its end."""
    path = f"backups/snapshots/{snapshot.pk}/restore/"
    plan = world.client.get(world.url + path).context["plan"]
    assert not plan.conflicts
    accepted: Json = {"accept": "on"} if plan.warnings else {}
    wrong = world.post(path, status=422, confirmation="something else", **accepted)
    assert f"Type “{world.cluster.name}”" in wrong
    world.post(path, confirmation=world.cluster.name, **accepted)
    finish(within=240)
    found = Restore.objects.filter(cluster=world.cluster).order_by("-pk").first()
    assert found
    return found


def test_the_snapshot_holds_everything(world: World, snapshot: Snapshot) -> None:
    assert snapshot.state == "complete", snapshot.reasons
    names = {one.volume_name for one in snapshot.volumes.all()}
    assert names == {"visits", balancer.CERTIFICATES}


def test_onto_the_running_environment_the_plan_shows_what_is_there_and_the_conflicts(
    world: World, snapshot: Snapshot
) -> None:
    page = world.page(f"backups/snapshots/{snapshot.pk}/restore/")
    assert "Conflicts have to be solved" in page
    assert "its data is not touched" in page
    assert "There already" in page
    assert "Another service of this name" not in page
    text = world.post(f"backups/snapshots/{snapshot.pk}/restore/", status=422)
    assert "Conflicts have to be solved" in text
    assert not Restore.objects.filter(cluster=world.cluster).exists()


def test_after_every_node_was_deleted_the_environment_comes_back(
    world: World, authority: Pebble, registry: PrivateRegistry, snapshot: Snapshot
) -> None:
    before, kept = visits(visit(world, authority, "node-1")), blob(world)
    issued = authority.issued()
    # What was visited since is in the last snapshot, which is taken before the last node goes.
    for name in ("node-2", "node-1"):
        world.post(f"nodes/{name}/remove/", confirmation=name)
        world.done(within=180)
    last = Snapshot.objects.get(cluster=world.cluster, trigger="last")
    assert last.due > snapshot.due
    assert not Service.objects.present().filter(cluster=world.cluster).exists()
    Registry.objects.filter(cluster=world.cluster).delete()

    for name in ("new-1", "new-2"):
        world.add_node(name)
    world.done()
    load_balancer_images(world, "new-1")
    authority.point(SHOP, [str(world.node("new-1").address)])

    # With another password than the one that was kept, nothing can be pulled.
    registry.set_password("another")
    refused = restored(world, snapshot)
    assert refused.outcome == Outcome.FAILED
    assert refused.operation and "Not begun: shop" in refused.operation.error
    page = world.page(f"backups/restores/{refused.pk}/")
    assert "Bring the volumes back" in page and "it goes on where this one ended" in page

    # Run again, it goes on where it ended: no data is brought back twice.
    registry.set_password(PASSWORD)
    assert "restored before" in world.page(f"backups/snapshots/{snapshot.pk}/restore/")
    slug, out = world.cluster.slug, io.StringIO()
    name = f"{slug}@{snapshot.due:%Y-%m-%dT%H:%M:%S}"
    call_command("restore", "environment", name, f"--to={slug}", "--yes", "--wait", stdout=out)
    assert "100 %" in out.getvalue() and "objects equal the manifest" in out.getvalue()
    row = Restore.objects.get(cluster=world.cluster, outcome=Outcome.PASSED)
    assert row.operation
    assert row.plan["nodes"] == {"node-1": "new-1", "node-2": "new-2"}
    assert not row.result.get("begun")

    work_until(lambda: visit(world, authority, "new-1"), within=60, what="the shop answers again")
    assert before - 1 <= visits(visit(world, authority, "new-1")) <= before + 5
    assert blob(world) == kept
    # The certificate came back with its volume; no new one was asked for.
    assert authority.issued() == issued


def test_the_secret_and_the_config_are_equal_byte_by_byte(world: World) -> None:
    assert inside(world, "shop", "cat", "/run/secrets/key") == [BYTES]
    assert inside(world, "shop", "cat", "/etc/app/settings.ini") == [SETTINGS.encode()]
    secret = Secret.objects.current().get(cluster=world.cluster)
    assert (secret.name, secret.version, secret.is_external) == ("key", 1, False)
    kept = everything_kept()
    assert PASSWORD not in kept
    assert "no end of line" not in kept


def test_the_console_knows_everything_as_its_own(world: World) -> None:
    world.refresh()
    services = Service.objects.present().filter(cluster=world.cluster, is_managed=False)
    assert {row.name for row in services} == {"shop", "helper"}
    for row in services:
        assert row.status == "Running" and not row.drift and not row.is_external
        assert "@" not in row.container["Image"]
    mapping = DomainMapping.objects.present().get(domain=SHOP)
    assert mapping.dns_postponed_by == "MedStack Control"
    registry = Registry.objects.get(cluster=world.cluster)
    assert registry.password == PASSWORD and not registry.test_error
    assert Volume.objects.present().get(name="visits").node.name == "new-2"
    assert world.node("new-2").labels["disk"] == "ssd"
    requested = Event.objects.filter(action="restore.requested", cluster=world.cluster)
    # One by the page, one by command line.
    assert {event.actor for event in requested} == {world.user, None}


def test_the_report_says_that_all_equals_the_manifest(world: World, snapshot: Snapshot) -> None:
    row = Restore.objects.get(cluster=world.cluster, outcome=Outcome.PASSED)
    page = world.page(f"backups/restores/{row.pk}/")
    assert "objects equal the manifest" in page and "visits" in page
    answer = world.client.get(f"{world.url}backups/restores/{row.pk}/report/")
    report = json.loads(answer.content)
    assert report["different"] == 0
    assert report["manifest_sha256"] == snapshot.manifest_sha256
    assert {one["kind"] for one in report["objects"]} == {
        "network",
        "registry",
        "secret",
        "config",
        "volume",
        "service",
        "load balancer",
    }
    assert report["bytes"] == row.expected["bytes"]
