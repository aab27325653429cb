"""The way in through the pages: load balancer, domains and certificates, on real parts."""

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusters.gateway import on_node
from clusters.ingress import balancer
from clusters.models import DomainMapping, LoadBalancer, Service
from medstack.models import Event
from tests.engines.acting import (
    act,
    containers_of,
    create,
    deploy,
    edit,
    everything_kept,
    remove,
    settled,
    tasks_of,
    two_nodes,
)
from tests.engines.authorised import (
    ZONE_PASSWORD,
    address,
    authority_beside,
    dns_challenge,
    filled_in,
    keeper_of,
)
from tests.engines.conftest import World, work_until
from tests.engines.load import steady_load
from tests.engines.pebble import Pebble
from tests.engines.visiting import CBC, Answer, alert, plain, secure, trusting
from tests.engines.zone_keeper import ZoneKeeper

pytestmark = pytest.mark.engines
SHOP, LOST = "shop.clinic.example", "lost.clinic.example"
BY_TLS = "by-tls.clinic.example"
# Its program ignores the signal to end, so it serves until the balancer has let go of it.
SERVED: dict[str, Any] = {
    "stop_grace_period": "10s",
    "update_order": "start-first",
    "update_monitor": "2s",
}
UNMAPPED: dict[str, Any] = {"domains-0-DELETE": "on"}


