"""A passkey is made in the browser, kept by it, and opens the console without a password."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console import Console

pytestmark = [pytest.mark.browser, pytest.mark.on_sqlite]
KEEPER = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def with_authenticator(page: Page) -> str:
    """Give the browser a place that keeps passkeys, as telephones have one; return its id."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    found = session.send("WebAuthn.addVirtualAuthenticator", {"options": KEEPER})
    return str(found["authenticatorId"])


def test_who_has_added_a_passkey_signs_in_with_it_alone_until_it_is_removed(
    browser: Browser, console: Console
) -> None:
    # Passkeys belong to a name; an address has none.
    url = f"http://localhost:{urlsplit(console.url).port}"
    context = browser.new_context(base_url=url)
    context.add_cookies([{"name": "sessionid", "value": console.sessions["nora"], "url": url}])
    page = context.new_page()
    with_authenticator(page)
    page.goto("/account/security/webauthn/add/")
    page.get_by_label("Name").fill("Nora's computer")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add passkey").click()
    page.get_by_role("link", name="I have kept them").click()
    page.goto("/account/security/webauthn/")
    expect(page.get_by_role("link", name="Nora's computer")).to_be_visible()

    context.clear_cookies()
    page.goto("/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{url}/")
    expect(page.get_by_role("navigation").first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert "nora@new.example" in page.content()
    context.close()
