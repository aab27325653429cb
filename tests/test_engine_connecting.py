"""Which endpoints lead to an Engine, and what is said about those that do not."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clusters import engine as engines
from clusters.engine import Endpoint, connect
from clusters.engine.endpoint import parse
from tests.fake_engine import FakeEngine


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as fake:
        yield fake


def test_the_newest_version_that_both_sides_know_is_spoken(tmp_path: Path) -> None:
    for api, oldest, spoken in (("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.45"),
                                ("1.60", "1.50", "1.50")):  # fmt: skip
        with (
            FakeEngine(tmp_path / "docker.sock", api=api, min_api=oldest) as fake,
            connect(Endpoint(fake.url), timeout=2) as engine,
        ):
            assert engine.api_version == spoken


def test_an_engine_that_is_too_old_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    with (
        FakeEngine(tmp_path / "docker.sock", api="1.40") as fake,
        pytest.raises(engines.Refused) as refused,
    ):
        connect(Endpoint(fake.url), timeout=2)
    assert "is too old: Docker Engine 20.10 or newer is needed" in str(refused.value)
    assert "it offers API 1.40" in str(refused.value)


@pytest.mark.parametrize("body", [b"<html>Welcome to nginx!</html>", b"[]", b"{}", b'{"a": 1}'])
@pytest.mark.parametrize("status", [200, 301, 404])
def test_what_is_not_an_engine_is_called_so(fake: FakeEngine, body: bytes, status: int) -> None:
    fake.answer("/version", body, status=status)
    with pytest.raises(engines.Refused, match="is not a Docker Engine"):
        connect(Endpoint(fake.url), timeout=2)


def serve_once(path: Path, answer: bytes) -> None:
    """Listen on a socket and send the same bytes to whoever connects."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(answer)
        connection.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()


def test_a_server_that_does_not_speak_http_is_not_an_engine(tmp_path: Path) -> None:
    serve_once(tmp_path / "s", b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
    with pytest.raises(engines.Refused, match="is not a Docker Engine"):
        connect(Endpoint(f"unix://{tmp_path}/s"), timeout=2)


def test_a_server_that_closes_at_once_is_unreachable_and_may_be_no_engine(tmp_path: Path) -> None:
    serve_once(tmp_path / "s", b"")
    with pytest.raises(engines.Unreachable, match="is not a Docker Engine"):
        connect(Endpoint(f"unix://{tmp_path}/s"), timeout=2)


def test_a_socket_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(engines.Unreachable, match="no such file"):
        connect(Endpoint("unix:///nonexistent/docker.sock"), timeout=2)


def test_a_socket_that_nobody_listens_on_is_unreachable(tmp_path: Path) -> None:
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(tmp_path / "s"))
    left_over.close()
    with pytest.raises(engines.Unreachable, match="connection refused"):
        connect(Endpoint(f"unix://{tmp_path}/s"), timeout=2)


def test_a_port_that_nobody_listens_on_is_unreachable(certificates: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(engines.Unreachable, match="connection refused"):
        connect(Endpoint(f"tcp://127.0.0.1:{port}", **certificates), timeout=2)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host:2375", "An endpoint is unix"),
        ("unix://docker.sock", "An endpoint is unix"),
        ("unix://", "An endpoint is unix"),
        ("ssh://host", "needs a valid user"),
        ("ssh://-oProxyCommand=id@host", "needs a valid user"),
        ("ssh://root@-oProxyCommand=id", "not a valid host"),
        ("ssh://root@host;id", "not a valid host"),
        ("ssh://root@host:99999", "not a valid endpoint"),
        ("ssh://root@host:0", "between 1 and 65535"),
        ("ssh://root:pass@host", "must not hold a password"),
        ("ssh://root@host/path", "Nothing may follow"),
        ("tcp://host", "tcp://host:port"),
        ("", "An endpoint is unix"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_refused_in_plain_words(url: str, words: str) -> None:
    with pytest.raises(engines.Refused, match=words):
        parse(url)


def test_endpoints_are_read_into_their_parts() -> None:
    assert parse("ssh://op@node-1.example:2222").port == 2222
    assert parse("ssh://op@node-1.example").port == 22
    assert parse("tcp://[fd00::1]:2376").host == "fd00::1"
    assert parse("unix:///run/docker.sock").path == "/run/docker.sock"


def test_an_endpoint_without_its_credentials_is_refused() -> None:
    with pytest.raises(engines.Refused, match="needs a CA"):
        connect(Endpoint("tcp://127.0.0.1:2376"))
    with pytest.raises(engines.Refused, match="needs a private key"):
        connect(Endpoint("ssh://root@127.0.0.1"))
    with pytest.raises(engines.Refused, match="not an OpenSSH public key"):
        connect(Endpoint("ssh://root@127.0.0.1", ssh_key="x", ssh_host_key="nonsense"))


def test_certificates_that_cannot_be_read_are_refused(certificates: dict[str, str]) -> None:
    for field in ("tls_ca", "tls_cert", "tls_key"):
        with pytest.raises(engines.Refused, match="cannot be read"):
            connect(Endpoint("tcp://127.0.0.1:1", **{**certificates, field: "nonsense"}))


@pytest.fixture(scope="module")
def certificates() -> dict[str, str]:
    """Return a self-made certificate in all three parts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(datetime(2024, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2044, 1, 1, tzinfo=UTC)
    )
    certificate = dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "tls_ca": certificate.decode(),
        "tls_cert": certificate.decode(),
        "tls_key": private.decode(),
    }


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    # The fingerprint that GitHub publishes for this key.
    assert engines.fingerprint(line) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    assert engines.fingerprint(f"github.com {line} comment") == engines.fingerprint(line)


def test_a_host_without_ssh_is_unreachable_and_a_bad_name_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(engines.Unreachable):
        engines.scan_host_key("127.0.0.1", port, timeout=2)
    with pytest.raises(engines.Refused):
        engines.scan_host_key("-oProxyCommand=id", 22)
