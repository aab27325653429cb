"""The load balancer's specs, on real Engines, with real Traefik, Caddy and certificates."""

import json
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusters.ingress import balancer
from clusters.ingress.routes import PUBLISHED, Route
from tests.engines.ingress_lab import TELL_HEADERS, Lab, application, lab, settings, traefik
from tests.engines.load import steady_load
from tests.engines.pebble import issue, listening, pem, private
from tests.engines.visiting import CBC, Answer, alert, certificate, plain, secure, trusting
from tests.engines.ways import until

pytestmark = [pytest.mark.engines, pytest.mark.no_database]
VISITS, HEADERS, OTHER = "visits.clinic.example", "headers.clinic.example", "other.clinic.example"
OWN, BY_TLS = "own.clinic.example", "by-tls.clinic.example"
MARKER = "marker.clinic.example"
# The second replica answers its health check with a redirect, the first with 404.
ONE_IS_WELL = """
mkdir -p /tmp/site/up
hostname >/tmp/site/index.html
case $(hostname) in ward-1) rmdir /tmp/site/up ;; esac
exec httpd -f -p 8080 -h /tmp/site
"""
# What a person could write by hand to be reached on port 80, past the console.
BY_HAND = {
    PUBLISHED: "true",
    "traefik.enable": "true",
    "traefik.swarm.network": "internal",
    "traefik.http.services.hand.loadbalancer.server.port": "8080",
    "traefik.http.routers.hand.rule": "HostRegexp(`^.+$`)",
    "traefik.http.routers.hand.service": "hand",
    "traefik.http.routers.hand.entrypoints": "web",
    "traefik.http.routers.hand.priority": "9223372036854774807",
    "traefik.http.routers.beyond.rule": "HostRegexp(`^.+$`)",
    "traefik.http.routers.beyond.service": "hand",
    "traefik.http.routers.beyond.entrypoints": "web",
    "traefik.http.routers.beyond.priority": "9223372036854775807",
    "traefik.http.routers.bare.rule": "HostRegexp(`^.+$`)",
    "traefik.http.routers.bare.service": "hand",
    "traefik.http.routers.bare.tls": "false",
}
TCP_BY_HAND = {
    "traefik.enable": "true",
    "traefik.swarm.network": "internal",
    "traefik.tcp.services.hand.loadbalancer.server.port": "8080",
    "traefik.tcp.routers.hand.rule": "HostSNI(`*`)",
    "traefik.tcp.routers.hand.service": "hand",
    "traefik.tcp.routers.hand.entrypoints": "web",
}


