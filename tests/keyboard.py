"""Somebody who uses a page with a keyboard alone, and must see at every stop where they are."""

from playwright.sync_api import Page

# As many stops as nobody would have the patience for.
STOPS = 90
HERE = """() => {
  const one = document.activeElement;
  const look = getComputedStyle(one), box = one.getBoundingClientRect();
  const label = one.labels?.[0]?.innerText ?? "";
  return {
    name: (one.getAttribute("aria-label") ?? (label || one.innerText || "")).trim(),
    what: one.outerHTML.slice(0, 160),
    outlined: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2,
    onScreen: box.bottom > 0 && box.top < innerHeight && box.width > 0 && box.height > 0,
  };
}"""


def here(page: Page) -> str:
    """Return what the place is called that has the focus."""
    return str(page.evaluate(HERE)["name"])


def tab_to(page: Page, name: str) -> None:
    """Go from stop to stop until one is called so; each must be seen."""
    passed = []
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        found = page.evaluate(HERE)
        if found["what"].startswith("<body"):
            continue  # The browser's own controls come between the last and the first stop.
        assert found["outlined"], f"Nobody sees that the focus is at {found['what']}"
        assert found["onScreen"], f"The focus is out of sight at {found['what']}"
        passed.append(found["name"].split("\n")[0])
        if passed[-1] == name:
            return
    raise AssertionError(f"“{name}” cannot be reached: {passed}")


def write(page: Page, name: str, text: str) -> None:
    """Go to a field and type into it; a browser selects what stands there already."""
    tab_to(page, name)
    page.keyboard.type(text)


def follow(page: Page, name: str) -> None:
    """Go to a link or button and press it."""
    tab_to(page, name)
    before = page.url
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before)
    page.wait_for_load_state()
