"""The load balancer's own services: Traefik, and the proxy that guards the Docker socket."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clusters.ingress import dns_challenge
from clusters.ingress.ciphers import PROFILES
from clusters.ingress.routes import DNS_RESOLVER, PUBLISHED, RESOLVER
from clusters.spec.defaults import SECOND

Json = dict[str, Any]

NAME, SOCKET = "loadbalancer", "loadbalancer-socket"
PRIVATE_NETWORK = "loadbalancer-private"
CERTIFICATES = "loadbalancer-certificates"
TRAEFIK_IMAGE, SOCKET_IMAGE = "traefik:v3.7", "caddy:2.11"
# The first with aliasHeadersStrategy; an older one does not start with an option it does not know.
OLDEST_TRAEFIK = (3, 7, 12)
SOCKET_PORT = 2375
DYNAMIC_PATH, CA_PATH = "/etc/traefik/dynamic.yml", "/etc/traefik/acme-ca.pem"
SCRATCH = "/tmp"  # noqa: S108 - the container's own, in memory
# Requests for headers beyond this are refused; browsers and proxies stay far below.
HEADER_BYTES = 64 * 1024

# Exactly what Traefik's swarm provider asks for, and nothing that changes anything.
SOCKET_PATHS = r"^(/v[0-9.]+)?/(_ping|version|services|tasks|networks|nodes/[a-z0-9]+)$"
# The path is compared as it came: path_regexp cleans it first, lets /secrets/../services pass,
# and hands on what came.
SOCKET_RULES = r"""{
	admin off
	auto_https off
	persist_config off
}