@pytest.fixture(scope="module")
def authority(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """Return the certificate authority beside a cluster of two nodes with all images."""
    two_nodes(world)
    with authority_beside(world, tmp_path_factory.mktemp("pebble")) as found:
        yield found


@pytest.fixture(scope="module")
def keeper(authority: Pebble) -> Iterator[ZoneKeeper]:
    """Return the program that sets the records of the clinic's zone."""
    with keeper_of(authority) as found:
        yield found


def visit(world: World, authority: Pebble, domain: str = SHOP) -> Answer | None:
    """Visit a domain; nothing as long as nothing good is answered there."""
    try:
        return secure(domain, address(world), authority.root())
    except OSError:
        return None


def served(world: World, authority: Pebble, domain: str = SHOP) -> bool:
    answer = visit(world, authority, domain)
    return bool(answer and answer.status == 200)


def told_to_old_client(world: World, domain: str) -> str:
    """Return why a client that knows TLS 1.2 with CBC only is refused; nothing if it is served."""
    old = trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers(CBC)
    return alert(domain, address(world), old)


def test_the_load_balancer_is_deployed_by_one_form(world: World, authority: Pebble) -> None:
    form = filled_in(world, authority)
    wrong = form | {"acme_directory": authority.directory.replace("/dir", "/nothing")}
    assert "directory" in world.post("docker/load-balancer/deploy/", status=422, **wrong)
    assert not LoadBalancer.objects.filter(cluster=world.cluster).exists()
    world.post("docker/load-balancer/deploy/", **form)
    world.done(within=180)
    assert LoadBalancer.objects.get(cluster=world.cluster).deployed_at
    world.refresh()
    page = world.page("docker/load-balancer/")
    assert page.count("Running") >= 2
    assert "Traefik version 3." in world.page(f"docker/services/{balancer.NAME}/logs/")


def test_a_domain_that_leads_elsewhere_is_refused_with_both_addresses(
    world: World, authority: Pebble
) -> None:
    authority.point(LOST, ["198.51.100.7"])
    row: dict[str, Any] = {"domains-0-domain": LOST, "domains-0-port": "8080"}
    text = create(world, "lost", 422, **row)
    assert "198.51.100.7" in text
    assert address(world) in text
    assert not Service.objects.filter(cluster=world.cluster, name="lost").exists()


def test_a_mapped_domain_gets_a_certificate_and_answers_over_https_only(
    world: World, authority: Pebble
) -> None:
    row: dict[str, Any] = {"domains-0-domain": SHOP, "domains-0-port": "8080"}
    deploy(world, "shop", replicas="2", args="api", **SERVED, **row)
    work_until(lambda: served(world, authority), within=60, what="the shop answers")
    answer = visit(world, authority)
    assert answer
    assert "strict-transport-security" in answer.headers
    redirected = plain(SHOP, address(world), "/cart")
    assert (redirected.status, redirected.headers["location"]) == (301, f"https://{SHOP}/cart")


def test_both_replicas_on_two_nodes_answer(world: World, authority: Pebble) -> None:
    edit(world, "shop", max_replicas="1", update_order="stop-first")
    settled(world)
    assert len({task["NodeID"] for task in tasks_of(world, "shop")}) == 2
    bodies: set[str] = set()

    def both() -> bool:
        if answer := visit(world, authority):
            bodies.add(answer.body.partition("visits")[0])
        return len(bodies) == 2

    work_until(both, within=60, what="two containers have answered")


def test_a_path_prefix_health_checks_and_sticky_sessions_are_as_the_row_says(
    world: World, authority: Pebble
) -> None:
    page = "/cgi-bin/index.cgi"
    row: dict[str, Any] = {
        "domains-0-path_prefix": page,
        "domains-0-health_path": page,
        "domains-0-health_interval": "1",
        "domains-0-health_timeout": "1",
        "domains-0-sticky": "on",
    }
    edit(world, "shop", **row)
    settled(world)
    found: list[Answer] = []

    def sticks() -> bool:
        found[:] = [secure(SHOP, address(world), authority.root(), page)]
        return "set-cookie" in found[0].headers and found[0].status == 200

    work_until(sticks, within=30, what="the new route is in force")
    assert secure(SHOP, address(world), authority.root(), "/").status == 404
    cookie = found[0].headers["set-cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    kept = {"Cookie": cookie.partition(";")[0]}
    answers = [secure(SHOP, address(world), authority.root(), page, kept) for _ in range(6)]
    same = {answer.body.partition("visits")[0] for answer in answers}
    assert same == {found[0].body.partition("visits")[0]}
    edit(world, "shop", **{name: [] if name.endswith("sticky") else "" for name in row})
    settled(world)
    work_until(lambda: served(world, authority), within=30, what="the shop answers at its root")


def test_the_domain_s_page_tells_what_is_seen_from_outside(world: World, authority: Pebble) -> None:
    world.post("docker/load-balancer/check/")
    world.done()
    mapping = DomainMapping.objects.present().get(domain=SHOP)
    assert mapping.status == "Active", mapping.problem
    assert mapping.dns_addresses == [address(world)]
    assert mapping.status_code == 200
    assert "Pebble" in mapping.issuer
    assert mapping.days_left and mapping.days_left > 80
    assert mapping.tls_version.startswith("TLSv1.")
    page = world.page("docker/load-balancer/")
    assert SHOP in page and "Active" in page and "days left" in page


def test_a_domain_whose_dns_moved_is_to_be_inspected_and_that_is_an_event(
    world: World, authority: Pebble
) -> None:
    authority.point(SHOP, ["198.51.100.9"])
    world.post("docker/load-balancer/check/")
    world.done()
    mapping = DomainMapping.objects.present().get(domain=SHOP)
    assert mapping.status == "Inspect"
    assert "198.51.100.9" in mapping.problem
    assert Event.objects.filter(action="domain.inspect", subject_id=mapping.pk).exists()
    authority.point(SHOP, [address(world)])
    world.post("docker/load-balancer/check/")
    world.done()
    mapping.refresh_from_db()
    assert mapping.status == "Active"


def test_a_port_that_nothing_listens_on_is_a_warning_after_the_deployment(
    world: World, authority: Pebble
) -> None:
    row: dict[str, Any] = {"domains-0-domain": "deaf.clinic.example", "domains-0-port": "9999"}
    operation = deploy(world, "deaf", args="api", **row)
    assert "does anything listen on port 9999?" in operation.log
    assert "status 502" in world.page("docker/services/deaf/")
    edit(world, "deaf", **UNMAPPED)
    settled(world)


def test_a_rolling_update_under_load_loses_no_request(
    world: World, authority: Pebble, say: Callable[[str], None]
) -> None:
    edit(world, "shop", max_replicas="", update_order="start-first")
    settled(world)
    with steady_load(SHOP, address(world), authority.root()) as load:
        edit(world, "shop", environment="VERSION=2")
        settled(world)
    say(f"A rolling update under load: {load}")
    assert load.sent > 200
    assert load.bad == 0, str(load)


def test_a_restart_of_the_load_balancer_orders_no_new_certificate(
    world: World, authority: Pebble
) -> None:
    orders = authority.orders()
    before = {task["ID"] for task in tasks_of(world, balancer.NAME)}
    act(world, balancer.NAME, "restart")
    world.done(within=120)
    assert before.isdisjoint(task["ID"] for task in tasks_of(world, balancer.NAME))
    work_until(lambda: served(world, authority), within=60, what="the shop answers again")
    assert authority.orders() == orders


def test_a_domain_moves_to_another_service(world: World, authority: Pebble) -> None:
    row: dict[str, Any] = {"domains-0-domain": SHOP, "domains-0-port": "8080"}
    assert "belongs to the service “shop”" in create(world, "till", 422, **row)
    edit(world, "shop", **UNMAPPED)
    settled(world)
    work_until(
        lambda: (visit(world, authority) or Answer(0, {}, "")).status == 404,
        within=30,
        what="nothing answers for the domain",
    )
    deploy(world, "till", args="api", **row)
    work_until(lambda: served(world, authority), within=30, what="the till answers")
    mapping = DomainMapping.objects.present().get(domain=SHOP)
    assert mapping.service.name == "till"


def test_another_profile_challenge_and_dns_provider_are_one_change_of_the_form(
    world: World, authority: Pebble, keeper: ZoneKeeper
) -> None:
    assert "HANDSHAKE_FAILURE" in told_to_old_client(world, SHOP), "the strict profile"
    changed = {"ciphers": "compatible", "challenge": "tls-alpn-01"}
    form = filled_in(world, authority, **changed, **dns_challenge(authority, keeper))
    world.post("docker/load-balancer/deploy/", **form)
    world.done(within=180)
    assert told_to_old_client(world, SHOP) == "", "the compatible profile"
    assert ZONE_PASSWORD not in everything_kept()
    (node, container) = containers_of(world, balancer.NAME)[0]
    with on_node(node) as engine:
        assert ZONE_PASSWORD not in str(engine.container(container))


def test_a_domain_is_proven_over_tls_alone(world: World, authority: Pebble) -> None:
    row: dict[str, Any] = {"domains-0-domain": BY_TLS, "domains-0-port": "8080"}
    deploy(world, "wards", args="api", **row)
    work_until(lambda: served(world, authority, BY_TLS), within=120, what=f"{BY_TLS} answers")
    assert not authority.asked_over_http(BY_TLS)
    remove(world, "wards")


def test_the_load_balancer_goes_only_when_nothing_is_mapped(
    world: World, authority: Pebble
) -> None:
    assert SHOP in world.post("docker/load-balancer/remove/", status=422)
    edit(world, "till", **UNMAPPED)
    settled(world)
    world.post("docker/load-balancer/remove/")
    world.done()
    with world.manager() as engine:
        names = {service["Spec"]["Name"] for service in engine.services()}
        networks = {network["Name"] for network in engine.networks()}
        configs = {config["Spec"]["Name"] for config in engine.configs()}
    assert names == {"deaf", "shop", "till"}
    assert balancer.PRIVATE_NETWORK not in networks
    assert not [name for name in configs if name.startswith("loadbalancer-")]
    assert not LoadBalancer.objects.filter(cluster=world.cluster).exists()
