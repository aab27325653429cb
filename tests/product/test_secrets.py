"""After a full run of the product, no planted value is found anywhere in clear."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.product.conftest import PASSWORD
from tests.product.installation import Installation
from tests.product.visitor import TIMEOUT, Visitor, accepted

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]

REGISTRY_PASSWORD = "planted-password-of-a-registry"
SECRET = "planted-value-of-a-secret"
DEMO = "/clusters/demo/"
API = "/api/v1"
# Whatever these tests, or those before them, type as a secret has this word in it.
PLANTED = re.compile(rb"[\w-]*planted[\w-]*")
# What Docker and openssl would write.
KNOWN = re.compile(rb"SWMTKN-1-\w+-\w+|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")
MOST_PAGES = 250


@pytest.fixture(scope="module", autouse=True)
def planted(installation: Installation, visitor: Visitor, demo: str) -> None:
    """Type secrets wherever the product takes some, and let it do all its work with them."""
    accepted(
        visitor.post(
            DEMO + "docker/registries/new/",
            {
                "address": "registry.invalid",
                "username": "robot",
                "password": REGISTRY_PASSWORD,
            },
        )
    )
    accepted(visitor.post(DEMO + "docker/secrets/new/", {"name": "hidden", "text": SECRET}))
    installation.settle()
    accepted(visitor.post(DEMO + "backups/snapshots/now/"))
    installation.settle()


@pytest.fixture(scope="module")
def values(installation: Installation) -> list[bytes]:
    """Return what the console itself keeps secret, as it was made by chance."""
    code = (
        "import json; from backups.models import Repository; from allauth.mfa.models import"
        " Authenticator; from allauth.mfa.adapter import get_adapter;"
        " found = [v for r in Repository.objects.all() for v in (r.password, r.node_access)];"
        " found += [get_adapter().decrypt(a.data['secret']) for a in"
        " Authenticator.objects.filter(type='totp')]; print(json.dumps(found))"
    )
    printed = installation.manage("shell", "-v", "0", "-c", code)
    assert printed.returncode == 0, printed.stderr
    found = json.loads(printed.stdout)
    access = [json.loads(one)["password"] for one in found if one.startswith("{")]
    plain = [one for one in found if not one.startswith("{")]
    keys = [path.read_text().split() for path in installation.state.glob("keys/*_key*")]
    lines = [line for text in keys for line in text if len(line) > 30]
    wanted = [*plain, *access, *lines, installation.printed_password()]
    assert len(wanted) > 5
    return [one.encode() for one in wanted]


def found_in(name: str, content: bytes, values: list[bytes]) -> list[str]:
    """Return where a secret stands in clear, with what stands around it."""
    places = [match.start() for match in PLANTED.finditer(content)]
    places += [match.start() for match in KNOWN.finditer(content)]
    places += [content.index(value) for value in values if value in content]
    return [f"{name}: …{content[max(0, at - 80) : at + 60]!r}" for at in places[:3]]


def test_none_is_in_the_database(installation: Installation, values: list[bytes]) -> None:
    dump = installation.database.dump()
    assert b"registry.invalid" in dump
    assert not found_in("database", dump, values)


def test_none_is_in_a_log_or_another_file_of_the_installation(
    installation: Installation, values: list[bytes]
) -> None:
    # The first password is printed, and has been changed since.
    values = [one for one in values if one.decode() != installation.printed_password()]
    found = []
    for path in installation.state.rglob("*"):
        # Keys that are files can be read by the console alone, and are what the rest relies on.
        is_key = path.parent.name == "keys" or path.suffix == ".key"
        if path.is_file() and is_key:
            assert path.stat().st_mode & 0o077 == 0, path
        elif path.is_file() and path.suffix != ".tar":
            found += found_in(str(path), path.read_bytes(), values)
    for path in (installation.output, installation.folder / "postgresql" / "log"):
        found += found_in(str(path), path.read_bytes(), values)
    assert not found


def test_none_is_in_what_docker_shows_of_a_container_service_or_config(
    installation: Installation, values: list[bytes]
) -> None:
    found, seen = [], 0
    for node, name in installation.nodes("demo").items():
        with installation.engine(name) as engine:
            shown = [engine.container(one["Id"]) for one in engine.containers(all=True)]
            if node == "node-1":
                shown += [*engine.services(), *engine.tasks(), *engine.configs()]
                shown += engine.secrets()
            shown += engine.volumes()
            seen += len(shown)
            for one in shown:
                found += found_in(node, json.dumps(one).encode(), values)
    assert seen > 10
    assert not found


def test_none_is_on_any_page(
    installation: Installation, visitor: Visitor, values: list[bytes]
) -> None:
    found, opened = [], 0
    for path, content in every_page(visitor):
        opened += 1
        found += found_in(path, content, values)
    assert opened > 60
    assert not found


def every_page(visitor: Visitor) -> Iterator[tuple[str, bytes]]:
    """Follow every link of the console, page after page."""
    waiting, known = ["/", DEMO], {"/", DEMO}
    for _ in range(MOST_PAGES):
        if not waiting:
            return
        path = waiting.pop(0)
        response = visitor.get(path)
        yield path, response.content
        if "html" not in response.headers.get("Content-Type", ""):
            continue
        for escaped in re.findall(r'(?:href|hx-get|action)="(/[^"#]*)', response.text):
            link = escaped.replace("&amp;", "&")
            # Each way to sort and filter a list shows the same rows; signing out ends it all.
            plain = link.partition("?")[0]
            if plain not in known and "sign-out" not in link and not link.startswith("/static/"):
                known.add(plain)
                waiting.append(link)


def test_none_is_in_what_programs_are_told(installation: Installation, values: list[bytes]) -> None:
    found, opened = [], set()
    for address, content in every_answer(installation):
        opened.add(address)
        found += found_in(address, content, values)
    assert {"/api/v1/clusters/demo/secrets", "/api/v1/clusters/demo/services/api"} <= opened
    assert not found


def every_answer(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """Ask, with an Owner's token, every address of the API that something can be read at."""
    code = (
        "from medstack.actions.tokens import make_token; from medstack.models.events import Actor;"
        " from medstack.models import Membership;"
        " owner = Membership.objects.select_related('user', 'company').filter(role='owner')[0];"
        " print(make_token(owner.company, 'hunt', 'operator', 1, by=Actor(owner.user))[1])"
    )
    made = installation.manage("shell", "-v", "0", "-c", code)
    assert made.returncode == 0, made.stderr
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
    described = session.get(f"{installation.url}{API}/openapi.json", timeout=TIMEOUT).json()
    listed: dict[str, dict[str, str]] = {}
    for template in sorted(path for path, known in described["paths"].items() if "get" in known):
        before, _, after = template.replace("{slug}", "demo").partition("/{")
        if after:
            parameter, _, rest = after.partition("}")
            first = listed.get(before)
            if before.endswith("/operations"):
                first = {"id": newest_operation(installation)}
            elif first is None:
                continue
            before += f"/{first['id' if parameter == 'pk' else parameter]}{rest}"
        answer = session.get(installation.url + before, timeout=TIMEOUT)
        assert answer.status_code == 200, (before, answer.text)
        yield before, answer.content
        rows = answer.json().get("items")
        if rows:
            listed[before] = rows[0]


def newest_operation(installation: Installation) -> str:
    """Return an operation's number, which no address lists."""
    return str(installation.sql("SELECT max(id) FROM medstack_operation")[0][0])


@pytest.mark.parametrize("form", ["json", "csv", "pdf"])
def test_none_is_in_the_evidence(
    form: str, installation: Installation, visitor: Visitor, values: list[bytes]
) -> None:
    path = DEMO + "backups/evidence/"
    fields = {"first": "2026-01-01", "last": "2026-01-31", "format": form}
    today = installation.sql("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0]
    fields |= {"first": f"{today:%Y-%m}-01", "last": today.isoformat()}
    response = visitor.post(path, fields)
    assert response.status_code == 200, response.text[:2000]
    assert response.content
    assert not found_in(form, response.content, values)


def test_none_is_in_the_list_of_processes(values: list[bytes]) -> None:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += found_in(str(path), path.read_bytes(), values)
        except OSError:
            continue
    assert not found


def test_the_hunt_finds_what_is_there(values: list[bytes]) -> None:
    for content in (SECRET.encode(), PASSWORD.encode(), b"x" + values[0], b"SWMTKN-1-abc-def"):
        assert found_in("somewhere", content, values)