:2375 {
	@allowed {
		method GET HEAD
		vars_regexp {http.request.uri.path} PATHS
	}
	handle @allowed {
		reverse_proxy unix//var/run/docker.sock
	}
	handle {
		respond "This proxy only reads what the load balancer needs." 403
	}
}
""".replace("PATHS", SOCKET_PATHS)


@dataclass(frozen=True)
class Settings:
    """What an operator decides about the load balancer."""

    email: str
    acme_directory: str
    challenge: str = "http-01"
    ciphers: str = "strict"
    image: str = TRAEFIK_IMAGE
    socket_image: str = SOCKET_IMAGE
    has_acme_ca: bool = False
    # Who proves wildcards, the names of its credentials, and the name servers that see the proof.
    dns_provider: str = ""
    dns_variables: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uploaded:
    """A certificate that was uploaded: the Swarm objects that hold its chain and its key."""

    config: str
    secret: str


def arguments(settings: Settings) -> list[str]:
    """Return Traefik's static configuration."""
    web, secure = "--entrypoints.web", "--entrypoints.websecure"
    found = [
        "--providers.swarm=true",
        f"--providers.swarm.endpoint=tcp://{SOCKET}:{SOCKET_PORT}",
        "--providers.swarm.exposedbydefault=false",
        "--providers.swarm.network=internal",
        # Labels that others set publish nothing: a TCP router of theirs could take the whole of
        # port 80, which no priority and no redirection prevents.
        f"--providers.swarm.constraints=Label(`{PUBLISHED}`,`true`)",
        # A new task answers within 5 s of being healthy.
        "--providers.swarm.refreshseconds=1",
        f"--providers.file.filename={DYNAMIC_PATH}",
        f"{web}.address=:80",
        f"{web}.http.redirections.entrypoint.to=websecure",
        f"{web}.http.redirections.entrypoint.scheme=https",
        f"{web}.http.redirections.entrypoint.permanent=true",
        # Above every router, whatever labels somebody sets by hand: port 80 only redirects.
        f"{web}.http.redirections.entrypoint.priority=9223372036854775806",
        f"{secure}.address=:443",
        f"{secure}.asdefault=true",
        f"{secure}.http.tls=true",
        f"{secure}.http.middlewares=secure-headers@file",
        f"{secure}.http.sanitizepath=true",
        "--entrypoints.ping.address=127.0.0.1:8082",
        "--entrypoints.ping.http.aliasheadersstrategy=delete",
        "--ping=true",
        "--ping.entrypoint=ping",
        "--api=false",
        "--log.level=INFO",
        "--log.nocolor=true",
        "--accesslog=true",
        "--accesslog.fields.queryparameters.defaultmode=drop",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    for entry in (web, secure):
        found += [
            f"{entry}.http.maxheaderbytes={HEADER_BYTES}",
            # For WSGI, X_Auth_User and X.Auth.User are X-Auth-User; this deletes all such aliases.
            f"{entry}.http.aliasheadersstrategy=delete",
            f"{entry}.transport.respondingtimeouts.readtimeout=60s",
            f"{entry}.transport.lifecycle.gracetimeout=10s",
        ]
    for character in ("slash", "backslash", "nullcharacter"):
        found.append(f"{secure}.http.encodedcharacters.allowencoded{character}=false")
    return found + acme_arguments(settings)


def acme_arguments(settings: Settings) -> list[str]:
    """Return how Traefik gets certificates; wildcards in a way of their own."""
    acme, wildcards = (f"--certificatesresolvers.{name}.acme" for name in (RESOLVER, DNS_RESOLVER))
    if settings.challenge == "tls-alpn-01":
        found = [f"{acme}.tlschallenge=true"]
    else:
        found = [f"{acme}.httpchallenge.entrypoint=web"]
    resolvers = [acme]
    if settings.dns_provider:
        resolvers.append(wildcards)
        found += dns_challenge.arguments(wildcards, settings.dns_provider, settings.dns_servers)
    for each in resolvers:
        found += [
            f"{each}.email={settings.email}",
            f"{each}.storage=/certificates/acme.json",
            f"{each}.caserver={settings.acme_directory}",
        ]
        if settings.has_acme_ca:
            found.append(f"{each}.cacertificates={CA_PATH}")
    return found


def dynamic(settings: Settings, uploaded: Sequence[Uploaded]) -> bytes:
    """Return Traefik's dynamic configuration: TLS options, headers and uploaded certificates.

    It is JSON, which every YAML reader reads.
    """
    tls: Json = {
        "options": {
            # Named “default”, they hold for every router and for hosts that none has; options of
            # the entry point would not reach routers that say anything about TLS themselves.
            "default": {
                "minVersion": "VersionTLS12",
                "sniStrict": True,
                "cipherSuites": list(PROFILES[settings.ciphers]),
            }
        }
    }
    if uploaded:
        tls["certificates"] = [
            {"certFile": f"/etc/traefik/{item.config}", "keyFile": f"/run/secrets/{item.secret}"}
            for item in uploaded
        ]
    headers: Json = {
        "stsSeconds": 31536000,
        "stsIncludeSubdomains": True,
        "contentTypeNosniff": True,
        "referrerPolicy": "strict-origin-when-cross-origin",
    }
    whole = {"tls": tls, "http": {"middlewares": {"secure-headers": {"headers": headers}}}}
    return json.dumps(whole, indent=1, sort_keys=True).encode()


def traefik_spec(
    settings: Settings,
    node_id: str,
    *,
    dynamic_config: str,
    ca_config: str,
    uploaded: Sequence[Uploaded],
    dns_secrets: Mapping[str, str] | None = None,
) -> Json:
    """Return the load balancer's service, pinned to the node that has the public address.

    The DNS provider's credentials are in secrets; which one, dns_secrets tells of each variable.
    """
    credentials = [
        secret_file(secret, dns_challenge.file_name(variable))
        for variable, secret in (dns_secrets or {}).items()
    ]
    configs = [config_file(dynamic_config, DYNAMIC_PATH)]
    if settings.has_acme_ca:
        configs.append(config_file(ca_config, CA_PATH))
    configs += [config_file(item.config, f"/etc/traefik/{item.config}") for item in uploaded]
    container: Json = {
        "Image": settings.image,
        "Args": arguments(settings),
        "Mounts": [
            {"Type": "volume", "Source": CERTIFICATES, "Target": "/certificates"},
        ],
        "Configs": configs,
        "Secrets": [secret_file(item.secret, item.secret) for item in uploaded] + credentials,
        "ReadOnly": True,
        "CapabilityDrop": ["ALL"],
        "CapabilityAdd": ["CAP_NET_BIND_SERVICE"],
        "StopGracePeriod": 15 * SECOND,
        "Healthcheck": {
            "Test": [
                "CMD",
                "traefik",
                "healthcheck",
                "--ping=true",
                "--entrypoints.ping.address=127.0.0.1:8082",
                "--ping.entrypoint=ping",
            ],
            "Interval": 5 * SECOND,
            # On a busy machine the question itself takes seconds. Ended for that, the balancer
            # would take every domain with it: only one that is silent for long is replaced.
            "Timeout": 15 * SECOND,
            "Retries": 6,
            "StartPeriod": 20 * SECOND,
        },
    }
    if dns_secrets:
        container["Env"] = dns_challenge.environment(dns_secrets)
    ports = [
        {"Protocol": "tcp", "TargetPort": port, "PublishedPort": port, "PublishMode": "host"}
        for port in (80, 443)
    ]
    networks = ["internal", PRIVATE_NETWORK]
    return managed(NAME, container, node_id, networks=networks, ports=ports)


def socket_spec(settings: Settings, node_id: str, *, rules_config: str) -> Json:
    """Return the proxy that reads the Docker socket for the load balancer."""
    container: Json = {
        "Image": settings.socket_image,
        "Command": ["caddy"],
        "Args": ["run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
        "Env": [f"XDG_CONFIG_HOME={SCRATCH}", f"XDG_DATA_HOME={SCRATCH}"],
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/var/run/docker.sock",
                "Target": "/var/run/docker.sock",
                "ReadOnly": True,
            },
            {"Type": "tmpfs", "Target": SCRATCH, "TmpfsOptions": {"SizeBytes": 16 * 2**20}},
        ],
        "Configs": [config_file(rules_config, "/etc/caddy/Caddyfile")],
        "ReadOnly": True,
        "CapabilityDrop": ["ALL"],
        # The image's program demands it by an attribute of the file, and does not start without.
        "CapabilityAdd": ["CAP_NET_BIND_SERVICE"],
    }
    return managed(SOCKET, container, node_id, networks=[PRIVATE_NETWORK], ports=[])


