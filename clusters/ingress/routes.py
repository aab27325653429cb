"""Domain mappings as Traefik labels on a service, and back; HTTPS only, by construction."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clusters.ingress.domains import InvalidDomain, is_wildcard, normal

PREFIX = "traefik."
# The load balancer looks at services with this label only; with it, all of PREFIX is ours.
PUBLISHED = "medstack.published"
# In any case and with any letter that folds to these: Traefik compares without case.
ANY_PREFIX = re.compile(r"traefik\.", re.IGNORECASE)
SECURE, RESOLVER = "websecure", "acme"
# No other challenge proves a wildcard.
DNS_RESOLVER = "acme-dns"
NETWORK = "internal"
RULE = re.compile(r"Host(?:Regexp)?\(`([^`]+)`\)(?: && PathPrefix\(`([^`]+)`\))?")
BELOW = "^[a-z0-9-]+"
SERVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
# Neither quotes, backticks and brackets, which end a rule, nor % and \, which hide others.
PATH = re.compile(r"/[A-Za-z0-9._~/@:+,=-]*")
LONGEST_PATH = 200
# A rule's length would let *.example.com win over app.example.com.
WILDCARD_PRIORITY, DOMAIN_PRIORITY = 1_000, 10_000


class InvalidRoute(ValueError):
    """Say in plain words what no route can have."""


@dataclass(frozen=True)
class Route:
    """One domain of one service: where requests for it go, and how it is watched."""

    domain: str
    port: int
    path: str = ""
    health_path: str = ""
    health_interval: int = 10
    health_timeout: int = 5
    sticky: bool = False
    uploaded_certificate: bool = False

    def __post_init__(self) -> None:
        """Refuse what could say anything else than one domain and one path in a rule."""
        if normal(self.domain) != self.domain:
            raise InvalidDomain(f"“{self.domain}” is not in the form in which domains are stored.")
        for path in (self.path, self.health_path):
            if path:
                check_path(path)
        if not 1 <= self.port <= 65535:
            raise InvalidRoute("A port is a number between 1 and 65535.")
        if self.health_interval < 1 or self.health_timeout < 1:
            raise InvalidRoute("A health check's interval and time-out are at least a second.")


def check_path(path: str) -> str:
    """Return a URL's path, if a rule can hold it."""
    if not path.startswith("/"):
        raise InvalidRoute("A path begins with /, such as /api.")
    if not PATH.fullmatch(path):
        raise InvalidRoute(
            "A path has letters, digits and the characters / - . _ ~ @ : + , = only."
        )
    if "//" in path or not {".", ".."}.isdisjoint(path.split("/")):
        raise InvalidRoute("A path has no empty parts and no parts that are . or .. alone.")
    if len(path) > LONGEST_PATH:
        raise InvalidRoute(f"A path has at most {LONGEST_PATH} characters.")
    return path


def labels(service: str, routes: Iterable[Route]) -> dict[str, str]:
    """Return the labels that publish a service under its domains.

    Every router stands on the TLS entry point and nowhere else; there is no way to say otherwise.
    """
    found: dict[str, str] = {}
    for number, route in enumerate(routes):
        name, router, server = keys(service, number)
        found |= {
            f"{router}.rule": rule(route),
            f"{router}.priority": str(priority(route)),
            f"{router}.entrypoints": SECURE,
            f"{router}.tls": "true",
            f"{router}.service": name,
            f"{server}.server.port": str(route.port),
            f"{server}.server.scheme": "http",
        }
        if not route.uploaded_certificate:
            found |= certificate(router, route)
        if route.health_path:
            found |= {
                f"{server}.healthcheck.path": route.health_path,
                f"{server}.healthcheck.interval": f"{route.health_interval}s",
                f"{server}.healthcheck.timeout": f"{route.health_timeout}s",
                # A redirect is an answer; where it leads is another service's health.
                f"{server}.healthcheck.followredirects": "false",
            }
        if route.sticky:
            found |= {
                f"{server}.sticky.cookie.name": "medstack-sticky",
                f"{server}.sticky.cookie.secure": "true",
                f"{server}.sticky.cookie.httponly": "true",
                f"{server}.sticky.cookie.samesite": "lax",
            }
    if found:
        found |= {
            PUBLISHED: "true",
            f"{PREFIX}enable": "true",
            f"{PREFIX}swarm.network": NETWORK,
        }
    return found


