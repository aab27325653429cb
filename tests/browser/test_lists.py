"""Lists answer while people type, and the address always says what is shown."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console import Console, signed_in
from tests.browser.looking import Complaints

pytestmark = [pytest.mark.browser, pytest.mark.on_sqlite]
SERVICES = "/clusters/production/docker/services/"


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    context = signed_in(browser, console)
    complaints = Complaints(context)
    yield context.new_page()
    assert not complaints
    context.close()


def names(page: Page) -> list[str]:
    """Return the names in a list, from top to bottom."""
    return page.locator("#listing tbody th").locator("a").all_inner_texts()


def stays(page: Page) -> None:
    """Mark the document; the mark is gone once a page has been loaded anew."""
    page.evaluate("() => { document.documentElement.dataset.mark = 'same' }")


def has_stayed(page: Page) -> bool:
    return bool(page.evaluate("() => document.documentElement.dataset.mark == 'same'"))


def test_a_search_answers_while_somebody_types_and_going_back_undoes_it(page: Page) -> None:
    page.goto(SERVICES)
    everything = names(page)
    assert len(everything) == 5
    stays(page)
    page.get_by_role("searchbox").press_sequentially("imag")
    expect(page.locator("#listing tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?.*q=imag"))
    expect(page.locator("#listing-count")).to_have_text("1 service")
    assert names(page) == ["imaging"]
    assert has_stayed(page)
    page.go_back()
    expect(page.locator("#listing tbody tr")).to_have_count(5)
    expect(page.get_by_role("searchbox")).to_have_value("")
    assert names(page) == everything
    page.go_forward()
    expect(page.locator("#listing tbody tr")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("imag")


def test_the_address_of_a_search_leads_somebody_else_to_the_same_rows(page: Page) -> None:
    page.goto(f"{SERVICES}?q=port&sort=-name")
    assert names(page) == ["portal"]
    expect(page.get_by_role("searchbox")).to_have_value("port")


def test_a_heading_sorts_and_the_search_keeps_the_order(page: Page) -> None:
    page.goto(SERVICES)
    stays(page)
    upwards = names(page)
    page.locator("#listing thead").get_by_role("link", name="Service").click()
    expect(page).to_have_url(re.compile(r"sort=-name"))
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    assert names(page) == upwards[::-1]
    page.get_by_role("searchbox").press_sequentially("or")
    expect(page.locator("#listing tbody tr")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"q=or"))
    expect(page).to_have_url(re.compile(r"sort=-name"))
    assert has_stayed(page)
    assert names(page) == ["records", "portal"]


def test_a_filter_narrows_the_list_by_the_address(page: Page) -> None:
    page.goto("/operations/")
    everything = page.locator("#listing tbody tr").count()
    stays(page)
    page.get_by_label("State").select_option("failed")
    expect(page.locator("#listing tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"state=failed"))
    assert has_stayed(page)
    page.go_back()
    expect(page.locator("#listing tbody tr")).to_have_count(everything)
    expect(page.get_by_label("State")).to_have_value("")


def test_pages_are_turned_without_losing_the_place(page: Page) -> None:
    page.goto("/clusters/production/backups/")
    stays(page)
    first = names(page)
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page).to_have_url(re.compile(r"page=2"))
    expect(page.get_by_role("navigation", name="Pages").locator("[aria-current]")).to_have_text(
        re.compile("2")
    )
    assert has_stayed(page)
    assert not set(first) & set(names(page))
    page.go_back()
    expect(page.locator("#listing tbody th a").first).to_have_text(first[0])


def test_without_scripts_the_same_list_is_searched_sorted_and_paged(
    browser: Browser, console: Console
) -> None:
    context = signed_in(browser, console, java_script_enabled=False)
    page = context.new_page()
    page.goto(SERVICES)
    page.get_by_role("searchbox").fill("imag")
    page.get_by_role("button", name="Search").click()
    assert names(page) == ["imaging"]
    page.goto(SERVICES)
    page.locator("#listing thead").get_by_role("link", name="Service").click()
    assert names(page) == sorted(names(page), reverse=True)
    page.goto("/clusters/production/backups/")
    page.get_by_role("link", name="Next", exact=True).click()
    assert "page=2" in page.url
    context.close()
