"""The main job, end to end in a real browser: from an empty cluster to a restored volume."""

import re
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from clusters.demo_certificate import signed_for
from clusters.local.images import demo_image
from clusters.local.ingress_images import caddy_image, traefik_image
from tests.engines.acting import QUICK
from tests.product.conftest import PASSWORD
from tests.product.installation import Installation, eventually
from tests.product.visitor import CONFIRM

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql, pytest.mark.browser]

DOMAIN = "portal.localhost"
CHAIN, KEY, _ = signed_for(DOMAIN)
# As long as an operator might wait for an Engine to start on a busy machine.
PATIENCE = 120_000


@pytest.fixture(scope="module")
def page(window: BrowserContext, demo: str) -> Iterator[Page]:
    """Return a browser's page whose visitor has signed in; a broken page fails the tests."""
    page = window.new_page()
    page.set_default_timeout(15_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield page
    assert not problems, problems


def go(page: Page, name: str) -> None:
    """Follow a link by its name."""
    page.get_by_role("link", name=name, exact=True).first.click()


def tab(page: Page, name: str) -> None:
    """Open a tab, whatever number stands beside its name."""
    page.get_by_label("Manage Docker").get_by_role("link", name=re.compile(f"^{name}")).click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def field(page: Page, name: str, value: str) -> None:
    """Fill in a form's field, wherever it is folded away."""
    found = page.locator(f"[name='{name}']")
    if not found.is_visible():
        found.locator("xpath=ancestor::details[1]/summary").click()
    found.fill(value)


def confirm(page: Page) -> None:
    """Say once more who one is, where some time has passed since the sign-in."""
    page.wait_for_url(re.compile(f"/restore/|{CONFIRM}"))
    if CONFIRM in page.url:
        field(page, "password", PASSWORD)
        press(page, "Confirm")
        page.wait_for_url(lambda url: CONFIRM not in url)


def add_row(page: Page, name: str) -> None:
    """Unfold a section of the service form and add a row to it."""
    section = page.locator(f"[data-rows='{name}']")
    if not section.is_visible():
        section.locator("xpath=ancestor::details[1]/summary").click()
    section.locator("[data-add-row]").click()


def watch_to_the_end(page: Page) -> None:
    """Look at an operation until it has ended; the page follows it without being loaded again."""
    active = page.locator("article.operation-queued, article.operation-running")
    expect(active).to_have_count(0, timeout=PATIENCE)
    expect(page.locator("article.operation-failed")).to_have_count(0)


def test_a_cluster_gets_its_first_node(page: Page, installation: Installation) -> None:
    page.goto("/")
    go(page, "Create cluster")
    field(page, "name", "Clinic")
    press(page, "Create cluster")
    # The next step is offered at once.
    expect(page.get_by_role("heading", name="Create node")).to_be_visible()
    go(page, "Create a local node")
    field(page, "name", "first")
    press(page, "Create node")
    watch_to_the_end(page)
    page.goto("/clusters/clinic/")
    expect(page.get_by_role("link", name="Manage Docker")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("first.*Ready.*Manager"))).to_be_visible(
        timeout=PATIENCE
    )
    installation.settle()
    load_images(installation)


def load_images(installation: Installation) -> None:
    """Put the images on the node: no registry can be reached from here."""
    (name,) = installation.nodes("clinic").values()
    rows = installation.sql("SELECT DISTINCT image, socket_image FROM clusters_loadbalancer")
    traefik, caddy = rows[0]
    wanted = {"demo.invalid/visits:1": demo_image, traefik: traefik_image, caddy: caddy_image}
    with installation.engine(name) as engine:
        for image, make in wanted.items():
            archive, changes = make()
            repository, _, tag = image.rpartition(":")
            with archive:
                engine.image_import(archive, repository, tag, changes)
    for image in wanted:
        installation.wait_for_image(image, "clinic")


