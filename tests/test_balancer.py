"""What the load balancer's own services may do, and what they never do."""

import json
import re
from typing import Any

import pytest

from clusters.ingress import balancer, ciphers
from clusters.ingress.balancer import Settings, Uploaded

SETTINGS = Settings(email="admin@example.com", acme_directory="https://acme.example.com/dir")
NODE = "node1"


def options(settings: Settings = SETTINGS) -> dict[str, str]:
    pairs = [argument.split("=", 1) for argument in balancer.arguments(settings)]
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names))
    return {name.removeprefix("--"): value for name, value in pairs}


def dynamic(settings: Settings = SETTINGS, *uploaded: Uploaded) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(balancer.dynamic(settings, uploaded))
    return found


def traefik(settings: Settings = SETTINGS, *uploaded: Uploaded) -> dict[str, Any]:
    return balancer.traefik_spec(
        settings, NODE, dynamic_config="dynamic-1", ca_config="ca-1", uploaded=uploaded
    )


def test_port_80_only_redirects_whatever_routers_there_are() -> None:
    found = options()
    redirection = "entrypoints.web.http.redirections.entrypoint"

    assert found["entrypoints.web.address"] == ":80"
    assert found[f"{redirection}.to"] == "websecure"
    assert found[f"{redirection}.scheme"] == "https"
    assert found[f"{redirection}.permanent"] == "true"
    # Only the ACME challenge stands above it, at 2^63 - 1.
    assert found[f"{redirection}.priority"] == str(2**63 - 2)
    assert found["entrypoints.websecure.asdefault"] == "true"
    assert found["entrypoints.websecure.http.tls"] == "true"


def test_nothing_else_listens() -> None:
    found = options()
    listening = {key: value for key, value in found.items() if key.endswith(".address")}

    assert listening == {
        "entrypoints.web.address": ":80",
        "entrypoints.websecure.address": ":443",
        "entrypoints.ping.address": "127.0.0.1:8082",
    }
    assert found["api"] == "false"
    assert not [key for key in found if "dashboard" in key or "insecure" in key.lower()]


def test_only_services_that_say_so_are_published() -> None:
    assert options()["providers.swarm.exposedbydefault"] == "false"
    assert options()["providers.swarm.constraints"] == "Label(`medstack.published`,`true`)"
    assert options()["providers.swarm.network"] == "internal"
    assert options()["providers.swarm.endpoint"] == "tcp://loadbalancer-socket:2375"


def test_a_healthy_task_is_found_within_five_seconds() -> None:
    assert int(options()["providers.swarm.refreshseconds"]) < 5


@pytest.mark.parametrize("entry", ["web", "websecure"])
def test_headers_are_limited_and_aliases_such_as_underscores_deleted(entry: str) -> None:
    found = options()

    # It deletes X_Auth_User as underscoreheadersstrategy did, and X.Auth.User besides.
    assert found[f"entrypoints.{entry}.http.aliasheadersstrategy"] == "delete"
    assert int(found[f"entrypoints.{entry}.http.maxheaderbytes"]) <= 65536
    assert f"entrypoints.{entry}.transport.respondingtimeouts.readtimeout" in found
    assert not [key for key in found if "forwardedheaders" in key]


@pytest.mark.parametrize("ciphers", ["strict", "compatible"])
def test_tls_is_new_and_unknown_hosts_get_no_certificate(ciphers: str) -> None:
    found = dynamic(Settings("a@b.example", "https://acme.example.com/", ciphers=ciphers))
    tls = found["tls"]

    # Traefik takes these alone for routers that say tls=true, and for hosts that it does not know.
    assert list(tls["options"]) == ["default"]
    assert tls["options"]["default"]["minVersion"] == "VersionTLS12"
    assert tls["options"]["default"]["sniStrict"] is True
    assert "maxVersion" not in tls["options"]["default"]
    assert "stores" not in tls


