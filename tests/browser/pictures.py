"""Write a picture of every page, in light and dark, as seen at a desk and on a telephone.

Usage: python -m tests.browser.pictures FOLDER [PAGE …]
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.console import Console, console, signed_in
from tests.chromium import chromium

DEVICES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}
THEMES = ("light", "dark")
# Who is not the owner of the company at work sees these.
OF_OTHERS = {
    "first steps": ("nora", "/"),
    "no operations yet": ("nora", "/operations/"),
    "an auditor's cluster": ("audrey", "/clusters/production/"),
    "sign in": (None, "/sign-in/"),
}


def views(running: Console, wanted: list[str]) -> Iterator[tuple[str, str | None, str]]:
    """Yield each page's name, who looks at it, and where it is."""
    pages = {name: ("olive", url) for name, url in running.pages.items()} | OF_OTHERS
    for name, (who, url) in pages.items():
        if not wanted or name in wanted:
            yield name, who, url


def take(browser: Browser, running: Console, folder: Path, wanted: list[str]) -> int:
    """Write the pictures, named after page, device and theme; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = 0
    for theme in THEMES:
        for device, how in DEVICES.items():
            windows: dict[str | None, Page] = {}
            for name, who, url in views(running, wanted):
                if who not in windows:
                    context = signed_in(browser, running, who, color_scheme=theme, **how)
                    windows[who] = context.new_page()
                page = windows[who]
                page.goto(url)
                file = folder / f"{name.replace(' ', '_')}-{device}-{theme}.png"
                page.screenshot(path=file, full_page=True, animations="disabled")
                taken += 1
            for page in windows.values():
                page.context.close()
    return taken


def main(folder: str, *wanted: str) -> None:
    """Start a console, and take the pictures."""
    with console() as running, chromium() as browser:
        taken = take(browser, running, Path(folder), list(wanted))
    sys.stdout.write(f"{taken} pictures are in {folder}.\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
