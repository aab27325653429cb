"""The gateway on a real Engine, through each of the three ways that lead to one."""

import io
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from clusters import engine as engines
from clusters import local
from clusters.engine import Endpoint, Engine, LogLine, RegistryAuth, connect
from clusters.local.images import busybox_tar
from tests.engines.ways import (
    IMAGE,
    children_of,
    container_of,
    free_port,
    pem,
    private,
    read_until,
    running,
    signed,
    spec_of,
    ssh_server,
    tls_listener,
    until,
)

pytestmark = [pytest.mark.engines, pytest.mark.no_database]
# bcrypt of the password, which is all that the registry accepts.
PASSWORD = "registry-pass-5"
HTPASSWD = "robot:$2b$05$VypcEOiIlkhtDONRd9NE6uJtalrx3O6vhtR4hOpK36HuBGzvG9Qfm\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.LocalEngine]:
    """Start one Engine in a network of its own."""
    if reasons := local.supported():
        pytest.fail(f"A real Engine is needed here. {' '.join(reasons)}")
    number = os.getpid()
    network = local.LocalNetwork(
        root=Path(f"/tmp/medstack-endpoints-{number}"),
        bridge=f"mse{number}",
        subnet=IPv4Network(f"10.{100 + number // 256 % 16}.{number % 256}.0/24"),
        outside=False,
    )
    try:
        yield local.ensure_running("alpha", network=network)
    finally:
        local.sweep(set(), network=network)


