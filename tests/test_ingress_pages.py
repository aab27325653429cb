"""The load balancer and domain mappings through their pages."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from clusters.actions import services as service_actions
from clusters.ingress.routes import of_labels
from clusters.models import (
    Certificate,
    Cluster,
    DomainMapping,
    LoadBalancer,
    Node,
    Secret,
    Service,
)
from medstack.models import Company, Event, Operation, User
from medstack.models.events import SYSTEM
from tests.authorities import DAY, NOW, issue
from tests.outside import NameServer, name_server
from tests.running import errors_at, filled, spec_of

pytestmark = pytest.mark.django_db
ADDRESS = "192.0.2.10"
DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"


@pytest.fixture
def names(settings: Settings) -> Iterator[NameServer]:
    """Answer where domains lead; nobody else is asked."""
    with name_server({("app.example.com.", "A"): [ADDRESS]}) as server:
        server.records[("elsewhere.example.com.", "A")] = ["198.51.100.77"]
        settings.DNS_SERVER = server.address
        yield server


@pytest.fixture
def balancer(cluster: Cluster, node: Node) -> LoadBalancer:
    return LoadBalancer.objects.create(
        cluster=cluster,
        node=node,
        address=ADDRESS,
        email="ops@northside.example",
        acme_directory=DIRECTORY,
        deployed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def with_image(node: Node, cluster: Cluster) -> None:
    """Let the image be on a node, so that no registry is asked; and the network be known."""
    Node.objects.filter(pk=node.pk).update(images=["portal:1", "traefik:v3.7", "caddy:2.11"])
    cluster.networks.create(engine_id="n" * 25, name="internal")


@pytest.fixture
def browser(owner: User, client_for: Callable[[User], Client]) -> Client:
    return client_for(owner)


Fill = Callable[..., Any]


@pytest.fixture
def create(browser: Client, cluster: Cluster, with_image: None) -> Fill:
    """Send the form of a new service that maps one domain."""

    def send(domain: str, *, name: str = "portal", client: Client = browser, **row: str) -> Any:
        url = reverse("new_service", args=[cluster.slug])
        data = filled(client, url, name=name, image="portal:1")
        data |= {"domains-0-domain": domain, "domains-0-port": "8080"}
        data |= {f"domains-0-{key}": value for key, value in row.items()}
        return client.post(url, data)

    return send


def text(response: Any) -> str:
    return str(response.content.decode())


def test_a_domain_becomes_labels_of_the_service_and_a_row(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    assert create("App.Example.com").status_code == 302
    service = Service.objects.get(name="portal")
    [route] = of_labels("portal", service.spec["Labels"])
    assert (route.domain, route.port) == ("app.example.com", 8080)
    mapping = DomainMapping.objects.present().get()
    assert (mapping.domain, mapping.service) == ("app.example.com", service)
    assert Event.objects.filter(action="domain.mapped").count() == 1


def test_without_a_load_balancer_the_form_says_so(create: Fill, names: NameServer) -> None:
    response = create("app.example.com")
    assert response.status_code == 422
    assert "Deploy the load balancer first" in text(response)


def test_a_domain_that_leads_elsewhere_is_refused_with_both_addresses(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    response = create("elsewhere.example.com")
    assert response.status_code == 422
    assert "198.51.100.77" in text(response)
    assert ADDRESS in text(response)
    assert not Service.objects.exists()


def test_a_domain_that_does_not_resolve_is_refused(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    response = create("nowhere.example.com")
    assert response.status_code == 422
    assert "does not resolve" in text(response)


def test_an_owner_may_postpone_the_check_and_that_is_recorded(
    create: Fill, balancer: LoadBalancer, names: NameServer, owner: User
) -> None:
    assert create("nowhere.example.com", postpone="on").status_code == 302
    assert DomainMapping.objects.get().dns_postponed_by == owner.email
    after = Event.objects.get(action="domain.mapped").after
    assert after and after["dns_check_postponed"] is True


def test_an_operator_may_not_postpone_it(
    create: Fill,
    balancer: LoadBalancer,
    names: NameServer,
    operator: User,
    client_for: Callable[[User], Client],
) -> None:
    response = create("nowhere.example.com", postpone="on", client=client_for(operator))
    assert response.status_code == 422


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("https://app.example.com", "domain alone"),
        ("app", "no full domain"),
        ("a_b.example.com", "letters, digits and hyphens"),
        ("203.0.113.5", "IP address"),
        ("*.example.com", "wildcard needs an uploaded certificate"),
    ],
)
def test_what_is_no_domain_is_refused_at_its_field(
    create: Fill, balancer: LoadBalancer, names: NameServer, domain: str, words: str
) -> None:
    response = create(domain)
    assert response.status_code == 422
    assert words in text(response)


def test_a_domain_of_another_service_is_refused_and_named(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    assert create("app.example.com").status_code == 302
    response = create("app.example.com", name="second")
    assert response.status_code == 422
    assert "belongs to the service “portal”" in text(response)


def test_a_domain_of_another_company_is_refused_without_a_name(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    other = Company.objects.create(name="Southside")
    cluster = Cluster.objects.create(company=other, name="S", slug="s")
    hidden = Service.objects.create(cluster=cluster, name="hidden-name")
    DomainMapping.objects.create(service=hidden, domain="app.example.com", port=80)
    response = create("app.example.com")
    assert response.status_code == 422
    assert "another service of this installation" in text(response)
    assert "hidden-name" not in text(response)


def test_a_deleted_service_lets_its_domains_go(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    create("app.example.com")
    service_actions.mark_deleted(Service.objects.get(name="portal"))
    assert not DomainMapping.objects.present().exists()
    assert create("app.example.com", name="second").status_code == 302


def test_the_load_balancer_stays_while_domains_are_mapped(
    create: Fill, browser: Client, cluster: Cluster, balancer: LoadBalancer, names: NameServer
) -> None:
    create("app.example.com")
    response = browser.post(reverse("remove_load_balancer", args=[cluster.slug]))
    assert response.status_code == 422
    assert "app.example.com" in text(response)
    assert not Operation.objects.filter(kind="loadbalancer.remove").exists()


def test_deploying_is_one_form_and_an_operation(
    browser: Client, cluster: Cluster, node: Node, with_image: None
) -> None:
    url = reverse("deploy_load_balancer", args=[cluster.slug])
    data = {
        "node": node.pk,
        "address": ADDRESS,
        "email": "ops@northside.example",
        "directory": DIRECTORY,
        "challenge": "http-01",
        "ciphers": "strict",
        "image": "traefik:v3.7",
        "socket_image": "caddy:2.11",
    }
    assert browser.post(url, data | {"image": "traefik:v3.5.0"}).status_code == 422
    assert browser.post(url, data | {"email": "nobody"}).status_code == 422
    response = browser.post(url, data | {"directory": "", "acme_directory": "http://x.example/"})
    assert response.status_code == 422
    assert "https" in text(response)
    assert not LoadBalancer.objects.exists()
    assert browser.post(url, data).status_code == 302
    assert Operation.objects.get().kind == "loadbalancer.deploy"
    assert Event.objects.filter(action="load_balancer.created").count() == 1


def test_a_certificate_whose_key_is_another_s_is_refused_at_the_key(
    browser: Client, cluster: Cluster
) -> None:
    good, other = (issue("x", domains=("*.example.com",)) for _ in range(2))
    url = reverse("upload_certificate", args=[cluster.slug])
    response = browser.post(url, {"name": "wild", "chain": good.pem, "key": other.key_pem})
    assert response.status_code == 422
    assert response.context["form"].errors["key"]
    assert other.key_pem.splitlines()[1] not in text(response)
    assert browser.post(url, {"name": "wild", "chain": good.pem, "key": good.key_pem}).status_code
    secret = Secret.objects.get()
    assert secret.name == "certificate-wild-key"


def test_an_uploaded_certificate_lets_a_wildcard_be_mapped(
    browser: Client, cluster: Cluster, create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    names.records[("medstack-check.example.com.", "A")] = [ADDRESS]
    good = issue("x", domains=("*.example.com",))
    url = reverse("upload_certificate", args=[cluster.slug])
    browser.post(url, {"name": "wild", "chain": good.pem, "key": good.key_pem})
    assert create("*.example.com").status_code == 302
    labels = Service.objects.get(name="portal").spec["Labels"]
    assert not [key for key in labels if "certresolver" in key]


def test_a_domain_that_also_leads_elsewhere_is_refused(
    create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    names.records[("both.example.com.", "A")] = [ADDRESS, "198.51.100.77"]
    assert "but also to 198.51.100.77" in text(create("both.example.com"))
    # An IPv6 address may well be the same machine's.
    names.records[("both.example.com.", "A")] = [ADDRESS]
    names.records[("both.example.com.", "AAAA")] = ["2001:db8::7"]
    assert create("both.example.com").status_code == 302


def test_an_international_name_is_stored_as_punycode_and_shown_in_both_forms(
    create: Fill, browser: Client, cluster: Cluster, balancer: LoadBalancer, names: NameServer
) -> None:
    names.records[("xn--mnchen-3ya.example.", "A")] = [ADDRESS]
    assert create("München.example").status_code == 302
    assert DomainMapping.objects.get().domain == "xn--mnchen-3ya.example"
    for page in ("load_balancer", "services"):
        shown = text(browser.get(reverse(page, args=[cluster.slug])))
        assert "münchen.example (xn--mnchen-3ya.example)" in shown
        assert 'href="https://xn--mnchen-3ya.example"' in shown


def test_a_row_is_taken_away_without_a_script_by_its_box(
    create: Fill, browser: Client, cluster: Cluster, balancer: LoadBalancer, names: NameServer
) -> None:
    create("app.example.com")
    url = reverse("edit_service", args=[cluster.slug, "portal"])
    page = text(browser.get(url))
    assert 'name="domains-0-DELETE"' in page and "Remove this row" in page
    # A blank row stands ready for the next domain.
    assert 'name="domains-1-domain"' in page
    response = browser.post(url, filled(browser, url) | {"domains-0-DELETE": "on"})
    assert response.status_code == 302
    assert not DomainMapping.objects.present().exists()
    assert "traefik.enable" not in Service.objects.get(name="portal").spec["Labels"]


def test_an_expired_certificate_lets_no_wildcard_be_mapped(
    cluster: Cluster, create: Fill, balancer: LoadBalancer, names: NameServer
) -> None:
    names.records[("medstack-check.example.com.", "A")] = [ADDRESS]
    uploaded = Certificate.objects.create(
        cluster=cluster,
        name="wild",
        names=["*.example.com"],
        not_after=datetime.now(UTC) - timedelta(minutes=1),
    )
    assert "wildcard needs" in text(create("*.example.com"))
    Certificate.objects.filter(pk=uploaded.pk).update(
        not_after=datetime.now(UTC) + timedelta(days=1)
    )
    assert create("*.example.com").status_code == 302


def test_a_chain_that_has_expired_is_refused_at_the_chain(
    browser: Client, cluster: Cluster
) -> None:
    old = issue("x", domains=("app.example.com",), last=NOW - DAY)
    url = reverse("upload_certificate", args=[cluster.slug])
    response = browser.post(url, {"name": "old", "chain": old.pem, "key": old.key_pem})
    assert "expired on" in errors_at(response, "chain")
    assert not Certificate.objects.exists()


def test_with_a_dns_challenge_a_wildcard_needs_no_certificate(
    create: Fill, browser: Client, cluster: Cluster, balancer: LoadBalancer, names: NameServer
) -> None:
    names.records[("medstack-check.example.com.", "A")] = [ADDRESS]
    LoadBalancer.objects.update(dns_provider="hetzner", dns_variables=["HETZNER_API_TOKEN"])
    assert create("*.example.com").status_code == 302
    labels = Service.objects.get(name="portal").spec["Labels"]
    assert labels["traefik.http.routers.portal-0.tls.certresolver"] == "acme-dns"
    page = text(browser.get(reverse("load_balancer", args=[cluster.slug])))
    assert "*.example.com" in page and "https://*" not in page, "no browser can visit it"


def test_rolling_back_brings_the_domain_back(
    create: Fill, cluster: Cluster, balancer: LoadBalancer, names: NameServer
) -> None:
    create("app.example.com")
    service = Service.objects.get(name="portal")
    bare = service.spec | {"Labels": {}}
    service_actions.update_service(service, bare, generation=1, by=SYSTEM)
    assert not DomainMapping.objects.present().exists()
    service.refresh_from_db()
    service_actions.roll_back(service, by=SYSTEM)
    assert DomainMapping.objects.present().get().domain == "app.example.com"


def test_the_load_balancer_s_own_services_cannot_be_taken_apart(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    Service.objects.create(
        cluster=cluster, name="loadbalancer", spec=spec_of("loadbalancer"), is_managed=True
    )
    own = {"slug": cluster.slug, "name": "loadbalancer"}
    edit = browser.get(reverse("edit_service", kwargs=own))
    assert edit.headers["Location"] == reverse("load_balancer", args=[cluster.slug])
    scaled = browser.post(reverse("scale_service", kwargs=own), {"replicas": 3})
    deleted = browser.post(reverse("delete_service", kwargs=own), {"confirmation": "loadbalancer"})
    for response in (scaled, deleted):
        assert response.status_code == 422
        assert "belongs to the load balancer" in text(response)
    assert not Operation.objects.exists()
