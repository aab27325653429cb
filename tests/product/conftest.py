"""One installation for all tests of the whole product, and its Owner in a real browser."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.chromium import chromium
from tests.product.installation import Installation, eventually, network_of
from tests.product.visitor import Visitor
from tests.signing import code_of

EMAIL = "owner@medstack.localhost"
PASSWORD = "a-planted-passphrase-of-the-owner"
# A busy machine takes its time for a page; what never comes is a failure all the same.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    """Start everything as a stranger would, with the demo cluster, and end it behind the tests."""
    root = Path(tempfile.mkdtemp(prefix="msp"))
    root.chmod(0o755)
    found = Installation(root, network_of(root / "nodes", os.getpid() % 250))
    try:
        eventually(lambda: found.says("is running at"), within=300, what="the console starts")
        yield found
    finally:
        found.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser; it is closed before other tests use the database."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def cookies(installation: Installation) -> dict[str, str]:
    """Sign the Owner in for the first time, in a browser; return the session's cookies."""
    with chromium() as program:
        context = program.new_context(base_url=installation.url)
        first_sign_in(context.new_page(), installation.printed_password())
        return {cookie["name"]: cookie["value"] for cookie in context.cookies()}


@pytest.fixture(scope="module")
def window(
    browser: Browser, installation: Installation, cookies: dict[str, str]
) -> Iterator[BrowserContext]:
    """Return a window of the browser in which the Owner has signed in."""
    context = browser.new_context(
        base_url=installation.url, viewport={"width": 1280, "height": 900}
    )
    context.add_cookies(
        [{"name": name, "value": value, "url": installation.url} for name, value in cookies.items()]
    )
    yield context
    context.close()


def first_sign_in(page: Page, printed: str) -> None:
    """Do what the first Owner is asked to: an own password, and a second factor."""
    page.goto("/")
    page.locator("[name=login]").fill(EMAIL)
    page.locator("[name=password]").fill(printed)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Change your password")).to_be_visible()
    page.locator("[name=old_password]").fill(printed)
    page.locator("[name=new_password1]").fill(PASSWORD)
    page.locator("[name=new_password2]").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", name="Set up an authenticator app")).to_be_visible()
    secret = page.locator("code.mono").first.inner_text()
    page.locator("[name=code]").fill(code_of(secret))
    page.get_by_role("button", name="Go on").click()
    page.goto("/")
    expect(page.get_by_role("navigation").first).to_be_visible()
    assert "/sign-in/" not in page.url


@pytest.fixture(scope="package")
def visitor(installation: Installation, cookies: dict[str, str]) -> Visitor:
    """Return the Owner, who uses the pages by HTTP."""
    return Visitor(installation.url, cookies, password=PASSWORD)


@pytest.fixture(scope="package")
def demo(installation: Installation, visitor: Visitor) -> str:
    """Return the address of the demo cluster, which `make up` brings up by itself."""
    eventually(lambda: installation.says("the cluster runs"), within=400, what="the demo runs")
    return "/clusters/demo/"
