"""No credential leaves the gateway on any way but the wire."""

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import engine as engines
from clusters.engine import Endpoint, RegistryAuth, connect
from clusters.engine.memory import MemoryFile
from clusters.engine.registries import auth_headers
from tests.fake_engine import FakeEngine

PASSWORD = "korrekt-horse-7"
TOKEN = "SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz0fb0xx14ie39trti4wxv-8vxv8rssmk743ojnwacrr2e7c"

SECRET = RegistryAuth("registry.example", "robot", PASSWORD)
HEADER = auth_headers(SECRET)["X-Registry-Auth"]
ENCODED = base64.b64encode(PASSWORD.encode()).decode()
SECRETIVE: dict[str, tuple[str, Callable[[engines.Engine], Any], tuple[str, ...]]] = {
    "login": ("/auth", lambda engine: engine.registry_login(SECRET), (PASSWORD, HEADER)),
    "create": (
        "/services/create",
        lambda engine: engine.service_create({}, SECRET),
        (PASSWORD, HEADER),
    ),
    "distribution": (
        "/distribution/app/json",
        lambda engine: engine.distribution("app", SECRET),
        (PASSWORD, HEADER),
    ),
    "join": (
        "/swarm/join",
        lambda engine: engine.swarm_join(["a:2377"], TOKEN, "b", "b"),
        (TOKEN,),
    ),
    "secret": (
        "/secrets/create",
        lambda engine: engine.secret_create("db", PASSWORD.encode(), {}),
        (PASSWORD, ENCODED),
    ),
}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as fake:
        yield fake


@pytest.fixture
def engine(fake: FakeEngine) -> Iterator[engines.Engine]:
    with connect(Endpoint(fake.url), timeout=2) as engine:
        yield engine


@pytest.mark.parametrize("how", ["echoes", "waits", "breaks off", "closes"])
@pytest.mark.parametrize("call", SECRETIVE)
def test_no_credential_is_in_an_error_or_a_log(
    fake: FakeEngine, call: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, ask, hidden = SECRETIVE[call]
    if how == "echoes":
        fake.fail(path, f"cannot use {' or '.join(hidden)}")
    elif how == "waits":
        fake.delay(path, 5)
    elif how == "breaks off":
        fake.answer(path, b"{", status=200)
    else:
        fake.refuse(path)
    caplog.set_level(logging.DEBUG)
    with (
        connect(Endpoint(fake.url), timeout=0.3) as engine,
        pytest.raises(engines.EngineError) as raised,
    ):
        ask(engine)
    seen = caplog.text + repr(engine)
    link: BaseException | None = raised.value
    while link is not None:
        seen += "".join(traceback.format_exception(link)) + repr(vars(link))
        link = link.__cause__ or link.__context__
    assert not [secret for secret in hidden if secret in seen]


def test_no_repr_shows_a_credential() -> None:
    endpoint = Endpoint(
        "ssh://root@host", ssh_key=PASSWORD, ssh_host_key="k", tls_ca="c", tls_key=PASSWORD
    )
    assert repr(endpoint) == "Endpoint(url='ssh://root@host')"
    assert PASSWORD not in repr(SECRET)


def test_inspecting_the_swarm_never_shows_its_tokens(engine: engines.Engine) -> None:
    assert "JoinTokens" not in engine.swarm_inspect()
    assert engine.join_tokens()["Worker"].startswith("SWMTKN-")


def test_a_memory_file_is_private_and_gone_when_closed() -> None:
    file = MemoryFile("secret")
    path = Path(file.path)
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    file.close()
    file.close()
    assert not path.exists()