def certificate(router: str, route: Route) -> dict[str, str]:
    """Return how a router gets its certificate from the ACME directory."""
    if not is_wildcard(route.domain):
        return {f"{router}.tls.certresolver": RESOLVER}
    return {
        f"{router}.tls.certresolver": DNS_RESOLVER,
        # Traefik reads the names of hosts from rules, but not from patterns.
        f"{router}.tls.domains[0].main": route.domain,
    }


def keys(service: str, number: int) -> tuple[str, str, str]:
    """Return a route's name, and what the keys of its router and of its server begin with.

    Two services never share a name: the service's own is in it as it is, the number ends it.
    """
    if not SERVICE.fullmatch(service):
        raise InvalidRoute(f"“{service}” is no service's name.")
    name = f"{service}-{number}"
    return name, f"{PREFIX}http.routers.{name}", f"{PREFIX}http.services.{name}.loadbalancer"


def priority(route: Route) -> int:
    """Return which route wins: a domain over a wildcard, then the longer path."""
    base = WILDCARD_PRIORITY if is_wildcard(route.domain) else DOMAIN_PRIORITY
    return base + len(route.path)


def rule(route: Route) -> str:
    """Return Traefik's rule for a route."""
    host = f"Host(`{route.domain}`)"
    if is_wildcard(route.domain):
        below = re.escape(route.domain[1:])
        host = f"HostRegexp(`{BELOW}{below}$`)"
    return host + (f" && PathPrefix(`{route.path}`)" if route.path else "")


def with_routes(
    spec_labels: Mapping[str, str], service: str, routes: Iterable[Route]
) -> dict[str, str]:
    """Return a service's labels with these routes instead of the former ones.

    A service that we do not publish keeps what it says to somebody else's Traefik.
    """
    ours = labels(service, routes)
    if not ours and PUBLISHED not in spec_labels:
        return dict(spec_labels)
    others = {
        key: text
        for key, text in spec_labels.items()
        if key != PUBLISHED and not ANY_PREFIX.match(key)
    }
    return others | ours


def of_labels(service: str, found: Mapping[str, str]) -> list[Route]:
    """Return the routes that a service's labels say, in their order."""
    if PUBLISHED not in found or not SERVICE.fullmatch(service):
        return []
    routes = (of_number(service, number, found) for number in range(len(found)))
    return [route for route in routes if route]


def of_number(service: str, number: int, found: Mapping[str, str]) -> Route | None:
    """Return the route with a number; nothing when its labels are not of our making."""
    _, router, server = keys(service, number)
    match = RULE.fullmatch(found.get(f"{router}.rule", ""))
    if not match:
        return None
    domain = match[1]
    if domain.startswith(BELOW):
        domain = "*" + domain.removeprefix(BELOW).removesuffix("$").replace("\\", "")
    check = f"{server}.healthcheck"
    try:
        return Route(
            domain=domain,
            port=int(found.get(f"{server}.server.port", 80)),
            path=match[2] or "",
            health_path=found.get(f"{check}.path", ""),
            health_interval=seconds(found.get(f"{check}.interval", "10s")),
            health_timeout=seconds(found.get(f"{check}.timeout", "5s")),
            sticky=f"{server}.sticky.cookie.name" in found,
            uploaded_certificate=f"{router}.tls.certresolver" not in found,
        )
    except ValueError:
        return None


def seconds(text: str) -> int:
    """Read the durations that this module writes."""
    return int(text.removesuffix("s"))
