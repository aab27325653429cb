"""The gateway against an Engine that misbehaves; the real ones are in tests/engines."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import engine as engines
from clusters.engine import Endpoint, RegistryAuth, connect
from tests.fake_engine import OUT_OF_SEQUENCE, FakeEngine

PASSWORD = "korrekt-horse-7"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as fake:
        yield fake


@pytest.fixture
def engine(fake: FakeEngine) -> Iterator[engines.Engine]:
    with connect(Endpoint(fake.url), timeout=2) as engine:
        yield engine


# Time


def test_an_engine_that_is_slow_is_unreachable_in_time(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    fake.delay("/info", 30)
    began = time.monotonic()
    with pytest.raises(engines.Unreachable, match="does not answer within 2 s"):
        engine.info()
    assert time.monotonic() - began < 2.5


def test_an_engine_that_drips_bytes_holds_nobody_longer(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    fake.info["Name"] = "x" * 1000
    fake.drip("/info", 0.1)
    began = time.monotonic()
    with pytest.raises(engines.Unreachable, match="does not answer within 2 s"):
        engine.info()
    assert time.monotonic() - began < 2.5


def test_an_answer_that_breaks_off_is_unreachable(fake: FakeEngine, engine: engines.Engine) -> None:
    fake.cut("/info")
    with pytest.raises(engines.Unreachable, match="breaks off in the middle"):
        engine.info()


def test_after_a_broken_answer_the_next_one_is_whole(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    fake.cut("/info")
    with pytest.raises(engines.Unreachable):
        engine.info()
    fake.heal()
    assert engine.info() == fake.info


# Errors


@pytest.mark.parametrize(
    ("status", "words", "kind", "said"),
    [
        (500, OUT_OF_SEQUENCE, engines.Conflict, "update out of sequence"),
        (409, "rpc error: code = AlreadyExists desc = name conflicts with an existing object",
         engines.Conflict, "name conflicts with an existing object"),
        (404, "service web not found", engines.NotFound, "service web not found"),
        (400, "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component",
         engines.Refused, "name must be valid as a DNS name component"),
        (503, "This node is not a swarm manager.", engines.Unreachable,
         "This node is not a swarm manager."),
        (500, "rpc error: code = Unknown desc = The swarm does not have a leader.",
         engines.Unreachable, "The swarm does not have a leader."),
        (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
         engines.Unreachable, "context deadline exceeded"),
    ],
)  # fmt: skip
def test_errors_are_sorted_and_keep_the_engines_words(
    fake: FakeEngine,
    engine: engines.Engine,
    status: int,
    words: str,
    kind: type[Exception],
    said: str,
) -> None:
    fake.fail("/services/create", words, status=status)
    with pytest.raises(kind) as raised:
        engine.service_create({"Name": "web"})
    assert type(raised.value) is kind
    assert str(raised.value) == said


def test_a_gateway_in_front_that_is_not_ready_is_unreachable(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    fake.answer("/info", b"<h1>Bad Gateway</h1>", status=502)
    with pytest.raises(engines.Unreachable, match="502"):
        engine.info()


@pytest.mark.parametrize("name", ["", "..", "../secrets", "a/../../info", "."])
def test_a_name_cannot_lead_to_another_path(
    fake: FakeEngine, engine: engines.Engine, name: str
) -> None:
    before = list(fake.calls)
    with pytest.raises(engines.NotFound):
        engine.service(name)
    assert fake.calls == before


# Writing


def test_the_raw_spec_arrives_as_it_is_and_comes_back(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    spec = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Ulimits": [{"Name": "nofile"}]}}}
    key = engine.service_create(spec)
    assert fake.bodies[-1] == spec
    found = engine.service(key)
    assert fake.queries[-1] == {"insertDefaults": "false"}
    changed = {**spec, "Labels": {"a": "b"}}
    assert engine.service_update(key, found["Version"]["Index"], changed) == []
    with pytest.raises(engines.Conflict):
        engine.service_update(key, found["Version"]["Index"], spec)
    assert engine.service("web")["Spec"] == changed
    now = engine.service(key)["Version"]["Index"]
    engine.service_update(key, now, changed, rollback=True)
    assert engine.service(key)["Spec"] == spec
    engine.service_remove(key)
    with pytest.raises(engines.NotFound):
        engine.service(key)


def test_registry_credentials_go_with_each_request_and_only_there(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    auth = RegistryAuth("registry.example:5000/library", "robot", PASSWORD)
    engine.service_create({"Name": "web"}, auth)
    assert "X-Registry-Auth" in fake.headers[-1]
    engine.services()
    assert "X-Registry-Auth" not in fake.headers[-1]
    assert engine.registry_login(auth) == "Login Succeeded"
    assert fake.bodies[-1]["serveraddress"] == "registry.example:5000"


def test_the_configuration_of_this_machine_changes_nothing(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "auths": {"registry.example": {"auth": "cm9ib3Q6cGFzcw=="}},
        "HttpHeaders": {"X-Leak": "1"},
        "proxies": {"default": {"httpProxy": "http://proxy.example:3128"}},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere.example:2375")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    with connect(Endpoint(fake.url), timeout=2) as engine:
        engine.service_create({"Name": "web"})
        with pytest.raises(engines.NotFound):
            engine.distribution("registry.example/app:1")
    sent = {name for headers in fake.headers for name in headers}
    assert not sent & {"X-Leak", "X-Registry-Auth", "X-Registry-Config", "Authorization"}


def test_a_node_changed_meanwhile_is_read_again(fake: FakeEngine, engine: engines.Engine) -> None:
    node = fake.add("nodes", "", {"Role": "worker", "Labels": {"zone": "a"}})
    path = f"/nodes/{node['ID']}/update"
    fake.fail(path, OUT_OF_SEQUENCE, times=2)
    engine.node_update(node["ID"], lambda spec: spec.update(Role="manager"))
    assert fake.calls.count(f"POST {path}") == 3
    assert fake.bodies[-1] == {"Name": "", "Role": "manager", "Labels": {"zone": "a"}}


def test_a_node_that_changes_all_the_time_is_a_conflict(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    node = fake.add("nodes", "", {"Role": "worker"})
    fake.fail(f"/nodes/{node['ID']}/update", OUT_OF_SEQUENCE)
    with pytest.raises(engines.Conflict):
        engine.node_update(node["ID"], lambda spec: None)
    assert fake.calls.count(f"POST /nodes/{node['ID']}/update") == 5


def test_rotating_the_tokens_keeps_the_swarms_settings(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    spec = fake.swarm["Spec"]
    engine.rotate_join_tokens(manager=False)
    assert fake.bodies[-1] == spec
    assert fake.queries[-1]["rotateWorkerToken"] == "true"
    assert fake.queries[-1]["rotateManagerToken"] == "false"


def test_sizes_that_the_engine_cannot_measure_are_left_out(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    fake.add("volumes", "data", Name="data", UsageData={"Size": 4096})
    fake.add("volumes", "nfs", Name="nfs", UsageData={"Size": -1})
    assert engine.df_volumes() == {"data": 4096}


def test_an_import_that_fails_after_the_200_is_refused(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    fake.answer(
        "/images/create",
        b'{"status":"Importing"}\r\n{"errorDetail":{"message":"bad tar"},"error":"bad tar"}\r\n',
        kind="application/json",
    )
    with pytest.raises(engines.Refused, match="bad tar"):
        engine.image_import(io.BytesIO(b"x"), "busybox", "1")
