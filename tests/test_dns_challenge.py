"""The DNS challenge through the load balancer's form: what it takes, keeps and refuses."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backups.parts import Environment
from backups.policy import environment
from clusters.ingress import dns_challenge
from clusters.ingress.dns_challenge import InvalidServer
from clusters.models import Cluster, DomainMapping, LoadBalancer, Node, Secret, Service
from medstack.models import Event, User
from tests.engines.acting import everything_kept
from tests.running import errors_at, spec_of

TOKEN = "planted-token-9d41"
FORM = {
    "address": "192.0.2.10",
    "email": "ops@northside.example",
    "directory": "https://acme-v02.api.letsencrypt.org/directory",
    "challenge": "http-01",
    "ciphers": "strict",
    "image": "traefik:v3.7",
    "socket_image": "caddy:2.11",
}
Send = Callable[..., Any]


@pytest.fixture
def send(owner: User, cluster: Cluster, node: Node, client_for: Callable[[User], Client]) -> Send:
    """Fill in and send the form of the load balancer."""
    Node.objects.filter(pk=node.pk).update(images=["traefik:v3.7", "caddy:2.11"])
    client, url = client_for(owner), reverse("deploy_load_balancer", args=[cluster.slug])
    return lambda **fields: client.post(url, FORM | {"node": node.pk} | fields)


def made(cluster: Cluster, **values: Any) -> LoadBalancer:
    """Return a load balancer that was deployed earlier."""
    return LoadBalancer.objects.create(
        cluster=cluster,
        node=cluster.nodes.get(),
        address=FORM["address"],
        email=FORM["email"],
        acme_directory=FORM["directory"],
        deployed_at=datetime(2026, 1, 1, tzinfo=UTC),
        **values,
    )


@pytest.mark.django_db
def test_credentials_become_secrets_and_only_their_names_are_kept(
    send: Send, cluster: Cluster
) -> None:
    response = send(
        dns_provider="hetzner",
        dns_credentials=f"HETZNER_API_TOKEN={TOKEN}",
        dns_servers="192.0.2.53\n2001:db8::53",
    )
    assert response.status_code == 302
    row = LoadBalancer.objects.get()
    assert (row.dns_provider, row.dns_variables) == ("hetzner", ["HETZNER_API_TOKEN"])
    assert row.settings.dns_servers == ("192.0.2.53:53", "[2001:db8::53]:53")
    secret = Secret.objects.get(cluster=cluster)
    assert secret.name == "loadbalancer-dns-hetzner-api-token"
    after = Event.objects.get(action="load_balancer.created").after
    assert after and after["dns_variables"] == ["HETZNER_API_TOKEN"]
    assert TOKEN not in everything_kept()


@pytest.mark.django_db
def test_a_snapshot_keeps_how_wildcards_are_proven_and_a_restore_takes_it(
    cluster: Cluster, node: Node
) -> None:
    row = made(
        cluster,
        dns_provider="hetzner",
        dns_variables=["HETZNER_API_TOKEN"],
        dns_servers="192.0.2.53:53",
    )
    kept = environment(cluster)["load_balancer"]
    Environment(load_balancer=kept)
    again = LoadBalancer(**{name: value for name, value in kept.items() if name != "node"})
    assert again.settings == row.settings


@pytest.mark.django_db
def test_left_empty_the_former_credentials_stay(send: Send, cluster: Cluster, node: Node) -> None:
    made(cluster, dns_provider="hetzner", dns_variables=["HETZNER_API_TOKEN"])
    assert send(dns_provider="hetzner", dns_credentials="").status_code == 302
    assert LoadBalancer.objects.get().dns_variables == ["HETZNER_API_TOKEN"]
    assert not Secret.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("provider", "credentials", "field", "words"),
    [
        ("hetzner", "", "dns_credentials", "Hetzner needs HETZNER_API_TOKEN"),
        ("inwx", "INWX_USERNAME=clinic", "dns_credentials", "INWX needs INWX_PASSWORD"),
        ("hetzner", "SSL_CERT=x", "dns_credentials", "names that begin with HETZNER_"),
        ("hetzner", "HETZNER_" + "X" * 33 + "=x", "dns_credentials", "begin with HETZNER_"),
        ("hetzner", TOKEN, "dns_credentials", "write KEY=value"),
        ("", f"HETZNER_API_TOKEN={TOKEN}", "dns_provider", "Choose the provider"),
        ("nobody", f"HETZNER_API_TOKEN={TOKEN}", "dns_provider", "Select a valid choice"),
    ],
)
def test_what_the_provider_cannot_use_is_refused_at_its_field(
    send: Send, provider: str, credentials: str, field: str, words: str
) -> None:
    response = send(dns_provider=provider, dns_credentials=credentials)
    assert words in " ".join(response.context["form"].errors[field])
    assert response.status_code == 422
    assert TOKEN not in response.content.decode()
    assert not LoadBalancer.objects.exists()
    assert not Secret.objects.exists()


@pytest.mark.django_db
def test_another_provider_needs_its_own_credentials(
    send: Send, cluster: Cluster, node: Node
) -> None:
    made(cluster, dns_provider="hetzner", dns_variables=["HETZNER_API_TOKEN"])
    response = send(dns_provider="desec")
    assert "deSEC needs DESEC_TOKEN" in errors_at(response, "dns_credentials")


@pytest.mark.django_db
def test_the_challenge_stays_while_a_wildcard_needs_it(
    send: Send, cluster: Cluster, node: Node
) -> None:
    made(cluster, dns_provider="hetzner", dns_variables=["HETZNER_API_TOKEN"])
    service = Service.objects.create(cluster=cluster, name="web", spec=spec_of())
    row = DomainMapping.objects.create(service=service, domain="*.clinic.example", port=80)
    assert "*.clinic.example" in errors_at(send(dns_provider=""), "dns_provider")
    row.delete()
    assert send(dns_provider="").status_code == 302
    assert LoadBalancer.objects.get().dns_variables == []


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("192.0.2.53", "192.0.2.53:53"),
        ("192.0.2.53:5353", "192.0.2.53:5353"),
        ("2001:db8::53", "[2001:db8::53]:53"),
        ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
    ],
)
def test_a_name_server_has_a_port(typed: str, kept: str) -> None:
    assert dns_challenge.server(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "ns.example.com", "192.0.2.53:0", "192.0.2.53:70000", "[::1", "1.2.3.4,5.6.7.8"]
)
def test_what_is_no_name_server_is_refused(typed: str) -> None:
    with pytest.raises(InvalidServer, match="no name server"):
        dns_challenge.server(typed)


def test_every_provider_needs_what_it_reads() -> None:
    for code, provider in dns_challenge.PROVIDERS.items():
        assert dns_challenge.credentials_problem(code, provider.needed) == ""
        # A secret's name, with its version after it.
        assert all(len(dns_challenge.secret_name(name)) <= 57 for name in provider.needed)