def managed(
    name: str, container: Json, node_id: str, *, networks: list[str], ports: list[Json]
) -> Json:
    """Return a spec around a container of our own; one task, replaced stop-first."""
    strategy = {
        "Parallelism": 1,
        "Delay": 0,
        "FailureAction": "pause",
        "Monitor": 5 * SECOND,
        "MaxFailureRatio": 0,
        "Order": "stop-first",
    }
    endpoint: Json = {"Mode": "dnsrr"} | ({"Ports": ports} if ports else {})
    return {
        "Name": name,
        "Labels": {"medstack.managed": "true"},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Placement": {"Constraints": [f"node.id=={node_id}"]},
            "RestartPolicy": {"Condition": "any", "Delay": 2 * SECOND},
            "Networks": [{"Target": network} for network in networks],
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": strategy,
        "RollbackConfig": strategy,
        "EndpointSpec": endpoint,
    }


def config_file(name: str, path: str) -> Json:
    """Return a reference to a config, mounted at a path."""
    file = {"Name": path, "UID": "0", "GID": "0", "Mode": 0o444}
    return {"ConfigName": name, "File": file}


def secret_file(name: str, file: str) -> Json:
    """Return a reference to a secret, mounted where secrets are."""
    return {"SecretName": name, "File": {"Name": file, "UID": "0", "GID": "0", "Mode": 0o400}}
