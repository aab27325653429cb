"""The console as it is shipped: installed, upgraded, lost and brought back on real Engines.

The tests build on one another, in the order in which they stand here.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from tests.engines.acting import problems_on
from tests.engines.console_stack import (
    Images,
    Machine,
    Traffic,
    first_sign_in,
    images,
    printed_password,
    sign_in,
    storage,
)
from tests.product.installation import eventually
from tests.product.visitor import Visitor, accepted

pytestmark = [pytest.mark.engines, pytest.mark.on_sqlite]
PARTS = {"web", "worker", "clock", "repository", "backup", "database", "door"}
OURS = ("web", "worker", "clock", "repository", "backup")
OWN = "/clusters/own/"
NEWER = "medstack/console:2"
MIGRATION = "9999_of_the_newer_version"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Images:
    return images(folder)


@pytest.fixture(scope="module")
def backup(folder: Path, local_network: dict[str, object]) -> Iterator[Path]:
    """Say where the console is backed up, which is not on its machine."""
    with storage(folder) as file:
        yield file


@pytest.fixture(scope="module")
def machine(folder: Path, backup: Path, registry: Images) -> Iterator[Machine]:
    """Return the console's machine, on which nothing is installed yet."""
    found = Machine("first", folder, backup, registry)
    yield found
    found.lose()


@pytest.fixture(scope="module")
def said(machine: Machine) -> str:
    """Install the console and return what was printed."""
    machine.begin_swarm()
    return machine.install()


@pytest.fixture(scope="module")
def browser(machine: Machine, said: str) -> Visitor:
    return machine.browser()


@pytest.fixture(scope="module")
def secret(browser: Visitor, said: str) -> str:
    """Sign the Owner in for the first time; return the second factor's secret."""
    return first_sign_in(browser, printed_password(said))


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    return folder / "report.json"


def test_a_machine_without_a_swarm_is_told_what_to_do(machine: Machine) -> None:
    with pytest.raises(AssertionError, match="Begin with: docker swarm init"):
        machine.install()


def test_one_command_installs_the_whole_console(machine: Machine, said: str) -> None:
    running = machine.docker("stack", "services", "console", "--format", "{{.Name}} {{.Replicas}}")
    found = dict(line.split() for line in running.splitlines())
    assert found == {f"console_{part}": "2/2" if part == "web" else "1/1" for part in sorted(PARTS)}
    assert printed_password(said)


def test_the_owner_signs_in_over_https_and_sees_the_first_page(
    browser: Visitor, secret: str
) -> None:
    page = browser.get("/")
    assert "Dashboard" in page.text
    assert page.headers["Strict-Transport-Security"]
    assert all(cookie.secure for cookie in browser.session.cookies)


def test_installing_again_changes_nothing_and_prints_no_password(
    machine: Machine, secret: str
) -> None:
    before = sorted(machine.containers())
    again = machine.install()
    assert "Password" not in again
    assert sorted(machine.containers()) == before


def test_every_container_has_no_rights_and_writes_nowhere(machine: Machine, said: str) -> None:
    for found in machine.inspected(*OURS):
        host = found["HostConfig"]
        assert found["Config"]["User"].partition(":")[0] == "10001"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
    for container in machine.containers(*OURS):
        status = machine.python(container, "print(open('/proc/1/status').read())")
        assert re.findall(r"^Uid:\t(.*)$", status, re.MULTILINE) == ["\t".join(["10001"] * 4)]
        assert set(re.findall(r"^Cap\w+:\t(\w+)$", status, re.MULTILINE)) == {"0" * 16}
    for found in machine.inspected("door", "database"):
        assert found["HostConfig"]["ReadonlyRootfs"]


def test_no_secret_is_in_what_the_engine_tells_nor_in_a_log(machine: Machine, said: str) -> None:
    (worker,) = machine.containers("worker")
    program = (
        "import json, pathlib; print(json.dumps("
        "[f.read_text() for f in pathlib.Path('/run/secrets').iterdir()]))"
    )
    values = json.loads(machine.python(worker, program))
    words = [word for value in values for word in re.findall(r"[^\s\"{}:,]{20,}", value)]
    assert len(words) >= len(values) == 5
    services = machine.docker("stack", "services", "console", "--quiet").split()
    told = json.dumps(machine.inspected()) + machine.docker("service", "inspect", *services)
    told += "".join(machine.docker("logs", container) for container in machine.containers())
    assert not [word for word in words if word in told]


def test_the_console_takes_over_the_swarm_that_it_runs_on(
    machine: Machine, browser: Visitor, secret: str
) -> None:
    accepted(browser.fill_in("/clusters/new/", "name", name="own"))
    typed = {
        "name": "first",
        "role": "manager",
        "address": machine.address,
        "endpoint_url": "unix:///var/run/docker.sock",
        "adopt": "on",
    }
    accepted(browser.fill_in(f"{OWN}nodes/new/attach/", "endpoint_url", **typed))
    assert machine.ended("node.create") == ("done", "")

    def all_listed() -> bool:
        page = browser.get(f"{OWN}docker/services/").text
        return all(f"console_{part}" in page for part in PARTS)

    eventually(all_listed, within=45, what="the console lists the services that it consists of")


