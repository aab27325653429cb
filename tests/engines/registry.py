"""A private registry for the tests: Debian's docker-registry, which lets one user in."""

import ctypes
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusters.engine import Engine, RegistryAuth
from clusters.engine.registries import auth_headers

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
USER = "puller"


class PrivateRegistry:
    """A registry at an address, and the password that it asks for now."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address

    def set_password(self, password: str) -> None:
        """Let the user in with this password only; the registry sees that the file is new."""
        unfinished = self.folder / "htpasswd.new"
        unfinished.write_text(f"{USER}:{bcrypt(password)}\n")
        unfinished.replace(self.folder / "htpasswd")

    def push(self, engine: Engine, image: str, password: str) -> None:
        """Let an Engine push an image that it has."""
        repository, _, tag = image.rpartition(":")
        auth = RegistryAuth(self.address, USER, password)
        path = f"/images/{repository}/push"
        answer = engine.send(
            "POST", path, params={"tag": tag}, headers=auth_headers(auth), timeout=60
        )
        told = [json.loads(line) for line in answer.splitlines() if line]
        assert not [line for line in told if "error" in line], told

    @property
    def log(self) -> str:
        """Return what the registry has written down."""
        return (self.folder / "log").read_text()


@contextmanager
def private_registry(folder: Path, host: str, password: str) -> Iterator[PrivateRegistry]:
    """Run a registry at a host's address until the tests are through with it."""
    program = shutil.which("docker-registry", path="/usr/bin:/usr/local/bin:/usr/sbin")
    assert program, "docker-registry is needed (Debian: docker-registry)."
    port = free_port(host)
    registry = PrivateRegistry(folder, f"{host}:{port}")
    registry.set_password(password)
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": registry.address, "secret": secrets.token_hex(16)},
        "auth": {"htpasswd": {"realm": "private", "path": str(folder / "htpasswd")}},
    }
    # JSON is YAML, too.
    (folder / "config.yml").write_text(json.dumps(settings))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        wait_for(host, port, process)
        yield registry
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_for(host: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the registry listens."""
    until = time.monotonic() + 20
    while True:
        assert process.poll() is None, "The registry ended at once."
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until, "The registry does not listen."
            time.sleep(0.05)
        else:
            return


def free_port(host: str) -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def bcrypt(password: str) -> str:
    """Return the only kind of hash that the registry reads; the system's library makes it."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = "$2y$05$" + "".join(secrets.choice(ALPHABET) for _ in range(21)) + "."
    made = library.crypt(password.encode(), salt.encode())
    assert made and made.startswith(b"$2y$05$"), "The system's libcrypt makes no bcrypt hashes."
    return str(made.decode())
