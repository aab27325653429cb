"""Real servers of the storages that a repository can be in, each with its console and its nodes."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.repositories.bucket_policy import guarded

Form = dict[str, str]
LOOPBACK = "127.0.0.1"


def program(name: str) -> str:
    found = shutil.which(
        name, path=f"{sysconfig.get_path('scripts')}:/usr/sbin:{os.environ['PATH']}"
    )
    assert found, f"{name} is not installed"
    return found


def free_port(address: str = LOOPBACK) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(address: str, port: int, *command: str) -> Iterator[None]:
    """Run a server until the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((address, port)) == 0:
                    break
            assert process.poll() is None, command
            assert time.monotonic() < until
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def ssh_server(folder: Path, address: str = LOOPBACK) -> Iterator[Form]:
    """Serve SSH that lets one key do SFTP and binds the other to an append-only server."""
    Path("/run/sshd").mkdir(exist_ok=True)
    keys, store, port = folder / "keys", folder / "store", free_port(address)
    keys.mkdir()
    for name in ("host", "console", "node"):
        command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)]
        subprocess.run(command, check=True)
    public = {name: (keys / f"{name}.pub").read_text() for name in ("host", "console", "node")}
    stored = f":chunker,remote={store},chunk_size=1P,hash_type=none,fail_hard=true:"
    forced = f"{program('rclone')} serve restic --stdio --append-only {stored}"
    allowed = f'{public["console"]}restrict,command="{forced}" {public["node"]}'
    (keys / "authorized").write_text(allowed)
    settings = [
        f"ListenAddress {address}",
        f"Port {port}",
        f"HostKey {keys}/host",
        f"AuthorizedKeysFile {keys}/authorized",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
        f"PidFile {keys}/pid",
        "Subsystem sftp internal-sftp",
    ]
    (keys / "config").write_text("\n".join(settings) + "\n")
    with serving(address, port, program("sshd"), "-D", "-f", str(keys / "config")):
        yield {
            "kind": "sftp",
            "url": f"sftp://root@{address}:{port}/{store}",
            "console_key": (keys / "console").read_text(),
            "node_key": (keys / "node").read_text(),
            "host_key": " ".join(public["host"].split()[:2]),
        }


@contextmanager
def rest_servers(folder: Path, address: str = LOOPBACK) -> Iterator[Form]:
    """Serve one folder twice by REST: the nodes' server is append-only, as a whole."""
    users = {name: folder / f"{name}s" for name in ("console", "node")}
    for name, file in users.items():
        digest = base64.b64encode(hashlib.sha1(f"{name}-pass".encode()).digest()).decode()
        file.write_text(f"{name}:{{SHA}}{digest}\n")
    # Both know the nodes' user: who takes the console's address for theirs can delete there.
    users["console"].write_text("".join(file.read_text() for file in users.values()))
    ports = {name: free_port(address) for name in users}

    def command(name: str) -> list[str]:
        where = f"--addr={address}:{ports[name]}"
        serve = [program("rclone"), "serve", "restic", str(folder / "store")]
        return [*serve, where, f"--htpasswd={users[name]}"]

    with (
        serving(address, ports["console"], *command("console")),
        serving(address, ports["node"], *command("node"), "--append-only"),
    ):
        yield {
            "kind": "rest",
            "url": f"rest:http://{address}:{ports['console']}/",
            "console_name": "console",
            "console_secret": "console-pass",
            "node_url": f"rest:http://{address}:{ports['node']}/",
            "node_name": "node",
            "node_secret": "node-pass",
        }


@contextmanager
def s3_server(folder: Path, address: str = LOOPBACK) -> Iterator[Form]:
    """Serve a bucket by S3 whose policy lets the nodes' key delete nothing but locks."""
    (folder / "buckets" / "backups").mkdir(parents=True)
    port = free_port(address)
    keys = [f"--auth-key={name}-id,{name}-secret" for name in ("console", "node")]
    command = [program("rclone"), "serve", "s3", str(folder / "buckets"), *keys]
    with (
        serving(address, port, *command, f"--addr={address}:{port}"),
        guarded((address, port), key="node-id") as policed,
    ):
        yield {
            "kind": "s3",
            "url": f"s3:http://{address}:{policed}/backups/clinic",
            "region": "eu-central-1",
            "console_name": "console-id",
            "console_secret": "console-secret",
            "node_name": "node-id",
            "node_secret": "node-secret",
        }


SERVERS: Mapping[str, Callable[..., AbstractContextManager[Form]]] = {
    "rest": rest_servers,
    "s3": s3_server,
    "sftp": ssh_server,
}
