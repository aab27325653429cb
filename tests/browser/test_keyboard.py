"""The main job with a keyboard alone, and at every stop one sees where one is."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console import Console
from tests.conftest import PASSWORD
from tests.keyboard import follow, here, tab_to, write
from tests.signing import code_of

pytestmark = [pytest.mark.browser, pytest.mark.on_sqlite]


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    context = browser.new_context(base_url=console.url, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def sign_in(page: Page, email: str) -> None:
    """Sign in by the page; each person once, for a code of the app is good for one time."""
    page.goto("/sign-in/")
    write(page, "Email", email)
    write(page, "Password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/authenticate/**")
    page.wait_for_load_state()
    write(page, "Code", code_of())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def test_somebody_signs_in_and_creates_a_cluster(page: Page) -> None:
    sign_in(page, "nora@new.example")
    page.goto("/")
    page.keyboard.press("Tab")
    assert here(page) == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    # What comes next is in the page, not in the bar above it.
    follow(page, "Create cluster")
    expect(page.get_by_role("heading", name="Create cluster")).to_be_visible()
    write(page, "Name", "Practice")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Create node")).to_be_visible()


def test_somebody_opens_manage_docker_and_creates_a_secret(page: Page) -> None:
    sign_in(page, "olive@northside.example")
    follow(page, "Production")
    follow(page, "Manage Docker")
    follow(page, "Secrets")
    follow(page, "Create secret")
    # A mistake first: the summary of what is wrong takes the focus, and leads to the field.
    tab_to(page, "Create secret")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert here(page).startswith("Name")
    page.keyboard.type("typed-by-hand")
    write(page, "Text", "a value")
    tab_to(page, "Create secret")
    page.keyboard.press("Enter")
    expect(page.locator("article.operation").first).to_be_visible()
    expect(page.get_by_text("typed-by-hand").first).to_be_visible()


def test_menus_open_and_close_and_a_filter_is_chosen_with_arrows(page: Page) -> None:
    sign_in(page, "audrey@northside.example")
    page.goto("/operations/")
    # The menu shows the first letter of the address.
    tab_to(page, "A")
    page.keyboard.press("Enter")
    tab_to(page, "Change password")
    page.keyboard.press("Escape")
    expect(page.locator(".top-bar details[open]")).to_have_count(0)
    assert page.evaluate("() => document.activeElement.localName") == "summary"
    tab_to(page, "State")
    for _ in ("queued", "running", "done", "failed"):
        page.keyboard.press("ArrowDown")
    page.wait_for_url("**state=failed**")
    assert here(page) == "State"
