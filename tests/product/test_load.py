"""Many browsers at once: every page answers, and the memory stays flat."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.product.installation import Installation
from tests.product.visitor import Visitor

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]

BROWSERS = 50
# `make endurance` goes on for five minutes.
SECONDS = int(os.environ.get("SOAK_SECONDS", "20"))
PAGES = (
    "/",
    "/clusters/demo/",
    "/clusters/demo/docker/services/",
    "/clusters/demo/docker/services/web/",
    "/clusters/demo/docker/secrets/",
    "/clusters/demo/docker/volumes/",
    "/clusters/demo/backups/",
    "/clusters/demo/backups/volumes/",
    "/clusters/demo/backups/retention/",
    "/operations/",
    "/activity/",
    "/evidence/",
    "/healthz",
)
PAGE = os.sysconf("SC_PAGE_SIZE")


class Crowd:
    """Browsers that open one page after the other, as quickly as they are answered."""

    def __init__(self, installation: Installation, cookies: dict[str, str]) -> None:
        self.installation, self.cookies = installation, cookies
        self.until = time.monotonic() + SECONDS
        self.answers: list[float] = []
        self.opened: set[str] = set()
        self.problems: list[str] = []

    def browse(self, first: int) -> None:
        visitor = Visitor(self.installation.url, self.cookies)
        number = first
        while time.monotonic() < self.until:
            path = PAGES[number % len(PAGES)]
            number += 1
            began = time.monotonic()
            try:
                response = visitor.get(path)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is looked for
                self.problems.append(f"{path}: {error}")
                continue
            self.answers.append(time.monotonic() - began)
            self.opened.add(path)
            if response.status_code != 200 or "/sign-in/" in response.url:
                self.problems.append(f"{path}: {response.status_code} {response.url}")


def memory_of_the_web(installation: Installation) -> float:
    """Return how much memory the web processes hold, in MB."""
    parent = installation.process_of("web")
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    pages = [int(Path(f"/proc/{child}/statm").read_text().split()[1]) for child in children]
    return sum(pages) * PAGE / 2**20


def test_fifty_browsers_meet_no_error_and_memory_stays_flat(
    installation: Installation,
    cookies: dict[str, str],
    demo: str,
    say: Callable[[str], None],
) -> None:
    crowd = Crowd(installation, cookies)
    threads = [threading.Thread(target=crowd.browse, args=(n,)) for n in range(BROWSERS)]
    for thread in threads:
        thread.start()
    # Every page has been opened by then, so that what is loaded once is loaded.
    while time.monotonic() < crowd.until - SECONDS / 2:
        time.sleep(0.1)
    before = memory_of_the_web(installation)
    for thread in threads:
        thread.join()
    after = memory_of_the_web(installation)
    answers = sorted(crowd.answers)
    say(
        f"{BROWSERS} browsers for {SECONDS} s: {len(answers)} pages,"
        f" median {answers[len(answers) // 2]:.2f} s, {len(crowd.problems)} errors,"
        f" memory {before:.0f} MB, then {after:.0f} MB"
    )
    assert not crowd.problems, crowd.problems[:10]
    assert crowd.opened == {*PAGES}
    assert after < 1.1 * before + 10