def test_the_last_node_of_the_console_s_own_swarm_stays(machine: Machine, browser: Visitor) -> None:
    path, ends = f"{OWN}nodes/first/", "would end the console that runs there"
    drained = browser.post(f"{path}availability/", {"availability": "drain"})
    removed = browser.fill_in(f"{path}remove/", "confirmation", confirmation="first")
    for refused in (drained, removed):
        assert refused.status_code == 422
        assert ends in refused.text
    forced = {"confirmation": "first", "force": "on"}
    accepted(browser.fill_in(f"{path}remove/", "confirmation", **forced))
    state, error = machine.ended("node.remove")
    assert state == "failed"
    assert "A console runs on this swarm" in error
    assert "true" in machine.docker("info", "--format", "{{.Swarm.ControlAvailable}}")
    assert "Ready" in browser.get(path).text


def test_an_upgrade_is_noticed_by_nobody(machine: Machine, browser: Visitor, folder: Path) -> None:
    machine.new_version(NEWER, newer())
    stranger = machine.browser()
    with Traffic(browser, "/", OWN) as owner, Traffic(stranger, "/sign-in/", "/healthz") as others:
        machine.install(MEDSTACK_IMAGE=NEWER)
    assert owner.faults + others.faults == []
    assert min(owner.answered, others.answered) > 50
    assert {one["Config"]["Image"] for one in machine.inspected(*OURS)} == {NEWER}
    assert "Nobody had this before" in browser.get("/help/changelog/").text
    assert [MIGRATION] in machine.sql("SELECT name FROM django_migrations")


def newer() -> dict[str, str]:
    """Return what another version has: a line in the change log, and a migration."""
    migrations = Path(settings.BASE_DIR, "medstack/migrations").glob("0*.py")
    before = max(path.stem for path in migrations)
    return {
        "CHANGELOG.md": "# Changes\n\n## 2.0.0\n\nNobody had this before.\n",
        f"medstack/migrations/{MIGRATION}.py": (
            "from django.db import migrations\n\n\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [('medstack', '{before}')]\n"
            "    operations = [migrations.RunSQL('CREATE TABLE newer (pk int)')]\n"
        ),
    }


def test_a_version_that_does_not_start_leaves_the_one_before_in_its_place(
    machine: Machine, browser: Visitor
) -> None:
    machine.new_version("medstack/console:broken", {"manage.py": "1 / 0"})
    with pytest.raises(AssertionError, match="The new version did not start"):
        machine.install(MEDSTACK_IMAGE="medstack/console:broken")
    assert {one["Config"]["Image"] for one in machine.inspected(*OURS)} == {NEWER}
    assert browser.get("/").ok
    # What went back once is no reason to refuse the next attempt.
    machine.install(MEDSTACK_IMAGE=NEWER)


def test_evidence_is_signed(browser: Visitor, report: Path) -> None:
    response = browser.fill_in(f"{OWN}backups/evidence/", "format", format="json")
    report.write_bytes(response.content)
    assert response.ok, problems_on(response.text)
    assert verifies(browser, report)


def verifies(browser: Visitor, report: Path) -> bool:
    """Say whether a report verifies with the key that the console hands out."""
    key = report.with_suffix(".pem")
    key.write_bytes(browser.get("/evidence/key/").content)
    call_command("verify_evidence", str(report), key=key)
    return True


def test_the_backup_and_the_sheet_are_all_that_is_left(machine: Machine, sheet: Path) -> None:
    assert "Backed up as" in machine.manage("backup_console")
    sheet.write_text(machine.manage("console_sheet"))
    machine.lose()


@pytest.fixture(scope="module")
def sheet(folder: Path) -> Path:
    return folder / "sheet"


@pytest.fixture(scope="module")
def second(folder: Path, backup: Path, registry: Images) -> Iterator[Machine]:
    """Return the machine that takes the first one's place."""
    found = Machine("second", folder, backup, registry)
    found.begin_swarm()
    found.new_version(NEWER, newer())
    yield found
    found.lose()


def test_a_lost_console_comes_back_on_an_empty_machine(second: Machine, sheet: Path) -> None:
    brought = second.install(sheet=sheet, MEDSTACK_IMAGE=NEWER, CONSOLE_WEB_REPLICAS="1")
    for what in ("people: 1", "clusters: 1", "snapshots: [1-9]"):
        assert re.search(what, brought)
    assert "Password:" not in brought


def test_everybody_signs_in_as_before_and_what_was_signed_verifies(
    second: Machine, secret: str, report: Path
) -> None:
    browser = second.browser()
    assert "Dashboard" in sign_in(browser, secret).text
    assert verifies(browser, report)


def test_the_audit_record_that_came_back_is_the_one_that_the_snapshots_know(
    second: Machine,
) -> None:
    # The embedded repositories' folder is where it was.
    checked = second.manage("verify_events", "--repositories")
    assert re.search(r"My company: \d+ records, unbroken, [1-9]\d* anchors agree", checked)
