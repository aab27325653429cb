"""A wildcard through the pages: the load balancer proves it by a record in the company's zone."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from clusters.ingress import balancer
from clusters.models import DomainMapping, LoadBalancer, Secret
from tests.engines.acting import act, create, deploy, everything_kept, remove
from tests.engines.authorised import (
    ZONE_PASSWORD,
    address,
    authority_beside,
    dns_challenge,
    filled_in,
    keeper_of,
)
from tests.engines.conftest import World, work_until
from tests.engines.pebble import Pebble
from tests.engines.visiting import certificate, secure
from tests.engines.zone_keeper import ZoneKeeper

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]
WARDS = "*.wards.clinic.example"
EAST, WEST = "east.wards.clinic.example", "west.wards.clinic.example"
RECORD = "_acme-challenge.wards.clinic.example."
ROW: dict[str, Any] = {"domains-0-domain": WARDS, "domains-0-port": "8080"}


@pytest.fixture(scope="module")
def authority(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """Return the certificate authority beside a cluster of one node with all images."""
    world.add_node("node-1")
    world.done()
    world.load_images()
    with authority_beside(world, tmp_path_factory.mktemp("pebble")) as found:
        yield found


@pytest.fixture(scope="module")
def keeper(authority: Pebble) -> Iterator[ZoneKeeper]:
    """Return the program that sets the records of the clinic's zone."""
    with keeper_of(authority) as found:
        yield found


def served(world: World, authority: Pebble, domain: str) -> bool:
    """Say whether a name is served with a certificate of the authority's root."""
    try:
        return secure(domain, address(world), authority.root()).status == 200
    except OSError:
        return False


def test_without_a_challenge_a_wildcard_is_refused(
    world: World, authority: Pebble, keeper: ZoneKeeper
) -> None:
    world.post("docker/load-balancer/deploy/", **filled_in(world, authority))
    world.done(within=180)
    assert "A wildcard needs an uploaded certificate" in create(world, "wards", 422, **ROW)
    world.post("docker/load-balancer/remove/")
    world.done()


def test_the_load_balancer_is_deployed_with_a_challenge_and_keeps_its_password_a_secret(
    world: World, authority: Pebble, keeper: ZoneKeeper
) -> None:
    form = filled_in(world, authority, **dns_challenge(authority, keeper))
    world.post("docker/load-balancer/deploy/", **form)
    world.done(within=180)
    assert LoadBalancer.objects.get(cluster=world.cluster).dns_provider == "httpreq"
    assert ZONE_PASSWORD not in everything_kept()
    with world.manager() as engine:
        assert ZONE_PASSWORD not in str(engine.service(balancer.NAME))
        for one in engine.containers():
            assert ZONE_PASSWORD not in str(engine.container(one["Id"]))


def test_a_wildcard_is_proven_by_its_zone_alone_and_serves_the_names_below_it(
    world: World, authority: Pebble, keeper: ZoneKeeper
) -> None:
    deploy(world, "wards", args="api", **ROW)
    work_until(lambda: served(world, authority, EAST), within=120, what=f"{EAST} answers")
    found = x509.load_der_x509_certificate(certificate(EAST, address(world), authority.root()))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [WARDS]
    assert keeper.proven == [RECORD]
    assert not authority.asked_over_http(EAST)
    assert served(world, authority, WEST)
    assert authority.issued() == 1, "One certificate is good for every name."


def test_the_domain_s_page_tells_of_it(world: World, authority: Pebble) -> None:
    world.post("docker/load-balancer/check/")
    world.done()
    mapping = DomainMapping.objects.present().get(domain=WARDS)
    assert mapping.status == "Active", mapping.problem
    assert "Pebble" in mapping.issuer
    assert WARDS in world.page("docker/load-balancer/")


def test_a_restart_of_the_load_balancer_keeps_the_certificate(
    world: World, authority: Pebble, keeper: ZoneKeeper
) -> None:
    before = certificate(EAST, address(world), authority.root())
    act(world, balancer.NAME, "restart")
    world.done(within=120)
    work_until(lambda: served(world, authority, EAST), within=60, what=f"{EAST} answers again")
    assert certificate(EAST, address(world), authority.root()) == before
    assert keeper.proven == [RECORD]


def test_the_challenge_stays_while_the_wildcard_is_mapped(world: World, authority: Pebble) -> None:
    page = world.post("docker/load-balancer/deploy/", 422, **filled_in(world, authority))
    assert f"Still mapped: {WARDS}" in page


def test_the_load_balancer_takes_its_credentials_along(world: World, authority: Pebble) -> None:
    remove(world, "wards")
    world.post("docker/load-balancer/remove/")
    world.done()
    with world.manager() as engine:
        assert [secret["Spec"]["Name"] for secret in engine.secrets()] == []
    assert not Secret.objects.present().filter(cluster=world.cluster).exists()