@pytest.fixture(scope="module")
def swarm(node: local.LocalEngine) -> Iterator[Engine]:
    """Make a swarm of the Engine, with an image to run."""
    with connect(Endpoint(node.endpoint_url), timeout=30) as engine:
        engine.swarm_init(
            advertise_addr=node.address,
            listen_addr=f"{node.address}:2377",
            default_addr_pool=["10.200.0.0/16"],
            subnet_size=20,
        )
        repository, _, tag = IMAGE.partition(":")
        image = engine.image_import(io.BytesIO(busybox_tar()), repository, tag, ['CMD ["sh"]'])
        assert engine.image(IMAGE)["Id"] == image
        yield engine


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def by_ssh(node: local.LocalEngine, keys: Path) -> Iterator[Endpoint]:
    with ssh_server(node.endpoint_url, keys) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def by_tls(node: local.LocalEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with tls_listener(node.endpoint_url, tmp_path_factory.mktemp("tls")) as endpoint:
        yield endpoint


@pytest.fixture(params=["unix", "ssh", "tcp"])
def engine(
    request: pytest.FixtureRequest, swarm: Engine, node: local.LocalEngine
) -> Iterator[Engine]:
    """Connect in each of the three ways."""
    fixtures = {"ssh": "by_ssh", "tcp": "by_tls"}
    if request.param in fixtures:
        endpoint = request.getfixturevalue(fixtures[request.param])
    else:
        endpoint = Endpoint(node.endpoint_url)
    with connect(endpoint, timeout=20) as engine:
        yield engine


@pytest.fixture
def talker(swarm: Engine) -> Iterator[str]:
    """Run a service that writes a line every fifth of a second."""
    script = "echo to stderr >&2; while true; do echo tick; sleep 0.2; done"
    key = swarm.service_create(spec_of(f"talker-{secrets.token_hex(4)}", "sh", "-c", script))
    until(lambda: container_of(swarm, key))
    yield key
    swarm.service_remove(key)


def test_every_way_leads_to_the_same_engine(engine: Engine, swarm: Engine) -> None:
    engine.ping()
    assert engine.info()["ID"] == swarm.info()["ID"]
    assert [network["Name"] for network in engine.networks()]


def test_objects_are_created_and_removed(engine: Engine) -> None:
    name = f"thing-{secrets.token_hex(4)}"
    secret = engine.secret_create(name, b"\x00value", {"medstack.row": "1"})
    with pytest.raises(engines.Conflict, match="already exists"):
        engine.secret_create(name, b"other", {})
    assert name in [item["Spec"]["Name"] for item in engine.secrets()]
    engine.secret_remove(secret)
    with pytest.raises(engines.NotFound):
        engine.secret_remove(secret)
    config = engine.config_create(name, b"text", {})
    assert engine.config(config)["Spec"]["Data"] == "dGV4dA=="
    engine.config_remove(config)
    network = engine.network_create({"Name": name, "Driver": "overlay", "Attachable": True})
    assert engine.network(name)["Id"] == network
    engine.network_remove(network)
    assert engine.volume_create({"Name": name})["Driver"] == "local"
    assert engine.volume(name)["Name"] == name
    assert name in engine.df_volumes()
    engine.volume_remove(name)
    assert name not in [volume["Name"] for volume in engine.volumes()]


def test_a_service_is_created_updated_and_rolled_back(engine: Engine) -> None:
    spec = spec_of(f"web-{secrets.token_hex(4)}", "sleep", "600")
    key = engine.service_create(spec)
    first = engine.service(key)
    # What we sent is what it is: no defaults are frozen into the spec.
    assert "UpdateConfig" not in first["Spec"]
    changed = {**first["Spec"], "Labels": {"a": "b"}}
    engine.service_update(key, first["Version"]["Index"], changed)
    with pytest.raises(engines.Conflict, match=r"^update out of sequence$"):
        engine.service_update(key, first["Version"]["Index"], changed)
    second = engine.service(key)
    assert second["Spec"]["Labels"] == {"a": "b"}
    engine.service_update(key, second["Version"]["Index"], second["Spec"], rollback=True)
    assert not engine.service(key)["Spec"].get("Labels")
    assert {item["ID"]: item for item in engine.services()}[key]["ServiceStatus"]
    with pytest.raises(engines.Refused, match="DNS"):
        engine.service_create(spec_of("no good name", "true"))
    engine.service_remove(key)


def test_a_node_and_the_tokens_change_and_the_rest_stays(engine: Engine) -> None:
    (node,) = engine.nodes()
    engine.node_update(node["ID"], lambda spec: spec.update(Labels={"zone": secrets.token_hex(2)}))
    assert engine.node(node["ID"])["Spec"]["Role"] == "manager"
    settings, tokens = engine.swarm_inspect()["Spec"], engine.join_tokens()
    engine.rotate_join_tokens()
    assert engine.swarm_inspect()["Spec"] == settings
    assert engine.join_tokens()["Worker"] != tokens["Worker"]
    assert engine.join_tokens()["Manager"] != tokens["Manager"]


def test_logs_say_when_where_and_what(engine: Engine, talker: str) -> None:
    def ticked() -> list[LogLine]:
        lines = [line for line in engine.service_logs(talker, tail=5) if line]
        return lines if [line.text for line in lines] == ["tick"] * 5 else []

    line = until(ticked)[-1]
    (task,) = engine.tasks(filters={"service": [talker]})
    assert (line.stream, line.text) == ("stdout", "tick")
    assert (line.task_id, line.node_id) == (task["ID"], task["NodeID"])
    assert abs(datetime.now(UTC) - line.at) < timedelta(seconds=30)
    first = next(iter(engine.task_logs(task["ID"], tail=1000)))
    assert first
    from_node = list(engine.container_logs(container_of(engine, talker), tail=1000))
    assert "stderr" in {line.stream for line in from_node if line}
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    assert list(engine.container_logs(container_of(engine, talker), tail=9, since=ahead)) == []


def test_logs_are_followed_until_somebody_closes_them(engine: Engine, talker: str) -> None:
    with engine.service_logs(talker, tail=0, follow=True, heartbeat=0.05) as lines:
        seen = [next(lines) for _ in range(12)]
        assert None in seen
        assert "tick" in [line.text for line in seen if line]
        closer = threading.Timer(0.5, lines.close)
        closer.start()
        # Ends, instead of waiting for the next line for ever.
        assert all(line is None or line.text == "tick" for line in lines)


def test_a_terminal_works_both_ways(engine: Engine, talker: str) -> None:
    container = container_of(engine, talker)
    with engine.exec_open(container, ["sh"], user="root") as session:
        assert session.exit_code() is None
        session.resize(41, 99)
        # A terminal echoes, so what is expected must not be what is typed.
        session.send(b"stty size; echo $((40 + 2))-$(id -u)\n")
        assert b"41 99" in read_until(session, b"42-0")
        while session.ready(0.3):
            assert session.recv()
        assert session.exit_code() is None
        session.send(b"exit 7\n")
        while session.recv():
            pass
        assert until(session.exit_code) == 7
    with engine.exec_open(container, ["sh", "-c", "echo out; echo err >&2"], tty=False) as session:
        # Two pipes: which of them arrives first is chance.
        said = b"".join(iter(session.recv, b""))
        assert sorted(said.split()) == [b"err", b"out"]


def test_a_terminal_that_is_closed_ends_for_its_reader(engine: Engine, talker: str) -> None:
    session = engine.exec_open(container_of(engine, talker), ["sh"])
    read_until(session, b"#")
    threading.Timer(0.3, session.close).start()
    while session.recv():
        pass


def test_a_host_with_another_key_is_refused(swarm: Engine, by_ssh: Endpoint, keys: Path) -> None:
    other = replace(by_ssh, ssh_host_key=(keys / "stranger.pub").read_text())
    with pytest.raises(engines.Refused, match="its host key is not the pinned one"):
        connect(other, timeout=10)


def test_a_user_with_another_key_is_refused(swarm: Engine, by_ssh: Endpoint, keys: Path) -> None:
    other = replace(by_ssh, ssh_key=(keys / "stranger").read_text())
    with pytest.raises(engines.Refused, match="does not accept the key"):
        connect(other, timeout=10)


def test_a_private_key_that_is_damaged_is_refused(swarm: Engine, by_ssh: Endpoint) -> None:
    lines = by_ssh.ssh_key.splitlines()
    with pytest.raises(engines.Refused):
        connect(replace(by_ssh, ssh_key="\n".join(lines[:2] + lines[-1:])), timeout=10)


def test_an_ssh_server_that_is_down_is_unreachable(by_ssh: Endpoint) -> None:
    with pytest.raises(engines.Unreachable, match="Connection refused"):
        connect(replace(by_ssh, url=f"ssh://root@127.0.0.1:{free_port()}"), timeout=10)


def test_the_fingerprint_is_what_ssh_keygen_says(by_ssh: Endpoint, keys: Path) -> None:
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", keys / "host.pub"], check=True, capture_output=True, text=True
    )
    assert engines.fingerprint(by_ssh.ssh_host_key) == said.stdout.split()[1]


