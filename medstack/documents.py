"""The documents of docs/ as pages: Markdown in, HTML with anchors out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# In the order in which a new operator needs them; the decisions follow.
FIRST = ("operating", "people", "restoring", "evidence", "security", "installing")
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    """A section of a document: where a link can lead."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Document:
    """One document, ready to be shown."""

    name: str
    title: str
    html: SafeString
    headings: tuple[Heading, ...]

    @property
    def url(self) -> str:
        """Return its page."""
        return reverse("help", args=[self.name])

    @property
    def sections(self) -> list[Heading]:
        """Return what its table of contents names."""
        return [one for one in self.headings if one.level == 2]


@cache
def names() -> tuple[str, ...]:
    """Return the names of all documents, as their addresses have them."""
    folder = settings.BASE_DIR / "docs"
    found = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.md")]
    ordered = sorted((str(PurePosixPath(path)) for path in found), key=order)
    return (*ordered, "changelog")


def order(name: str) -> tuple[int, str]:
    """Sort the important ones first, and decisions last."""
    place = FIRST.index(name) if name in FIRST else len(FIRST) + name.count("/")
    return place, name


@cache
def document(name: str) -> Document:
    """Return one of the documents; they change with the version only."""
    folder = settings.BASE_DIR
    path = folder / "CHANGELOG.md" if name == "changelog" else folder / "docs" / f"{name}.md"
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(COMMENT.sub("", path.read_text()))
    headings = tuple(anchored(tokens))
    for token in tokens:
        for part in token.children or ():
            if part.type == "link_open":
                part.attrSet("href", led(str(part.attrGet("href")), name))
    html = str(markdown.renderer.render(tokens, markdown.options, {}))
    # A wide table moves inside its frame, not the page; the keyboard reaches it, too.
    html = html.replace("<table>", '<div class="table-wrap" tabindex="0"><table>')
    html = html.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')
    title = headings[0].text if headings else name
    return Document(name, title, mark_safe(html), headings)  # noqa: S308 - files of our own


def anchored(tokens: Sequence[Token]) -> list[Heading]:
    """Give every heading the anchor that its words have on the usual hosts of repositories."""
    found: list[Heading] = []
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(part.content for part in inline.children or ())
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        before = sum(one.anchor.rstrip("-0123456789") == anchor for one in found)
        if any(one.anchor == anchor for one in found):
            anchor = f"{anchor}-{before}"
        opening.attrSet("id", anchor)
        found.append(Heading(int(opening.tag[1]), anchor, text))
    return found


def led(target: str, name: str) -> str:
    """Return where a link of a document leads on these pages."""
    path, hash_sign, anchor = target.partition("#")
    if "://" in path or not path.endswith(".md"):
        return target
    parts: list[Any] = []
    for part in (PurePosixPath("docs", name).parent / path).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    found = "/".join(parts).removeprefix("docs/").removesuffix(".md")
    found = "changelog" if found == "CHANGELOG" else found
    return f"{reverse('help', args=[found])}{hash_sign}{anchor}" if found in names() else target
