"""What leads to an Engine in the tests: an ssh server, and a listener for mutual TLS."""

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clusters.engine import Endpoint, Engine, ExecSession, scan_host_key

IMAGE = "endpoints.invalid/busybox:1"


def until(condition: Callable[[], Any], *, within: float = 60) -> Any:
    """Return what the condition finds as soon as it finds something."""
    give_up = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {within} s"
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listening(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


@contextlib.contextmanager
def running(*command: str, address: str, port: int) -> Iterator[None]:
    """Run a server until it is no longer needed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listening(address, port), within=20)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def ssh_server(engine_url: str, keys: Path) -> Iterator[Endpoint]:
    """Let an ssh server on this machine lead to the Engine."""
    for name in ("host", "user", "stranger"):
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", f"{keys}/{name}")
        subprocess.run(command, check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    server, docker = shutil.which("sshd", path="/usr/sbin:/usr/bin"), shutil.which("docker")
    assert server, "no sshd is installed"
    assert docker, "no docker command is installed"
    settings = [
        "ListenAddress 127.0.0.1",
        f"Port {port}",
        f"HostKey {keys}/host",
        f"AuthorizedKeysFile {keys}/user.pub",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        f"PidFile {keys}/sshd.pid",
        f"SetEnv DOCKER_HOST={engine_url} PATH={Path(docker).parent}:/usr/bin:/bin",
    ]
    (keys / "sshd_config").write_text("\n".join(settings) + "\n")
    with running(server, "-D", "-f", f"{keys}/sshd_config", address="127.0.0.1", port=port):
        yield Endpoint(
            f"ssh://root@127.0.0.1:{port}",
            ssh_key=(keys / "user").read_text(),
            ssh_host_key=scan_host_key("127.0.0.1", port).line,
        )


def signed(name: str, authority: tuple[x509.Certificate, Any] | None) -> tuple[Any, Any]:
    """Return a certificate for 127.0.0.1 and its key; without an authority it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer = authority[0].subject if authority else subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
    )
    return builder.sign(authority[1] if authority else key, hashes.SHA256()), key


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private(key: ec.EllipticCurvePrivateKey) -> str:
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, none).decode()


def pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    with one, other, contextlib.suppress(OSError):
        while True:
            pending = isinstance(one, ssl.SSLSocket) and one.pending()
            readable = [one] if pending else select.select([one, other], [], [])[0]
            for source in readable:
                data = source.recv(65536)
                if not data:
                    return
                (other if source is one else one).sendall(data)


@contextlib.contextmanager
def tls_listener(engine_url: str, folder: Path) -> Iterator[Endpoint]:
    """Lead to the Engine through TLS that asks for a client certificate."""
    authority = signed("authority", None)
    server, client = signed("server", authority), signed("client", authority)
    (folder / "server.pem").write_text(pem(server[0]) + private(server[1]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(cadata=pem(authority[0]))
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(accepted,), daemon=True).start()

    def carry(accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            wrapped = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            try:
                wrapped.do_handshake()
            except ssl.SSLError:
                # Closing with something unread would throw away the alert that says why.
                socket.socket.shutdown(wrapped, socket.SHUT_WR)
                while socket.socket.recv(wrapped, 65536):
                    pass
                raise
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(engine_url.removeprefix("unix://"))
            pump(wrapped, engine)

    threading.Thread(target=serve, daemon=True).start()
    yield Endpoint(
        f"tcp://127.0.0.1:{listener.getsockname()[1]}",
        tls_ca=pem(authority[0]),
        tls_cert=pem(client[0]),
        tls_key=private(client[1]),
    )
    listener.close()


def spec_of(name: str, *command: str, **container: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {"Image": IMAGE, "Command": list(command), **container},
            "RestartPolicy": {"Condition": "none"},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
    }


def container_of(engine: Engine, service: str) -> str:
    for task in engine.tasks(filters={"service": [service]}):
        if task["Status"]["State"] == "running":
            return str(task["Status"]["ContainerStatus"]["ContainerID"])
    return ""


def read_until(session: ExecSession, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        assert session.ready(10), seen
        data = session.recv()
        assert data, seen
        seen += data
    return seen


def children_of(process: int) -> list[str]:
    command = ["ps", "--ppid", str(process), "-o", "args="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
