"""Domain mappings become labels and back, and no labels open a route without TLS."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clusters.ingress import balancer, domains, routes
from clusters.ingress.domains import InvalidDomain
from clusters.ingress.routes import InvalidRoute, Route
from tests.strategies import ANY_TEXT, LABELS

SERVICES = st.from_regex(routes.SERVICE, fullmatch=True).filter(lambda name: len(name) < 64)
PARTS = st.from_regex(domains.LABEL, fullmatch=True)
DOMAINS = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
PATHS = st.from_regex(routes.PATH, fullmatch=True).filter(lambda path: len(path) < 30)
# Any way to write a key that Traefik might read, and what would open plain HTTP.
HOSTILE_KEYS = st.sampled_from(
    [
        "traefik.http.routers.web-0.entrypoints",
        "traefik.http.routers.web-0.entryPoints",
        "traefik.http.routers.web-0.tls",
        "traefik.http.routers.evil.rule",
        "traefik.http.routers.evil.entrypoints",
        "Traefik.http.routers.evil.entrypoints",
        "TRAEFIK.HTTP.ROUTERS.EVIL.ENTRYPOINTS",
        "traef\u0130k.http.routers.evil.entrypoints",
        "traefi\u212a.http.routers.evil.entrypoints",
        "traefik.tcp.routers.evil.entrypoints",
        "traefik.enable",
    ]
)
HOSTILE = st.dictionaries(HOSTILE_KEYS, st.sampled_from(["web", "false"]))


def is_route(values: dict[str, Any]) -> bool:
    try:
        Route(**values)
    except ValueError:
        return False
    return True


VALUES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "domain": st.builds("{}{}.example".format, st.sampled_from(["", "*."]), DOMAINS),
        "port": st.integers(1, 65535),
        "path": st.just("") | PATHS,
        "health_path": st.just("") | PATHS,
        "health_interval": st.integers(1, 3600),
        "health_timeout": st.integers(1, 60),
        "sticky": st.booleans(),
        "uploaded_certificate": st.booleans(),
    }
)
ROUTES = VALUES.filter(is_route).map(lambda values: Route(**values))
MAPPINGS = st.lists(ROUTES, max_size=4)


def remembered(route: Route) -> Route:
    """Return a route without what only a health check needs, if it has none."""
    return route if route.health_path else replace(route, health_interval=10, health_timeout=5)


def is_read(labels: dict[str, str]) -> bool:
    """Say whether the load balancer looks at a service with these labels."""
    constraint = "--providers.swarm.constraints=Label(`medstack.published`,`true`)"
    assert constraint in balancer.arguments(balancer.Settings("a@b.example", "https://c.example"))
    return labels.get("medstack.published") == "true"


def assert_https_only(labels: dict[str, str]) -> None:
    own = {key: value for key, value in labels.items() if key.lower().startswith("traefik.")}
    routers = {key.split(".")[3] for key in own if key.startswith("traefik.http.routers.")}
    for router in routers:
        prefix = f"traefik.http.routers.{router}."
        said = {key.removeprefix(prefix): own[key] for key in own if key.startswith(prefix)}
        resolver, proven = said.pop("tls.certresolver", ""), said.pop("tls.domains[0].main", "")
        assert (resolver == "acme-dns") == proven.startswith("*.")
        assert set(said) == {"rule", "priority", "entrypoints", "tls", "service"}
        assert said["entrypoints"] == "websecure"
        assert said["tls"] == "true"
        # Far below what redirects port 80 and what answers the ACME challenge.
        assert int(said["priority"]) < 2**31
    beginnings = ("traefik.http.routers.", "traefik.http.services.")
    rest = {key for key in own if not key.startswith(beginnings)}
    assert rest == {"traefik.enable", "traefik.swarm.network"}


@given(SERVICES, MAPPINGS)
def test_the_labels_say_what_the_routes_said(service: str, mapping: list[Route]) -> None:
    labels = routes.labels(service, mapping)

    assert routes.of_labels(service, labels) == [remembered(route) for route in mapping]


@given(SERVICES, MAPPINGS, LABELS, HOSTILE)
def test_no_mapping_opens_a_route_without_tls(
    service: str, mapping: list[Route], others: dict[str, str], hostile: dict[str, str]
) -> None:
    labels = routes.with_routes(others | hostile, service, mapping)

    assert others.items() <= labels.items()
    assert is_read(labels) == bool(mapping)
    if mapping:
        assert labels == others | routes.labels(service, mapping)
        assert_https_only(labels)


@given(SERVICES, MAPPINGS, MAPPINGS, LABELS, HOSTILE)
def test_new_routes_replace_the_former_ones(
    service: str,
    former: list[Route],
    mapping: list[Route],
    others: dict[str, str],
    hostile: dict[str, str],
) -> None:
    before = others | routes.labels(service, former) | (hostile if former else {})

    assert routes.with_routes(before, service, mapping) == others | routes.labels(service, mapping)


def test_a_service_that_is_not_mapped_keeps_its_labels_for_another_traefik() -> None:
    theirs = routes.labels("web", [Route("app.example.com", 80)])
    del theirs["medstack.published"]

    assert routes.with_routes(theirs, "web", []) == theirs
    assert not is_read(theirs)
    assert routes.of_labels("web", theirs) == []


@given(SERVICES, MAPPINGS)
def test_a_rule_names_one_domain_and_one_path(service: str, mapping: list[Route]) -> None:
    for route in mapping:
        rule = routes.rule(route)
        path = f" && PathPrefix(`{route.path}`)" if route.path else ""

        assert rule.count("`") == (4 if route.path else 2)
        assert rule.endswith(f"){path}")
        assert "||" not in rule


@given(ANY_TEXT | st.text("/a.`'\"()|&\\%\n {}"), ANY_TEXT | st.text("/a.`'\"()|&\\%\n {}"))
def test_whatever_is_typed_is_refused_or_stays_in_its_place(domain: str, path: str) -> None:
    for values in ({"domain": domain}, {"domain": "a.example", "path": path}):
        try:
            route = Route(**{"port": 80, **values})  # type: ignore[arg-type]
        except ValueError:
            continue
        labels = routes.labels("web", [route])
        assert routes.of_labels("web", labels) == [route]
        assert_https_only(labels)


@given(SERVICES, SERVICES, st.integers(0, 12), st.integers(0, 12))
def test_two_services_never_share_a_router(one: str, other: str, first: int, second: int) -> None:
    assume((one, first) != (other, second))

    assert routes.keys(one, first) != routes.keys(other, second)


def test_services_that_differ_in_a_dash_have_routers_of_their_own() -> None:
    route = Route("app.example.com", 80)
    keys = [set(routes.labels(name, [route])) for name in ("a-b", "a_b", "A-b")]

    shared = {"medstack.published", "traefik.enable", "traefik.swarm.network"}
    assert keys[0] & keys[1] == keys[1] & keys[2] == keys[0] & keys[2] == shared


@pytest.mark.parametrize(
    "domain",
    [
        "app.example.com`) || Host(`evil.example",
        "app.example.com`)\n|| PathPrefix(`/",
        "app.example.com\n",
        "app.example.com`",
        'app.example.com"',
        "app.example.com'",
        "App.example.com",
        "app.example.com.",
        "^.*$",
        "{host:.+}",
        "",
    ],
)
def test_a_hostile_domain_is_no_route(domain: str) -> None:
    with pytest.raises(InvalidDomain):
        Route(domain, 80)


HOSTILE_PATHS = [
    "/`) || Host(`evil.example",
    "/a`)\n|| PathPrefix(`/",
    "/a\n",
    "/a`",
    '/a"',
    "/a'",
    "/a\\b",
    "/a b",
    "/a?b=c",
    "/a#b",
    "/a%2f..",
    "/a{b}",
    "/é",
    "/a//b",
    "//a",
    "/a/../b",
    "/..",
    "/./a",
    "a",
    "/" + "a" * 200,
]


@pytest.mark.parametrize("path", [*HOSTILE_PATHS, ""])
def test_a_hostile_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRoute, match=r"^A path "):
        routes.check_path(path)


@pytest.mark.parametrize("path", HOSTILE_PATHS)
@pytest.mark.parametrize("field", ["path", "health_path"])
def test_a_hostile_path_is_no_route(field: str, path: str) -> None:
    values: dict[str, Any] = {"domain": "app.example.com", "port": 80, field: path}
    with pytest.raises(InvalidRoute):
        Route(**values)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1.2/", "/a-b_c~d/@e:f+g,h=i", "/.well-known/x"]
)
def test_a_plain_path_is_taken_as_it_is(path: str) -> None:
    assert routes.check_path(path) == path


@pytest.mark.parametrize(
    "values", [{"port": 0}, {"port": 65536}, {"health_interval": 0}, {"health_timeout": 0}]
)
def test_numbers_have_bounds(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidRoute):
        Route(**{"domain": "app.example.com", "port": 80, **values})


@pytest.mark.parametrize("service", ["", "a.b", "a`b", "web.rule", "-web", "web\n"])
def test_no_labels_are_made_for_what_is_no_service(service: str) -> None:
    assert routes.of_labels(service, routes.labels("web", [Route("a.example", 80)])) == []
    with pytest.raises(InvalidRoute, match="no service"):
        routes.labels(service, [Route("app.example.com", 80)])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("routers.web-0.rule", "Host(`a.example`) || Host(`b.example`)"),
        ("routers.web-0.rule", "Host(`A.example`)"),
        ("routers.web-0.rule", "PathPrefix(`/`)"),
        ("routers.web-0.rule", "Host(`a.example`) && PathPrefix(`/%2e`)"),
        ("services.web-0.loadbalancer.server.port", "http"),
        ("services.web-0.loadbalancer.server.port", "99999"),
        ("services.web-0.loadbalancer.healthcheck.interval", "1m30s"),
    ],
)
def test_labels_that_somebody_else_wrote_are_no_routes(key: str, value: str) -> None:
    kept = Route("b.example", 81)
    labels = routes.labels("web", [Route("a.example", 80, health_path="/up"), kept])

    assert routes.of_labels("web", labels | {f"traefik.http.{key}": value}) == [kept]


def test_a_domain_wins_over_a_wildcard_and_a_longer_path_over_a_shorter() -> None:
    mapping = [
        Route("app.example.com", 80, path="/api/v1"),
        Route("app.example.com", 80, path="/api"),
        Route("app.example.com", 80),
        Route("*.example.com", 80, path="/" + "a" * 199),
        Route("*.example.com", 80),
    ]
    priorities = [routes.priority(route) for route in mapping]

    assert priorities == sorted(set(priorities), reverse=True)


def test_a_wildcard_is_one_level_below_its_domain() -> None:
    rule = routes.rule(Route("*.my-app.example", 80))
    pattern = rule.removeprefix("HostRegexp(`").removesuffix("`)")

    assert re.search(pattern, "a.my-app.example")
    for host in ("my-app.example", "a.b.my-app.example", "a.my-appXexample", "a.my-app.example.b"):
        assert not re.search(pattern, host)


def test_a_wildcard_is_proven_by_the_dns_challenge_unless_its_certificate_was_uploaded() -> None:
    proven = routes.labels("web", [Route("*.example.com", 80)])
    uploaded = routes.labels("web", [Route("*.example.com", 80, uploaded_certificate=True)])

    assert proven["traefik.http.routers.web-0.tls.certresolver"] == "acme-dns"
    assert proven["traefik.http.routers.web-0.tls.domains[0].main"] == "*.example.com"
    assert not [key for key in uploaded if "certresolver" in key or "domains[" in key]


def test_sticky_sessions_and_health_checks_are_off_by_default() -> None:
    labels = routes.labels("web", [Route("app.example.com", 8080)])

    assert not [key for key in labels if "sticky" in key or "healthcheck" in key]
    assert labels["traefik.http.routers.web-0.tls.certresolver"] == "acme"


def test_a_health_check_takes_a_redirect_for_an_answer() -> None:
    labels = routes.labels("web", [Route("app.example.com", 8080, health_path="/up")])
    check = "traefik.http.services.web-0.loadbalancer.healthcheck"

    assert labels[f"{check}.path"] == "/up"
    assert labels[f"{check}.followredirects"] == "false"
