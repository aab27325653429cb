"""One console and one browser for all tests of a module; a test opens windows of its own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.console import Console
from tests.browser.console import console as running_console
from tests.chromium import chromium


@pytest.fixture(scope="package")
def console() -> Iterator[Console]:
    """Run a console with a company's rows, which all tests here look at and none depends on."""
    with running_console() as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser; it is closed before other tests use the database."""
    with chromium() as found:
        yield found
