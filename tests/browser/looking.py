"""What is wrong with a page: what axe says, what is too wide, what the browser complains of."""

from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (tags) => {
  const found = await axe.run(document, {
    runOnly: {type: "tag", values: tags},
    rules: {"color-contrast": {enabled: true}},
    resultTypes: ["violations"],
  });
  return found.violations.map(({id, help, nodes}) => ({
    id, help, nodes: nodes.map(({target, failureSummary}) => [target.join(" "), failureSummary]),
  }));
}"""
WIDER = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > root.clientWidth + 1)
    .slice(0, 4).map((one) => `${one.localName}.${one.className}`);
}"""


class Complaints(list[str]):
    """What a window's pages have complained of: errors of scripts, and of the content policy."""

    def __init__(self, context: BrowserContext) -> None:
        super().__init__()
        context.on("weberror", lambda error: self.append(str(error.error)))
        context.on("console", lambda said: self._said(said.type, said.text))

    def _said(self, kind: str, text: str) -> None:
        # That a page is not there is what one of the pages is about.
        if kind == "error" and "404 (Not Found)" not in text:
            self.append(text)


def violations(page: Page) -> list[str]:
    """Return what axe finds on the page that is open, one line for each kind."""
    # Through the debugger: a script element would be refused by the content policy.
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(RUN, RULES)
    return [
        f"{one['id']}: {one['help']}: "
        + "; ".join(
            f"{target} ({why.splitlines()[-1].strip()})" for target, why in one["nodes"][:3]
        )
        for one in found
    ]


def too_wide(page: Page) -> list[str]:
    """Return what makes the page scroll sideways."""
    found: list[str] = page.evaluate(WIDER)
    return found
