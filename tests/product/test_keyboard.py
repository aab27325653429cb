"""A service from its making to its deletion with a keyboard alone, on a real Swarm."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from clusters.engine.errors import NotFound
from tests.keyboard import follow, here, tab_to, write
from tests.product.conftest import PASSWORD
from tests.product.installation import Installation
from tests.product.visitor import CONFIRM

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql, pytest.mark.browser]

NAME = "typed"
SERVICE = f"/clusters/demo/docker/services/{NAME}/"
# As long as an operator might wait for a service to be replaced on a busy machine.
PATIENCE = 120_000


@pytest.fixture(scope="module")
def page(window: BrowserContext, demo: str) -> Page:
    """Return a page of somebody without a mouse, who has signed in."""
    return window.new_page()


def press(page: Page, name: str, key: str = "Enter") -> None:
    """Go to a button and press it; the page that follows may have the same address."""
    tab_to(page, name)
    with page.expect_navigation():
        page.keyboard.press(key)
    if CONFIRM in page.url:
        # Some time after the sign-in people are asked once more who they are.
        write(page, "Password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: CONFIRM not in url)


def unfold(page: Page, name: str) -> None:
    """Open what is folded away; what is inside comes next."""
    tab_to(page, name)
    page.keyboard.press("Enter")


def choose(page: Page, name: str) -> None:
    """Open the service's menu and press one of its buttons."""
    unfold(page, "More")
    press(page, name)


def watch_to_the_end(page: Page) -> None:
    """Look on until the operation has ended; nothing needs to be pressed for that."""
    active = page.locator("article.operation-queued, article.operation-running")
    expect(active).to_have_count(0, timeout=PATIENCE)
    expect(page.locator("article.operation-failed")).to_have_count(0)


def spec(installation: Installation) -> dict[str, Any]:
    """Return what the swarm itself runs."""
    with installation.engine(installation.nodes("demo")["node-1"]) as engine:
        found: dict[str, Any] = engine.service(NAME)["Spec"]
    return found


def container(installation: Installation) -> dict[str, Any]:
    found: dict[str, Any] = spec(installation)["TaskTemplate"]["ContainerSpec"]
    return found


def test_a_service_is_made_from_the_first_page_on(page: Page, installation: Installation) -> None:
    page.goto("/")
    follow(page, "Demo")
    follow(page, "Manage Docker")
    follow(page, "Services")
    follow(page, "Create service")
    write(page, "Name", NAME)
    write(page, "Image", "demo.invalid/visits:1")
    unfold(page, "Command")
    write(page, "Arguments", "api")
    press(page, "Create service")
    assert page.url.endswith(SERVICE)
    watch_to_the_end(page)
    assert container(installation)["Args"] == ["api"]


def test_it_is_scaled(page: Page, installation: Installation) -> None:
    page.goto(SERVICE)
    follow(page, "Scale")
    # What stands in a field that is reached by Tab is marked, so typing replaces it.
    write(page, "Replicas", "2")
    press(page, "Scale")
    watch_to_the_end(page)
    assert spec(installation)["Mode"]["Replicated"]["Replicas"] == 2


def test_all_of_its_tasks_are_restarted(page: Page, installation: Installation) -> None:
    before = spec(installation)["TaskTemplate"].get("ForceUpdate", 0)
    page.goto(SERVICE)
    choose(page, "Restart every task")
    watch_to_the_end(page)
    assert spec(installation)["TaskTemplate"]["ForceUpdate"] == before + 1


def test_it_is_changed(page: Page, installation: Installation) -> None:
    page.goto(SERVICE)
    follow(page, "Edit")
    unfold(page, "Environment")
    write(page, "Variables", "COLOUR=green")
    press(page, "Save and deploy", "Space")
    watch_to_the_end(page)
    assert container(installation)["Env"] == ["COLOUR=green"]


def test_the_change_is_rolled_back(page: Page, installation: Installation) -> None:
    assert container(installation)["Env"]
    page.goto(SERVICE)
    choose(page, "Roll back the last change")
    watch_to_the_end(page)
    assert not container(installation).get("Env")


def test_it_is_deleted_once_its_name_is_typed(page: Page, installation: Installation) -> None:
    page.goto(SERVICE)
    unfold(page, "More")
    press(page, "Delete…")
    write(page, "Type the service's name to delete it", "typo")
    press(page, "Delete service")
    # The mistake is where the keyboard is, and leads to the field.
    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert here(page) == "Type the service's name to delete it"
    page.keyboard.press("Control+a")
    page.keyboard.type(NAME)
    press(page, "Delete service")
    # The page follows the service to its end, and then shows the list.
    page.wait_for_url("**/docker/services/", timeout=PATIENCE)
    with (
        installation.engine(installation.nodes("demo")["node-1"]) as engine,
        pytest.raises(NotFound),
    ):
        engine.service(NAME)