def test_the_strict_ciphers_are_all_aead_with_forward_secrecy() -> None:
    strict = dynamic()["tls"]["options"]["default"]["cipherSuites"]

    assert strict
    assert all(re.search("_GCM_SHA(256|384)$|_CHACHA20_POLY1305_SHA256$", name) for name in strict)
    assert all(name.startswith("TLS_ECDHE_") for name in ciphers.COMPATIBLE)
    assert set(strict) < set(ciphers.COMPATIBLE)
    assert not [n for n in ciphers.COMPATIBLE if re.search("RC4|3DES|NULL|MD5", n)]


def test_browsers_are_told_to_stay_with_https() -> None:
    headers = dynamic()["http"]["middlewares"]["secure-headers"]["headers"]

    assert headers["stsSeconds"] >= 365 * 86400
    assert headers["contentTypeNosniff"] is True
    assert options()["entrypoints.websecure.http.middlewares"] == "secure-headers@file"


def test_uploaded_certificates_come_from_configs_and_their_keys_from_secrets() -> None:
    item = Uploaded("certificate-1", "certificate-key-1")
    container = traefik(SETTINGS, item)["TaskTemplate"]["ContainerSpec"]

    assert dynamic(SETTINGS, item)["tls"]["certificates"] == [
        {
            "certFile": "/etc/traefik/certificate-1",
            "keyFile": "/run/secrets/certificate-key-1",
        }
    ]
    assert [one["ConfigName"] for one in container["Configs"]] == ["dynamic-1", "certificate-1"]
    assert container["Secrets"] == [
        {
            "SecretName": "certificate-key-1",
            "File": {"Name": "certificate-key-1", "UID": "0", "GID": "0", "Mode": 0o400},
        }
    ]


def test_the_challenge_and_the_authority_are_as_chosen() -> None:
    acme = "certificatesresolvers.acme.acme"
    tls = Settings(
        "a@b.example", "https://acme.example.com/", challenge="tls-alpn-01", has_acme_ca=True
    )

    assert options()[f"{acme}.httpchallenge.entrypoint"] == "web"
    assert f"{acme}.cacertificates" not in options()
    assert options(tls)[f"{acme}.tlschallenge"] == "true"
    assert f"{acme}.httpchallenge.entrypoint" not in options(tls)
    assert options(tls)[f"{acme}.cacertificates"] == balancer.CA_PATH
    files = traefik(tls)["TaskTemplate"]["ContainerSpec"]["Configs"]
    assert {one["File"]["Name"]: one["ConfigName"] for one in files} == {
        balancer.DYNAMIC_PATH: "dynamic-1",
        balancer.CA_PATH: "ca-1",
    }


def test_wildcards_have_a_resolver_of_their_own_whose_credentials_are_in_secrets() -> None:
    acme = "certificatesresolvers.acme-dns.acme"
    chosen = Settings(
        "a@b.example",
        "https://acme.example.com/",
        dns_provider="hetzner",
        dns_variables=("HETZNER_API_TOKEN",),
        dns_servers=("192.0.2.53:53", "[2001:db8::53]:53"),
    )
    found = options(chosen)
    spec = balancer.traefik_spec(
        chosen,
        NODE,
        dynamic_config="dynamic-1",
        ca_config="",
        uploaded=[],
        dns_secrets={"HETZNER_API_TOKEN": "loadbalancer-dns-hetzner-api-token-v2"},
    )
    container = spec["TaskTemplate"]["ContainerSpec"]

    assert found[f"{acme}.dnschallenge.provider"] == "hetzner"
    assert found[f"{acme}.dnschallenge.resolvers"] == "192.0.2.53:53,[2001:db8::53]:53"
    assert found[f"{acme}.storage"] == found["certificatesresolvers.acme.acme.storage"]
    # Other domains are proven as before.
    assert found["certificatesresolvers.acme.acme.httpchallenge.entrypoint"] == "web"
    assert container["Env"] == ["HETZNER_API_TOKEN_FILE=/run/secrets/dns-hetzner_api_token"]
    assert [(one["SecretName"], one["File"]["Name"]) for one in container["Secrets"]] == [
        ("loadbalancer-dns-hetzner-api-token-v2", "dns-hetzner_api_token")
    ]
    assert not [key for key in options() if "acme-dns" in key]
    assert "Env" not in traefik()["TaskTemplate"]["ContainerSpec"]


