"""The load balancer's pages beside an authority: its images, its form, a zone's records."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.test import override_settings

from clusters.gateway import on_node
from clusters.ingress import balancer
from clusters.local.configuration import configured
from clusters.local.ingress_images import caddy_image, traefik_image
from tests.engines.conftest import World
from tests.engines.ingress_lab import import_image
from tests.engines.pebble import Pebble, pebble
from tests.engines.zone_keeper import USER, ZoneKeeper, zone_keeper

ZONE_PASSWORD = "planted-zone-password"


def address(world: World) -> str:
    """Return where the load balancer is reached."""
    return str(world.node("node-1").address)


@contextmanager
def authority_beside(world: World, folder: Path) -> Iterator[Pebble]:
    """Put the load balancer's images on its node, and run an authority that reaches it."""
    with on_node(world.node("node-1"), timeout=120) as engine:
        import_image(engine, balancer.TRAEFIK_IMAGE, traefik_image())
        import_image(engine, balancer.SOCKET_IMAGE, caddy_image())
    world.refresh()
    with (
        pebble(folder, str(configured().gateway), address(world)) as found,
        override_settings(DNS_SERVER=found.name_server, PRIVATE_ACME=True),
    ):
        yield found


@contextmanager
def keeper_of(authority: Pebble) -> Iterator[ZoneKeeper]:
    """Run the program that sets the records of the clinic's zone."""
    with zone_keeper(authority, str(configured().gateway), ZONE_PASSWORD) as found:
        yield found


def filled_in(world: World, authority: Pebble, **changed: Any) -> dict[str, Any]:
    """Return the load balancer's form, filled in, without a DNS challenge."""
    return {
        "node": world.node("node-1").pk,
        "address": address(world),
        "email": "ops@clinic.example",
        "directory": "",
        "acme_directory": authority.directory,
        "acme_ca": authority.ca,
        "issuer_ca": authority.root(),
        "challenge": "http-01",
        "ciphers": "strict",
        "image": balancer.TRAEFIK_IMAGE,
        "socket_image": balancer.SOCKET_IMAGE,
    } | changed


def dns_challenge(authority: Pebble, keeper: ZoneKeeper) -> dict[str, str]:
    """Return the form's fields for it: who sets the records, and with which password."""
    credentials = {"ENDPOINT": keeper.url, "USERNAME": USER, "PASSWORD": ZONE_PASSWORD}
    return {
        "dns_provider": "httpreq",
        "dns_credentials": "\n".join(f"HTTPREQ_{key}={text}" for key, text in credentials.items()),
        "dns_servers": authority.name_server,
    }
