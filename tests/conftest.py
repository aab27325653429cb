"""People, a cluster and a client for each of them; what every test may ask for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from django.test.utils import setup_databases, teardown_databases
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as properties
from pytest_django.plugin import DjangoDbBlocker
from xdist.scheduler import LoadFileScheduling

from clusters.models import Cluster, Node
from medstack.models import Company, Membership, User
from tests.fake_engine import FakeEngine
from tests.signing import sign_in
from tests.unwell import Fakes, attach, fake_engines

# A busy machine is no failure, and a test leaves no files behind.
properties.register_profile(
    "steady",
    deadline=None,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
properties.load_profile("steady")

PASSWORD = "correct-horse-battery-9"
Role = Membership.Role


class Together(LoadFileScheduling):  # type: ignore[misc]
    """Tests that share Engines go to one process: those of a file, and those of the product."""

    def _split_scope(self, nodeid: str) -> str:
        folder, _, rest = nodeid.partition("::")[0].rpartition("/")
        return folder if folder.endswith("/product") else f"{folder}/{rest}"


# What takes minutes begins first, so that no process works on alone in the end.
LONG = (
    "tests/product/",
    "tests/engines/test_console_stack.py",
    "tests/engines/test_killed_worker.py",
    "tests/engines/test_restoring.py",
    "tests/engines/test_protection.py",
    "tests/engines/test_backup_faults.py",
    "tests/engines/test_environment_restore.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests' files by how long they take, as far as it matters."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Let a test put a figure into the run's output, whichever process measures it."""
    return lambda text: record_property("said", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write what the tests had to say."""
    reports = [one for several in terminalreporter.stats.values() for one in several]
    for report in reports:
        if getattr(report, "when", "") == "call":
            for name, text in report.user_properties:
                if name == "said":
                    terminalreporter.write_line(f"{report.location[2]}: {text}")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    """Make the test database also where only real-Engine tests run, which carry no mark for it."""
    with django_db_blocker.unblock():
        before = setup_databases(verbosity=0, interactive=False, aliases={"default": None})
    yield
    with django_db_blocker.unblock():
        teardown_databases(before, verbosity=0)


@pytest.fixture(autouse=True, scope="session")
def without_backups() -> Iterator[None]:
    """Leave agents out where a test is about something else."""
    with override_settings(BACKUPS=False):
        yield


@pytest.fixture(autouse=True, scope="session")
def engines_of_this_machine() -> Iterator[None]:
    """Let Engines be attached by their sockets; tests/test_reach.py is about those that may not."""
    with override_settings(UNIX_ENDPOINTS=["/"]):
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """Hash passwords quickly: a slow hash protects nobody here."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


def person(email: str, company: Company, role: str) -> User:
    """Make a user with a role in a company."""
    user = User.objects.create_user(email, PASSWORD)
    Membership.objects.create(user=user, company=company, role=role)
    return user


@pytest.fixture
def company(db: None) -> Company:
    return Company.objects.create(name="Northside Clinic")


@pytest.fixture
def owner(company: Company) -> User:
    return person("olive@northside.example", company, Role.OWNER)


@pytest.fixture
def operator(company: Company) -> User:
    return person("oscar@northside.example", company, Role.OPERATOR)


@pytest.fixture
def auditor(company: Company) -> User:
    return person("audrey@northside.example", company, Role.AUDITOR)


@pytest.fixture
def stranger(db: None) -> User:
    return person("sam@elsewhere.example", Company.objects.create(name="Elsewhere"), Role.OWNER)


@pytest.fixture
def client_for() -> Callable[[User], Client]:
    """Sign a user in and return the browser's stand-in."""

    def signed_in(user: User) -> Client:
        client = Client(REMOTE_ADDR="192.0.2.7")
        return sign_in(client, user)

    return signed_in


@pytest.fixture
def cluster(company: Company) -> Cluster:
    return Cluster.objects.create(
        company=company, name="Production", slug="production", swarm_id="swarm-1"
    )


@pytest.fixture
def node(cluster: Cluster) -> Node:
    """Return a manager that was seen just now; no Engine is behind it."""
    return Node.objects.create(
        cluster=cluster,
        name="node-1",
        provider=Node.Provider.ATTACH,
        endpoint_url="unix:///nonexistent/docker.sock",
        address="192.0.2.10",
        role=Node.Role.MANAGER,
        swarm_node_id="swarmnode1",
        swarm_state="ready",
        availability="active",
        seen_at=timezone.now(),
        api_version="1.41",
        engine_version="20.10.24",
    )


@pytest.fixture
def fakes(tmp_path: Path) -> Iterator[Fakes]:
    """Let fake Engines be started, for failures that real ones cannot be made to show."""
    with fake_engines(tmp_path) as start:
        yield start


@pytest.fixture
def fake(fakes: Fakes, node: Node) -> FakeEngine:
    """Put a fake Engine behind the cluster's one node."""
    fake = fakes()
    attach(node, fake)
    return fake


@pytest.fixture
def browser(client_for: Callable[[User], Client], operator: User) -> Client:
    """Return the pages as an Operator uses them."""
    return client_for(operator)