def test_ssh_leaves_no_process_and_no_file(by_ssh: Endpoint) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with connect(by_ssh, timeout=10) as engine:
        engine.info()
        children = children_of(os.getpid())
        assert any("ssh" in child for child in children)
        assert "PRIVATE KEY" not in " ".join(children)
    assert not any("dial-stdio" in child for child in children_of(os.getpid()))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_client_certificate_of_another_authority_is_refused(by_tls: Endpoint) -> None:
    certificate, key = signed("stranger", None)
    other = replace(by_tls, tls_cert=pem(certificate), tls_key=private(key))
    with pytest.raises(engines.EngineError, match="does not accept the client certificate"):
        connect(other, timeout=5)


def test_a_server_of_another_authority_is_refused(by_tls: Endpoint) -> None:
    certificate, _ = signed("stranger", None)
    with pytest.raises(engines.Refused, match="is not trusted"):
        connect(replace(by_tls, tls_ca=pem(certificate)), timeout=5)


def test_a_server_of_another_name_is_refused(by_tls: Endpoint) -> None:
    with pytest.raises(engines.Refused, match="is not trusted"):
        connect(replace(by_tls, url=by_tls.url.replace("127.0.0.1", "localhost")), timeout=5)


def test_a_registry_lets_in_who_has_the_password(
    swarm: Engine, node: local.LocalEngine, tmp_path: Path
) -> None:
    port, gateway = free_port(), str(IPv4Network(f"{node.address}/24", strict=False)[1])
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n"
        f"http: {{addr: '{gateway}:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}}}\n"
    )
    command = ("docker-registry", "serve", str(tmp_path / "registry.yml"))
    with running(*command, address=gateway, port=port):
        server = f"{gateway}:{port}"
        right = RegistryAuth(f"{server}/library", "robot", PASSWORD)
        assert swarm.registry_login(right) == "Login Succeeded"
        with pytest.raises(engines.Refused, match=r"401|unauthorized"):
            swarm.registry_login(replace(right, password="wrong"))
        image, config = f"{server}/library/app:1", {"DOCKER_CONFIG": f"{tmp_path}/docker"}
        for arguments in (
            ("tag", IMAGE, image),
            ("login", "-u", "robot", "-p", PASSWORD, server),
            ("push", "-q", image),
        ):
            subprocess.run(
                ("docker", "-H", node.endpoint_url, *arguments),
                check=True,
                capture_output=True,
                env={**os.environ, **config},
            )
        found = swarm.distribution(f"{server}/library/app:1", right)
        assert found["Descriptor"]["digest"].startswith("sha256:")
        with pytest.raises(engines.EngineError, match="no basic auth credentials"):
            swarm.distribution(f"{server}/library/app:1", None)
        with pytest.raises(engines.EngineError):
            swarm.distribution(f"{server}/library/none:1", right)
