"""The DNS challenge, which proves a wildcard: who may set its records, and what Traefik is told."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

SECRET_PREFIX = "loadbalancer-dns-"  # noqa: S105 - the name of a secret, not its value
# With the prefix and a version it still is a secret's name.
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
QUESTIONS = 53
WITH_PORT = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Provider:
    """Who holds a company's zone, and the variables without which its API lets nobody in."""

    title: str
    prefix: str
    needed: tuple[str, ...]


# Names as Traefik's library lego has them. Left out are providers whose client reads no files:
# their credentials could be seen in the container's environment.
PROVIDERS = {
    "allinkl": Provider("ALL-INKL", "ALL_INKL_", ("ALL_INKL_LOGIN", "ALL_INKL_PASSWORD")),
    "cloudflare": Provider("Cloudflare", "CLOUDFLARE_", ("CLOUDFLARE_DNS_API_TOKEN",)),
    "desec": Provider("deSEC", "DESEC_", ("DESEC_TOKEN",)),
    "digitalocean": Provider("DigitalOcean", "DO_", ("DO_AUTH_TOKEN",)),
    "exoscale": Provider("Exoscale", "EXOSCALE_", ("EXOSCALE_API_KEY", "EXOSCALE_API_SECRET")),
    "gandiv5": Provider("Gandi", "GANDIV5_", ("GANDIV5_PERSONAL_ACCESS_TOKEN",)),
    "hetzner": Provider("Hetzner", "HETZNER_", ("HETZNER_API_TOKEN",)),
    "infoblox": Provider(
        "Infoblox", "INFOBLOX_", ("INFOBLOX_HOST", "INFOBLOX_USERNAME", "INFOBLOX_PASSWORD")
    ),
    "infomaniak": Provider("Infomaniak", "INFOMANIAK_", ("INFOMANIAK_ACCESS_TOKEN",)),
    "inwx": Provider("INWX", "INWX_", ("INWX_USERNAME", "INWX_PASSWORD")),
    "ionos": Provider("IONOS", "IONOS_", ("IONOS_API_KEY",)),
    "netcup": Provider(
        "netcup", "NETCUP_", ("NETCUP_CUSTOMER_NUMBER", "NETCUP_API_KEY", "NETCUP_API_PASSWORD")
    ),
    "ovh": Provider(
        "OVH",
        "OVH_",
        ("OVH_ENDPOINT", "OVH_APPLICATION_KEY", "OVH_APPLICATION_SECRET", "OVH_CONSUMER_KEY"),
    ),
    "pdns": Provider("PowerDNS", "PDNS_", ("PDNS_API_URL", "PDNS_API_KEY")),
    "rfc2136": Provider(
        "A name server of your own (RFC 2136)", "RFC2136_", ("RFC2136_NAMESERVER",)
    ),
    "httpreq": Provider(
        "A program of your own, asked over HTTP", "HTTPREQ_", ("HTTPREQ_ENDPOINT",)
    ),
}


class InvalidServer(ValueError):
    """Say in plain words why something is no name server."""


def credentials_problem(code: str, variables: Collection[str]) -> str:
    """Return why a provider cannot be used with these variables; nothing when it can."""
    provider = PROVIDERS[code]
    for name in sorted(variables):
        if not (name.startswith(provider.prefix) and VARIABLE.fullmatch(name)):
            return f"{provider.title} reads only names that begin with {provider.prefix}: {name}."
    if missing := [name for name in provider.needed if name not in variables]:
        return f"{provider.title} needs {', '.join(missing)} as well."
    return ""


def server(text: str) -> str:
    """Return a name server as Traefik takes it, with its port."""
    problem = f"“{text}” is no name server: write its address, such as 192.0.2.53."
    host, port = text, QUESTIONS
    if found := WITH_PORT.fullmatch(text):
        host, port = found["six"] or found["four"], int(found["port"])
    try:
        address = ip_address(host)
    except ValueError:
        raise InvalidServer(problem) from None
    if not 1 <= port <= 65535:
        raise InvalidServer(problem)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def arguments(acme: str, provider: str, servers: Iterable[str]) -> list[str]:
    """Return what makes a certificate resolver of Traefik's use the challenge."""
    challenge = f"{acme}.dnschallenge"
    found = [f"{challenge}.provider={provider}"]
    if listed := ",".join(servers):
        found += [
            f"{challenge}.resolvers={listed}",
            # Who names servers of its own has others than the internet sees, which may not answer.
            f"{challenge}.propagation.disableanschecks=true",
            f"{challenge}.propagation.requireallrns=true",
        ]
    return found


def secret_name(variable: str) -> str:
    """Return the name of the secret that keeps one variable's value."""
    return SECRET_PREFIX + variable.lower().replace("_", "-")


def file_name(variable: str) -> str:
    """Return the file that the value is in; the same when another version takes over."""
    return f"dns-{variable.lower()}"


def environment(variables: Iterable[str]) -> list[str]:
    """Return the container's variables: each says where its value is, none has one."""
    return [f"{name}_FILE=/run/secrets/{file_name(name)}" for name in variables]
