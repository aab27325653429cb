"""The documents: pages lead to their sections, claims to their tests, and no setting is missing."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client, RequestFactory

from medstack import documents
from medstack.help_sections import OTHERWISE, SECTIONS, section_for
from medstack.models import Company, User
from tests.belongings import Belongings, addresses, asked, belongings

ROOT = Path(settings.BASE_DIR)
NAMES = documents.names()
LINK = re.compile(r'class="help-link" href="([^"]*)"')


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    return belongings(company, "ours", owner)


@cache
def anchors(name: str) -> set[str]:
    """Return where links into a document can lead, as a browser finds them."""
    return set(re.findall(r'id="([^"]+)"', documents.document(name).html))


def leads_somewhere(link: str) -> bool:
    path, _, anchor = link.partition("#")
    name = path.removeprefix("/help/").strip("/")
    return name in NAMES and (not anchor or anchor in anchors(name))


@pytest.mark.django_db
def test_every_page_leads_to_a_section_that_is_there(ours: Belongings, owner: User) -> None:
    seen, wrong = 0, []
    for name, _ in addresses():
        answer = asked(owner, "get", ours.url(name))
        if "text/html" not in answer.headers.get("Content-Type", "") or answer.status_code != 200:
            continue
        page = b"".join(answer) if answer.streaming else answer.content
        links = LINK.findall(page.decode())
        seen += 1
        # The documents themselves need no help.
        expected = 0 if name == "help" else 1
        if len(links) != expected or not all(map(leads_somewhere, links)):
            wrong.append((name, links))
    assert not wrong
    assert seen > 55


@pytest.mark.parametrize("page", sorted({*SECTIONS, "a_page_that_nobody_thought_of"}))
def test_every_kind_of_page_has_its_section(page: str) -> None:
    name, _, anchor = section_for(page).partition("#")
    assert name in NAMES
    assert not anchor or anchor in anchors(name)
    assert (section_for(page) == OTHERWISE) == (page not in SECTIONS)


def test_the_page_of_a_failure_leads_to_help_as_well() -> None:
    for template in ("404.html", "403.html", "500.html"):
        assert 'href="/help/operating/"' in render_to_string(template)


@pytest.mark.parametrize("name", NAMES)
def test_every_document_is_a_page_and_its_links_lead_somewhere(name: str, client: Client) -> None:
    answer = client.get(f"/help/{name}/")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert page.count("<h1") == 1
    assert "&lt;!--" not in page
    article = page.partition('<article class="prose">')[2]
    broken = []
    for link in re.findall(r'href="([^"]+)"', article):
        if link.startswith("#"):
            link = f"/help/{name}/{link}"  # noqa: PLW2901
        if link.startswith("/") and not link.startswith("/static/") and not leads_somewhere(link):
            broken.append(link)
        if not re.match(r"/|https?://", link):
            broken.append(link)
    assert not broken


def test_help_is_open_to_whoever_cannot_sign_in_yet(client: Client, db: None) -> None:
    assert "Operating" in client.get("/help/").content.decode()
    assert client.get("/help/../medstack/settings.py/").status_code == 404
    assert client.get("/help/nothing/").status_code == 404


def test_no_document_can_put_anything_but_text_on_a_page() -> None:
    for name in NAMES:
        assert "<script" not in documents.document(name).html
        assert "<iframe" not in documents.document(name).html


def test_a_link_between_documents_leads_to_their_pages() -> None:
    assert documents.led("security.md#secrets", "operating") == "/help/security/#secrets"
    assert documents.led("../security.md", "decisions/0001-own-clock") == "/help/security/"
    assert documents.led("../CHANGELOG.md", "operating") == "/help/changelog/"
    assert documents.led("https://example.com/x.md", "operating") == "https://example.com/x.md"


def sources() -> Iterator[tuple[str, str]]:
    for path in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        yield str(path.relative_to(ROOT)), path.read_text()


def test_every_test_that_a_document_names_exists() -> None:
    missing, named = [], 0
    for document, text in sources():
        for path, _, test in re.findall(r"`((?:tests|benchmarks)/[\w/.-]+?)(::(\w+))?`", text):
            named += 1
            found = ROOT / path
            if not found.exists() or (test and f"def {test}(" not in found.read_text()):
                missing.append((document, path, test))
    assert not missing
    assert named > 40


def test_every_section_of_operating_names_what_shows_it() -> None:
    text = (ROOT / "docs/operating.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert not [one.partition("\n")[0] for one in sections if "Shown by `" not in one]


def variables_read() -> set[str]:
    """Return the settings that the console's programs take from the environment."""
    found = {"DATABASE_URL"}
    texts = [path.read_text() for path in ROOT.glob("medstack/**/*.py")]
    texts += [path.read_text() for path in ROOT.glob("clusters/**/*.py")]
    texts += [path.read_text() for path in ROOT.glob("backups/**/*.py")]
    for text in texts:
        found |= set(re.findall(r'(?:env\.\w+|environ\.get)\(\s*"(MEDSTACK_\w+)"', text))
    for name in ("up", "state.sh", "supervisord.conf"):
        found |= set(re.findall(r"\$\{(MEDSTACK_\w+)", (ROOT / "deploy" / name).read_text()))
    return found


def variables_in_the_table() -> list[str]:
    """Return the settings of the table in docs/operating.md."""
    text = (ROOT / "docs/operating.md").read_text().partition("## Processes")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_table_has_every_setting_once_and_no_other() -> None:
    listed = variables_in_the_table()
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == variables_read()


def test_the_stack_passes_on_only_settings_that_there_are() -> None:
    stack = (ROOT / "deploy/console/stack.yml").read_text()
    passed = set(re.findall(r"^  (MEDSTACK_\w+):", stack, re.MULTILINE))
    assert passed
    assert passed <= variables_read()


def test_every_variable_of_the_stack_is_documented() -> None:
    folder = ROOT / "deploy/console"
    texts = [(folder / name).read_text() for name in ("stack.yml", "own-swarm.yml", "install")]
    used = set(re.findall(r"\$\{((?:MEDSTACK|CONSOLE|POSTGRES|CADDY)_\w+)", "\n".join(texts)))
    text = (ROOT / "docs/installing.md").read_text()
    inner = {"CONSOLE_RESOLVE_IMAGE"}  # for the tests, and for whoever looks into the script
    known = set(re.findall(r"`(\w+)`", text)) | variables_read() | inner
    assert not used - known


def test_the_help_link_follows_the_page(rf: RequestFactory, client: Client, db: None) -> None:
    page: Any = client.get("/sign-in/")
    assert LINK.findall(page.content.decode()) == ["/help/people/#signing-in"]