@pytest.fixture(scope="module")
def parts(
    local_network: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Return a load balancer that runs, made from its specs."""
    with lab(tmp_path_factory.mktemp("pebble")) as found:
        yield found


def visit(parts: Lab, domain: str, **headers: str) -> Answer | None:
    """Visit a domain; nothing as long as it has no good certificate or no good answer."""
    try:
        answer = secure(domain, parts.address, parts.root, headers=headers)
    except OSError:
        return None
    return answer if answer.status == 200 else None


def seen(parts: Lab, domain: str) -> str:
    return secure(domain, parts.address, parts.root).body


def host(body: str) -> str:
    return str(json.loads(body)["hostname"])


def test_both_services_run_with_one_capability_and_nothing_to_write_to(parts: Lab) -> None:
    for name in (balancer.NAME, balancer.SOCKET):
        container = parts.container(name)
        status = Path(f"/proc/{container['State']['Pid']}/status").read_text()
        effective = int(status.partition("CapEff:")[2].split()[0], 16)
        assert effective == 1 << 10, "CAP_NET_BIND_SERVICE alone"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
    assert parts.container(balancer.NAME)["State"]["Health"]["Status"] == "healthy"
    assert " ERR " not in parts.log(balancer.NAME)
    assert " WRN " not in parts.log(balancer.NAME)


def test_a_mapped_domain_is_served_by_both_replicas_on_two_nodes(parts: Lab) -> None:
    # Longer than the balancer needs to let go of a task, however busy the machine is.
    spec = application("visits", [Route(VISITS, 8080, health_path="/")], replicas=2, grace=10)
    spec["TaskTemplate"]["Placement"] = {"MaxReplicas": 1}
    parts.create(spec)
    until(lambda: visit(parts, VISITS), within=60)
    assert parts.authority.asked_over_http(VISITS), "HTTP-01"
    assert parts.authority.orders() == 1
    until(lambda: len({host(seen(parts, VISITS)) for _ in range(4)}) == 2)
    assert len({task["NodeID"] for task in parts.running("visits")}) == 2


def test_plain_http_is_redirected_for_good_whatever_is_asked(parts: Lab) -> None:
    for domain in (VISITS, "nobody.example", parts.address):
        answer = plain(domain, parts.address, "/a/b?c=d")
        assert (answer.status, answer.headers["location"]) == (301, f"https://{domain}/a/b?c=d")
    challenge = plain(VISITS, parts.address, "/.well-known/acme-challenge/unknown")
    assert challenge.status in {301, 404}


def test_a_host_that_nobody_mapped_gets_no_certificate(parts: Lab) -> None:
    assert "UNRECOGNIZED_NAME" in alert("nobody.example", parts.address, trusting())
    assert "UNRECOGNIZED_NAME" in alert(None, parts.address, trusting())
    assert alert(VISITS, parts.address, trusting()) == ""


def test_old_protocols_and_ciphers_are_refused(parts: Lab) -> None:
    old, weak = trusting(), trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(CBC)
    assert "PROTOCOL_VERSION" in alert(VISITS, parts.address, old)
    assert "HANDSHAKE_FAILURE" in alert(VISITS, parts.address, weak)


def test_browsers_are_told_to_stay_with_https(parts: Lab) -> None:
    headers = secure(VISITS, parts.address, parts.root).headers
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_header_that_would_pass_for_another_is_deleted(parts: Lab) -> None:
    parts.create(application("headers", [Route(HEADERS, 8080)], script=TELL_HEADERS))
    until(lambda: visit(parts, HEADERS), within=60)
    sent = {"X-Auth-User": "real", "X_Auth_User": "false", "X.Auth.Group": "false"}
    sent["X-Forwarded-For"] = "9.9.9.9"
    told = secure(HEADERS, parts.address, parts.root, headers=sent).body
    assert "HTTP_X_AUTH_USER=real" in told
    assert "HTTP_X_FORWARDED_PROTO=https" in told
    assert "false" not in told and "9.9.9.9" not in told


def test_headers_without_end_are_refused(parts: Lab) -> None:
    long = {f"X-Long-{n}": "a" * 8000 for n in range(9)}
    assert secure(HEADERS, parts.address, parts.root, headers=long).status == 431


def test_labels_set_by_hand_open_nothing_on_port_80(parts: Lab) -> None:
    # On a mapped service, behind the console's back: the redirection stands above them.
    parts.create(application("hand", [Route(OTHER, 8080)], labels=BY_HAND))
    # On a service that is not mapped: it is no part of the ingress at all.
    parts.create(application("past", labels=TCP_BY_HAND))
    until(lambda: parts.running("past"))
    # As soon as a later one is served, Traefik has read their labels, too.
    parts.create(application("marker", [Route(MARKER, 8080)]))
    until(lambda: visit(parts, MARKER), within=60)
    assert "exceeds the max user-defined priority" in parts.log(balancer.NAME)
    for domain in ("nobody.example", OTHER, VISITS):
        assert plain(domain, parts.address).status == 301
    for name in ("hand", "past", "marker"):
        parts.manager.service_remove(name)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_ping", 200),
        ("GET", "/v1.41/services", 200),
        ("GET", "/v1.41/tasks", 200),
        ("GET", "/v1.41/networks", 200),
        ("GET", "/v1.41/version", 200),
        ("GET", "/v1.41/secrets", 403),
        ("GET", "/v1.41/configs", 403),
        ("GET", "/v1.41/containers/json", 403),
        ("GET", "/v1.41/services/visits/logs?stdout=1", 403),
        ("GET", "/v1.41/services/../containers/json", 403),
        ("GET", "/v1.41/secrets/../services", 403),
        ("GET", "/v1.41/services/..%2fcontainers/json", 403),
        ("GET", "/v1.41/nodes/..%2fsecrets", 403),
        ("GET", "//v1.41/secrets", 403),
        ("GET", "/v1.41/swarm", 403),
        ("POST", "/v1.41/services/create", 403),
        ("POST", "/v1.41/networks", 403),
        ("DELETE", "/v1.41/networks/internal", 403),
    ],
)
def test_the_socket_proxy_reads_what_traefik_needs(
    parts: Lab, method: str, path: str, status: int
) -> None:
    address = parts.inside(balancer.SOCKET, balancer.PRIVATE_NETWORK)
    assert parts.ask(balancer.NAME, address, balancer.SOCKET_PORT, method, path) == status


def test_an_exposed_port_answers_inside_only_and_the_way_out_is_free(parts: Lab) -> None:
    address = parts.inside("headers", "internal")
    assert parts.ask(balancer.NAME, address, 8080) == 200, "the image exposes 8080"
    assert not listening(f"{parts.address}:8080")
    outside, _, port = parts.authority.names.partition(":")
    assert parts.ask("headers", outside, int(port)) == 404, "an answer from beyond the nodes"
    assert parts.ask(balancer.SOCKET, outside, int(port)) == 0, "its network leads nowhere"


def test_a_restart_keeps_the_certificates_and_orders_none(parts: Lab) -> None:
    orders, before = parts.authority.orders(), certificate(VISITS, parts.address, parts.root)
    volume = parts.manager.volume(balancer.CERTIFICATES)["Mountpoint"]
    root = Path(f"/proc/{parts.container(balancer.NAME)['State']['Pid']}/root")
    assert volume == f"/var/lib/docker/volumes/{balancer.CERTIFICATES}/_data"
    assert (root / "certificates/acme.json").stat().st_mode & 0o777 == 0o600
    parts.update(balancer.NAME, lambda spec: spec["TaskTemplate"].update(ForceUpdate=1))
    until(lambda: visit(parts, VISITS), within=30)
    assert certificate(VISITS, parts.address, parts.root) == before
    assert visit(parts, HEADERS)
    assert parts.authority.orders() == orders


def test_a_rolling_update_under_load_loses_no_request(
    parts: Lab, say: Callable[[str], None]
) -> None:
    with steady_load(VISITS, parts.address, parts.root) as load:
        until(lambda: load.sent > 400)
        parts.update("visits", replace_tasks)
        sent = load.sent
        # The last of the old tasks is stopped after the update counts as complete.
        until(lambda: load.sent > sent + 2400)
    say(f"A rolling update under load, Traefik alone: {load}")
    assert load.bad == 0
    assert len({host(body) for body in load.bodies}) == 4, "two old tasks and two new ones"


def replace_tasks(spec: dict[str, object]) -> None:
    template = spec["TaskTemplate"]
    assert isinstance(template, dict)
    # Start-first needs room for a second one beside the first.
    template.update(ForceUpdate=template.get("ForceUpdate", 0) + 1, Placement={})


def test_a_new_task_answers_within_five_seconds(parts: Lab, say: Callable[[str], None]) -> None:
    parts.relabel("visits", [])
    until(lambda: secure(VISITS, parts.address, parts.root).status == 404)
    parts.create(application("prompt", [Route(VISITS, 8080)]))
    until(lambda: parts.running("prompt"))
    started = time.monotonic()
    until(lambda: visit(parts, VISITS), within=5)
    say(f"A new task answered after {time.monotonic() - started:.1f} s")
    parts.manager.service_remove("prompt")


def test_a_replica_that_fails_its_health_check_is_asked_no_more(parts: Lab) -> None:
    spec = application("wards", [Route(MARKER, 8080, health_path="/up", health_interval=1)])
    spec["Mode"] = {"Replicated": {"Replicas": 2}}
    container = spec["TaskTemplate"]["ContainerSpec"]
    container |= {"Hostname": "ward-{{.Task.Slot}}", "Command": ["sh", "-c", ONE_IS_WELL]}
    parts.create(spec)
    until(lambda: len(parts.running("wards")) == 2)
    until(lambda: visit(parts, MARKER), within=60)
    until(lambda: {seen(parts, MARKER).strip() for _ in range(6)} == {"ward-2"})
    # Its port answers still; only the load balancer has let go of it.
    assert len(parts.running("wards")) == 2
    parts.manager.service_remove("wards")


def test_a_domain_moves_to_another_service_and_leaves_without_a_new_order(parts: Lab) -> None:
    orders = parts.authority.orders()
    parts.relabel("visits", [])
    parts.relabel("headers", [Route(HEADERS, 8080), Route(VISITS, 8080)])
    until(lambda: "HTTP_HOST" in seen(parts, VISITS))
    assert parts.authority.orders() == orders
    parts.relabel("headers", [Route(HEADERS, 8080)])
    until(lambda: secure(VISITS, parts.address, parts.root).status == 404)


def test_the_other_challenge_and_an_uploaded_certificate(parts: Lab) -> None:
    authority = issue("A clinic's own authority", None)
    chain, key = issue(OWN, authority)
    parts.manager.config_create("own-chain", pem(chain).encode(), {})
    parts.manager.secret_create("own-key", private(key).encode(), {})
    chosen = settings(parts, challenge="tls-alpn-01", ciphers="compatible")
    own = balancer.Uploaded(config="own-chain", secret="own-key")
    parts.manager.config_create("dynamic-2", balancer.dynamic(chosen, [own]), {})
    wanted = traefik(parts, chosen, own, dynamic="dynamic-2")
    parts.update(balancer.NAME, lambda spec: spec.update(wanted))
    found = [Route(BY_TLS, 8080), Route(OWN, 8080, uploaded_certificate=True)]
    parts.relabel("visits", found)
    until(lambda: visit(parts, BY_TLS), within=60)
    assert not parts.authority.asked_over_http(BY_TLS), "TLS-ALPN-01"
    assert secure(OWN, parts.address, pem(authority[0])).status == 200
    weak = trusting()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(CBC)
    assert alert(OWN, parts.address, weak) == ""