def test_the_load_balancer_is_deployed_with_a_certificate(page: Page) -> None:
    page.goto("/clusters/clinic/")
    go(page, "Manage Docker")
    tab(page, "Load balancer")
    go(page, "Deploy load balancer")
    field(page, "email", "operator@clinic.example")
    press(page, "Deploy load balancer")
    watch_to_the_end(page)
    # With one of its own, the domain asks no authority beyond this machine for a certificate.
    page.goto("/clusters/clinic/docker/load-balancer/")
    go(page, "Upload certificate")
    field(page, "name", "portal")
    field(page, "chain", CHAIN)
    field(page, "key", KEY.decode())
    press(page, "Upload certificate")
    watch_to_the_end(page)


def test_a_secret_a_volume_and_a_service_with_a_domain(page: Page) -> None:
    page.goto("/clusters/clinic/docker/secrets/")
    go(page, "Create secret")
    field(page, "name", "portal-key")
    field(page, "text", "planted-in-the-browser")
    press(page, "Create secret")
    watch_to_the_end(page)
    page.goto("/clusters/clinic/docker/volumes/")
    go(page, "Create volume")
    field(page, "name", "portal-data")
    page.locator("[name=node]").select_option(label="first")
    press(page, "Create volume")
    watch_to_the_end(page)
    page.goto("/clusters/clinic/docker/services/")
    go(page, "Create service")
    field(page, "name", "portal")
    field(page, "image", "demo.invalid/visits:1")
    field(page, "args", "api")
    add_row(page, "domains")
    field(page, "domains-0-domain", DOMAIN)
    field(page, "domains-0-port", "8080")
    page.locator("[name='domains-0-postpone']").check()
    add_row(page, "secrets")
    add_row(page, "volumes")
    page.locator("[name='secrets-0-name']").select_option(label="portal-key")
    page.locator("[name='volumes-0-volume']").select_option(label="portal-data on first")
    field(page, "volumes-0-path", "/srv/data")
    for name in ("update_monitor", "restart_delay"):
        field(page, name, QUICK[name])
    press(page, "Create service")
    watch_to_the_end(page)


def test_the_service_answers_by_https_only(installation: Installation) -> None:
    found = installation.sql(
        "SELECT l.address FROM clusters_loadbalancer l JOIN clusters_cluster c"
        " ON c.id = l.cluster_id WHERE c.slug = 'clinic'"
    )
    address = str(found[0][0])
    plain = HTTPConnection(address, 80, timeout=20)
    plain.request("GET", "/", headers={"Host": DOMAIN})
    refused = plain.getresponse()
    assert refused.status in (301, 308)
    assert refused.getheader("Location", "").startswith(f"https://{DOMAIN}")
    trusted = ssl.create_default_context(cadata=CHAIN)
    with (
        socket.create_connection((address, 443), timeout=20) as door,
        trusted.wrap_socket(door, server_hostname=DOMAIN) as secure,
    ):
        secure.sendall(f"GET / HTTP/1.0\r\nHost: {DOMAIN}\r\n\r\n".encode())
        assert secure.recv(4096).startswith(b"HTTP/1.0 200")


def test_a_snapshot_is_taken_and_its_volume_restored(page: Page) -> None:
    page.goto("/clusters/clinic/backups/")
    press(page, "Take snapshot now")
    watch_to_the_end(page)
    page.goto("/clusters/clinic/backups/volumes/")
    page.get_by_role("link", name=re.compile("portal-data")).first.click()
    go(page, "Restore")
    confirm(page)
    field(page, "name", "portal-data-again")
    press(page, "Restore")
    watch_to_the_end(page)

    def is_listed() -> bool:
        page.goto("/clusters/clinic/docker/volumes/")
        return page.get_by_role("link", name="portal-data-again").is_visible()

    eventually(is_listed, within=60, what="the console has seen the volume")


def test_the_evidence_is_downloaded(page: Page) -> None:
    page.goto("/clusters/clinic/backups/evidence/")
    with page.expect_download() as download:
        press(page, "Download report")
    path = download.value.path()
    assert path.read_bytes().startswith((b"%PDF", b"PK"))
