"""The service form's rows: added and taken away without a new page, and without scripts, too."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.console import Console, signed_in

pytestmark = [pytest.mark.browser, pytest.mark.on_sqlite]
SERVICES = "/clusters/production/docker/services/"
POSTPONE = "Check the DNS later (recorded)"


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    context = signed_in(browser, console)
    yield context.new_page()
    context.close()


@pytest.fixture
def plain(browser: Browser, console: Console) -> Iterator[Page]:
    """Return the page of a browser that runs no scripts."""
    context = signed_in(browser, console, java_script_enabled=False)
    yield context.new_page()
    context.close()


def rows(page: Page, name: str) -> Locator:
    """Return the rows of a section that can be seen."""
    return page.locator(f"[data-rows='{name}'] > [data-row]:visible")


def edit(page: Page, service: str, *sections: str) -> None:
    """Open the form of a service, and those of its sections that are folded."""
    page.goto(f"{SERVICES}{service}/edit/")
    for title in sections:
        section = page.locator("details", has=page.locator("summary", has_text=title))
        if section.get_attribute("open") is None:
            section.locator("summary").click()


def save(page: Page, service: str) -> None:
    page.get_by_role("button", name="Save and deploy").click()
    page.wait_for_url(f"**{SERVICES}{service}/")


def map_domain(row: Locator, domain: str) -> None:
    """Fill in a row for a domain; no name server is asked here."""
    row.get_by_label("Domain", exact=True).fill(domain)
    row.get_by_label("Internal port").fill("8080")
    row.get_by_label(POSTPONE).check()


def domains(page: Page) -> list[str]:
    """Return the domains that the form shows."""
    found = rows(page, "domains").get_by_label("Domain", exact=True).all()
    return [one.input_value() for one in found]


def test_of_two_rows_that_are_added_the_first_is_removed_and_the_other_saved(page: Page) -> None:
    edit(page, "appointments", "Domain mapping", "Volumes")
    page.evaluate("() => { document.documentElement.dataset.mark = 'same' }")
    assert rows(page, "domains").count() == 0, "Blank rows are for browsers without scripts."
    for domain in ("first.northside.example", "second.northside.example"):
        page.get_by_role("button", name="Add a domain").click()
        # One types on at once.
        expect(rows(page, "domains").last.get_by_label("Domain", exact=True)).to_be_focused()
        map_domain(rows(page, "domains").last, domain)
    for path in ("/first", "/second"):
        page.get_by_role("button", name="Add a tmpfs").click()
        rows(page, "tmpfs").last.get_by_label("Path in the container").fill(path)
    for name in ("domains", "tmpfs"):
        rows(page, name).first.get_by_role("button", name="Remove this row").click()
        expect(rows(page, name)).to_have_count(1)
        # The focus stays among the rows instead of going back to the top of the page.
        expect(rows(page, name).get_by_role("button")).to_be_focused()
    assert page.evaluate("() => document.documentElement.dataset.mark == 'same'")
    save(page, "appointments")
    edit(page, "appointments")
    assert domains(page) == ["second.northside.example"]
    expect(rows(page, "tmpfs").get_by_label("Path in the container")).to_have_value("/second")


def test_a_row_that_was_saved_is_removed_beside_one_that_is_added(page: Page) -> None:
    edit(page, "messages", "Domain mapping")
    page.get_by_role("button", name="Add a domain").click()
    map_domain(rows(page, "domains").first, "old.northside.example")
    save(page, "messages")
    edit(page, "messages")
    page.get_by_role("button", name="Remove this row").first.click()
    assert domains(page) == []
    page.get_by_role("button", name="Add a domain").click()
    map_domain(rows(page, "domains").first, "new-one.northside.example")
    save(page, "messages")
    edit(page, "messages")
    assert domains(page) == ["new-one.northside.example"]


def test_rows_with_a_mistake_come_back_as_they_were_left(page: Page) -> None:
    edit(page, "appointments", "Volumes")
    for path in ("relative", "/absolute"):
        page.get_by_role("button", name="Add a tmpfs").click()
        rows(page, "tmpfs").last.get_by_label("Path in the container").fill(path)
    page.get_by_role("button", name="Save and deploy").click()
    expect(page.get_by_role("alert")).to_be_focused()
    paths = rows(page, "tmpfs").get_by_label("Path in the container")
    assert [one.input_value() for one in paths.all()][-2:] == ["relative", "/absolute"]
    expect(page.locator("[data-row]", has_text="begins with /")).to_have_count(1)
    page.get_by_role("button", name="Add a tmpfs").click()
    assert paths.last.get_attribute("name") == f"tmpfs-{paths.count() - 1}-path"


def test_without_scripts_a_blank_row_is_filled_in_and_a_box_removes_one(plain: Page) -> None:
    for domain in ("plain.northside.example", "plainer.northside.example"):
        edit(plain, "records", "Domain mapping")
        expect(plain.get_by_role("button", name="Add a domain")).to_have_count(0)
        map_domain(rows(plain, "domains").last, domain)
        save(plain, "records")
    edit(plain, "records")
    assert domains(plain) == ["plain.northside.example", "plainer.northside.example", ""]
    rows(plain, "domains").first.get_by_label("Remove this row").check()
    save(plain, "records")
    edit(plain, "records")
    assert domains(plain) == ["plainer.northside.example", ""]