def test_traefik_stands_on_its_node_without_the_docker_socket() -> None:
    spec = traefik()
    container = spec["TaskTemplate"]["ContainerSpec"]

    assert spec["Name"] == "loadbalancer"
    assert spec["TaskTemplate"]["Placement"]["Constraints"] == ["node.id==node1"]
    assert [(p["PublishedPort"], p["PublishMode"]) for p in spec["EndpointSpec"]["Ports"]] == [
        (80, "host"),
        (443, "host"),
    ]
    # A named volume, so that backups hold the certificates.
    assert container["Mounts"] == [
        {"Type": "volume", "Source": "loadbalancer-certificates", "Target": "/certificates"}
    ]
    assert container["ReadOnly"] is True
    assert container["CapabilityDrop"] == ["ALL"]


def test_only_a_load_balancer_that_is_silent_for_more_than_a_minute_is_replaced() -> None:
    check = traefik()["TaskTemplate"]["ContainerSpec"]["Healthcheck"]

    assert check["Retries"] * check["Timeout"] > 60 * 10**9
    assert check["Interval"] <= 5 * 10**9, "a new one is soon known to be well"


def test_the_socket_proxy_is_on_a_private_network_without_ports() -> None:
    spec = balancer.socket_spec(SETTINGS, NODE, rules_config="rules-1")
    task = spec["TaskTemplate"]
    socket_mount = task["ContainerSpec"]["Mounts"][0]

    assert task["Networks"] == [{"Target": "loadbalancer-private"}]
    assert "Ports" not in spec["EndpointSpec"]
    assert socket_mount["Source"] == "/var/run/docker.sock" and socket_mount["ReadOnly"] is True
    assert task["ContainerSpec"]["ReadOnly"] is True
    assert task["Placement"]["Constraints"] == ["node.id==node1"]


def test_the_socket_proxy_only_reads() -> None:
    lines = [line.strip() for line in balancer.SOCKET_RULES.splitlines()]

    assert "method GET HEAD" in lines
    # The path as it came: path_regexp would compare a cleaned one, and pass on the other.
    assert f"vars_regexp {{http.request.uri.path}} {balancer.SOCKET_PATHS}" in lines
    assert "admin off" in lines
    assert lines.count("reverse_proxy unix//var/run/docker.sock") == 1
    assert lines[lines.index("reverse_proxy unix//var/run/docker.sock") - 1] == "handle @allowed {"


def is_allowed(path: str) -> bool:
    # RE2's $ is the end of the text; Python's also stands before a last newline.
    return bool(re.match(balancer.SOCKET_PATHS.removesuffix("$") + r"\Z", path))


@pytest.mark.parametrize(
    "path",
    [
        "/_ping",
        "/version",
        "/v1.41/version",
        "/v1.41/services",
        "/services",
        "/tasks",
        "/v1.41/tasks",
        "/networks",
        "/v1.41/nodes/abc123",
    ],
)
def test_what_the_swarm_provider_asks_for_is_allowed(path: str) -> None:
    assert is_allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/containers",
        "/info",
        "/nodes",
        "/nodes/..",
        "/services/abc",
        "/v1.41/containers/json",
        "/containers/abc/exec",
        "/exec",
        "/exec/abc/json",
        "/secrets",
        "/v1.41/secrets/abc",
        "/configs",
        "/swarm",
        "/swarm/unlockkey",
        "/images/json",
        "/volumes",
        "/plugins",
        "/system/df",
        "/events",
        "/services/abc/logs",
        "/tasks/abc/logs",
        "//services",
        "//containers/json",
        "/services//containers",
        "/services/..",
        "/services/../containers",
        "/services/../containers/json",
        "/secrets/../services",
        "/services/%2e%2e",
        "/services/..%2fcontainers",
        "/services\n",
        "/services/",
        "/v1.41/../containers/services",
        "/vx/services",
        "/v1.41",
        "/SERVICES",
        "/servicesx",
        "x/services",
    ],
)
def test_nothing_else_is_allowed_nor_by_tricks(path: str) -> None:
    assert not is_allowed(path)
