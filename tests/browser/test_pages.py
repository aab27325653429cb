"""Every page, in light and dark: nothing that axe finds, nothing too wide, no complaints."""

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.console import Console, signed_in
from tests.browser.looking import Complaints, too_wide, violations

pytestmark = [pytest.mark.browser, pytest.mark.on_sqlite]
# 400 % of a window of 1280 pixels, and a telephone.
NARROW = (320, 390)
# No single test takes minutes.
PARTS = 4
# What somebody finds whose company has nothing yet, and the ways in of those who are not signed in.
EMPTY = ("/", "/clusters/", "/operations/", "/evidence/", "/evidence/backups/", "/activity/")
UNFOLD = "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"
OUTSIDE = ("/sign-in/", "/join/unknown/", "/clusters/production/")


def look(page: Page, where: str, *, narrow: bool = True) -> list[str]:
    """Return what is wrong with the page that is open, in a wide and in narrow windows."""
    found = [f"{where}: {line}" for line in violations(page)]
    for width in NARROW if narrow else ():
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{where} at {width} pixels: {line} is too wide" for line in too_wide(page)]
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_can_be_used_by_everybody(
    browser: Browser, console: Console, theme: str, part: int
) -> None:
    assert len(console.pages) > 60
    context = signed_in(browser, console, color_scheme=theme)
    complaints = Complaints(context)
    page = context.new_page()
    found = []
    for name, url in list(console.pages.items())[part::PARTS]:
        page.goto(url)
        # The width of things follows from no colour.
        found += look(page, name, narrow=theme == "light")
        found += [f"{name}: {line}" for line in complaints]
        complaints.clear()
    context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_so_can_pages_that_are_empty_and_those_outside(
    browser: Browser, console: Console, theme: str
) -> None:
    found = []
    for paths, context in (
        (EMPTY, signed_in(browser, console, "nora", color_scheme=theme)),
        (OUTSIDE, signed_in(browser, console, None, color_scheme=theme)),
    ):
        complaints = Complaints(context)
        page = context.new_page()
        for path in paths:
            page.goto(path)
            found += look(page, path) + complaints
        context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_so_can_what_opens_on_a_page_and_a_form_that_was_refused(
    browser: Browser, console: Console, theme: str
) -> None:
    context = signed_in(browser, console, color_scheme=theme)
    page = context.new_page()
    page.goto("/clusters/production/docker/services/new/")
    page.get_by_role("button", name="Create service", exact=True).click()
    page.get_by_role("alert").wait_for()
    page.evaluate(UNFOLD)
    found = look(page, "a refused form")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/")
        page.locator(".top-bar summary").click()
        found += look(page, f"the menu at {width} pixels")
    context.close()
    assert not found, "\n".join(found)


def test_axe_and_the_measure_of_width_notice_what_is_wrong(
    browser: Browser, console: Console
) -> None:
    page = browser.new_page()
    page.set_content(
        '<html lang="en"><title>No</title><main><h1>No</h1><img src="x">'
        '<p style="color:#ccc;background:#fff;width:3000px">Pale</p></main>'
    )
    found = " ".join(violations(page))
    assert "image-alt" in found and "color-contrast" in found
    assert too_wide(page)
    page.close()
