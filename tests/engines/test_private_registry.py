"""A registry with a password: services are pulled from it by nodes that never had the image."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from clusters.gateway import on_node
from clusters.local.images import demo_image
from clusters.models import Node, Registry
from tests.engines.acting import (
    act,
    create,
    deploy,
    everything_kept,
    ids_of,
    inside,
    live,
    remove,
    settled,
    tasks_of,
    two_nodes,
)
from tests.engines.conftest import World
from tests.engines.registry import USER, PrivateRegistry, private_registry

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]
FIRST, SECOND = "first-Kd8-password", "second-Pq3-password"


@pytest.fixture(scope="module", autouse=True)
def registry(
    world: World, local_network: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateRegistry]:
    """Run the registry at the nodes' gateway, which their Engines may ask without TLS."""
    two_nodes(world)
    gateway = IPv4Network(str(local_network["LOCAL_NODES_SUBNET"]))[1]
    folder = tmp_path_factory.mktemp("registry")
    with private_registry(folder, str(gateway), FIRST) as running:
        push(world, running, FIRST, version="1")
        yield running


def push(world: World, registry: PrivateRegistry, password: str, *, version: str) -> None:
    """Put a version of the image into the registry, and leave it on no node."""
    image = f"{registry.address}/team/app:latest"
    with on_node(world.node("node-1"), timeout=60) as engine:
        archive, changes = demo_image()
        changes.append(f"ENV VERSION={version}")
        engine.image_import(archive, f"{registry.address}/team/app", "latest", changes)
        registry.push(engine, image, password)
        if not tasks_of_app(world):
            engine.delete("/images/{0}", image, force=True)
    world.refresh()


def tasks_of_app(world: World) -> list[str]:
    with world.manager() as engine:
        return [service["ID"] for service in engine.services()]


def row(world: World) -> Registry:
    return Registry.objects.get(cluster=world.cluster)


def test_an_image_from_an_unknown_private_registry_is_refused_at_its_field(
    world: World, registry: PrivateRegistry
) -> None:
    text = create(world, "app", 422, image=f"{registry.address}/team/app:latest")
    assert "The registry does not give this image" in text
    assert f"add the registry {registry.address}" in text


def test_a_wrong_password_fails_with_the_registrys_words(
    world: World, registry: PrivateRegistry
) -> None:
    world.post(
        "docker/registries/new/",
        address=f"{registry.address}/team",
        username=USER,
        password="wrong",
    )
    assert "401 Unauthorized" in world.failed()
    page = world.page(f"docker/registries/{row(world).pk}/")
    assert "Refused" in page and "401 Unauthorized" in page
    text = create(world, "app", 422, registry=row(world).pk, image="app:latest")
    assert "credentials and the image" in text


def test_the_right_password_is_accepted(world: World) -> None:
    world.post(f"docker/registries/{row(world).pk}/", username=USER, password=FIRST)
    world.done()
    page = world.page(f"docker/registries/{row(world).pk}/")
    assert "Accepted" in page
    world.post(f"docker/registries/{row(world).pk}/test/")
    world.done()


def test_a_service_of_a_private_image_runs_where_the_image_never_was(
    world: World, registry: PrivateRegistry
) -> None:
    for node in Node.objects.present().filter(cluster=world.cluster):
        assert not [name for name in node.images if "team/app" in name]
    pk = row(world).pk
    deploy(world, "app", registry=pk, image="app:latest", args="api", max_replicas=1)
    assert inside(world, "app", "sh", "-c", "echo $VERSION") == [b"1\n"]
    image = live(world, "app")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    name, _, digest = image.partition("@")
    assert name == f"{registry.address}/team/app:latest" and digest.startswith("sha256:")
    assert world.service("app").image_digest == digest
    assert digest in world.page("docker/services/app/")
    assert "app" in world.page(f"docker/registries/{pk}/")


def test_a_registry_that_services_are_pulled_from_is_not_deleted(world: World) -> None:
    text = world.post(f"docker/registries/{row(world).pk}/delete/", status=422)
    assert "is used by app." in text
    assert row(world).password


def test_a_password_that_changed_in_the_registry_alone_is_told_in_its_words(
    world: World, registry: PrivateRegistry
) -> None:
    registry.set_password(SECOND)
    world.post(f"docker/registries/{row(world).pk}/test/")
    assert "401 Unauthorized" in world.failed()
    before = ids_of(world, "app")
    act(world, "app", "refresh")
    error = world.failed()
    assert "The registry does not say what" in error and "unauthorized" in error.lower()
    assert ids_of(world, "app") == before


def test_a_new_password_reaches_the_services_and_restarts_nothing(world: World) -> None:
    before = ids_of(world, "app")
    world.post(f"docker/registries/{row(world).pk}/", username=USER, password=SECOND)
    operation = world.done()
    assert "app has the credentials" in operation.log
    assert ids_of(world, "app") == before


def test_after_the_rotation_another_node_pulls_the_image(world: World) -> None:
    act(world, "app", "scale", replicas=2)
    settled(world)
    nodes = {task["NodeID"] for task in tasks_of(world, "app")}
    assert len(nodes) == 2
    assert inside(world, "app", "sh", "-c", "echo $VERSION") == [b"1\n", b"1\n"]
    act(world, "app", "restart")
    settled(world)
    assert len(ids_of(world, "app")) == 2


def test_refreshing_the_image_runs_what_the_tag_means_now(
    world: World, registry: PrivateRegistry
) -> None:
    before = world.service("app").image_digest
    push(world, registry, SECOND, version="2")
    act(world, "app", "restart")
    settled(world)
    # A restart stays with the digest; only a refresh asks what the tag means.
    assert inside(world, "app", "sh", "-c", "echo $VERSION") == [b"1\n", b"1\n"]
    act(world, "app", "refresh")
    settled(world)
    assert inside(world, "app", "sh", "-c", "echo $VERSION") == [b"2\n", b"2\n"]
    assert world.service("app").image_digest != before


def test_no_password_is_kept_in_clear_or_shown(world: World, registry: PrivateRegistry) -> None:
    kept = everything_kept()
    pages = "".join(
        world.page(path) for path in ("docker/registries/", f"docker/registries/{row(world).pk}/")
    )
    for password in (FIRST, SECOND):
        assert password not in kept and password not in pages
    assert registry.address in kept and USER in pages


def test_a_registry_is_deleted_once_nothing_is_pulled_from_it(world: World) -> None:
    remove(world, "app")
    world.post(f"docker/registries/{row(world).pk}/delete/")
    assert not Registry.objects.filter(cluster=world.cluster).exists()
