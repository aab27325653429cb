"""Repositories elsewhere: a REST server, S3 and SSH, whose nodes can add and read, never delete."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from backups import opening, restic
from backups.models import Repository
from clusters.models import Cluster
from medstack import operations
from medstack.models import Event, Operation, User
from tests.pages import SignIn

PASSWORD = "correct-horse-battery"


def program(name: str) -> str:
    found = shutil.which(
        name, path=f"{sysconfig.get_path('scripts')}:/usr/sbin:{os.environ['PATH']}"
    )
    assert found, f"{name} is not installed"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int, *command: str) -> Iterator[None]:
    """Run a server until the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, command
            assert time.monotonic() < until
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An SSH server that lets one key do SFTP and binds the other to an append-only server."""
    Path("/run/sshd").mkdir(exist_ok=True)
    keys, store, port = tmp_path / "keys", tmp_path / "store", free_port()
    keys.mkdir()
    for name in ("host", "console", "node"):
        command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)]
        subprocess.run(command, check=True)
    public = {name: (keys / f"{name}.pub").read_text() for name in ("host", "console", "node")}
    forced = f"{program('rclone')} serve restic --stdio --append-only {store}"
    allowed = f'{public["console"]}restrict,command="{forced}" {public["node"]}'
    (keys / "authorized").write_text(allowed)
    settings = [
        "ListenAddress 127.0.0.1",
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
    with serving(port, program("sshd"), "-D", "-f", str(keys / "config")):
        yield {
            "kind": "sftp",
            "url": f"sftp://root@127.0.0.1:{port}/{store}",
            "console_key": (keys / "console").read_text(),
            "node_key": (keys / "node").read_text(),
            "host_key": " ".join(public["host"].split()[:2]),
        }


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two REST servers over one folder: the nodes' one is append-only."""
    users = tmp_path / "users"
    lines = []
    for name in ("console", "node"):
        digest = base64.b64encode(hashlib.sha1(f"{name}-pass".encode()).digest()).decode()
        lines.append(f"{name}:{{SHA}}{digest}\n")
    users.write_text("".join(lines))
    port, command = free_port(), [program("rclone"), "serve", "restic", str(tmp_path / "store")]
    with serving(port, *command, f"--addr=127.0.0.1:{port}", f"--htpasswd={users}"):
        yield {
            "kind": "rest",
            "url": f"rest:http://127.0.0.1:{port}/",
            "console_name": "console",
            "console_secret": "console-pass",
            "node_name": "node",
            "node_secret": "node-pass",
        }


def carried(cluster: Cluster) -> Operation:
    """Carry the cluster's newest operation to its end."""
    found = Operation.objects.filter(cluster=cluster).first()
    assert found
    while found.is_active:
        Operation.objects.filter(pk=found.pk).update(not_before=None)
        operations.advance(found.pk)
        found.refresh_from_db()
    return found


def asked(client_for: SignIn, owner: User, cluster: Cluster, form: dict[str, str]) -> Any:
    return client_for(owner).post(reverse("change_repository", args=[cluster.slug]), form)


@pytest.mark.skipif(os.geteuid() != 0, reason="the SSH server lets root in")
def test_over_ssh_nodes_add_and_read_by_a_forced_command(
    ssh: dict[str, str], client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    assert asked(client_for, owner, cluster, ssh).status_code == 302
    operation = carried(cluster)
    assert operation.state == "done", operation.error
    row = Repository.objects.current().get(cluster=cluster)
    assert row.is_append_only
    # Only the pinned host key is accepted.
    other = replace(opening.for_console(row), ssh_host_key=other_key())
    with pytest.raises(restic.ResticError):
        restic.snapshots(other, timeout=20)
    assert "PRIVATE KEY" not in str(list(Event.objects.values())) + operation.log


def other_key() -> str:
    return (
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
    )


def test_credentials_that_can_delete_are_refused_and_nothing_changes(
    rest: dict[str, str], client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    former = Repository.objects.create(cluster=cluster, folder="former", password=PASSWORD)
    assert asked(client_for, owner, cluster, rest).status_code == 302
    operation = carried(cluster)
    assert "could delete" in operation.error
    assert Repository.objects.current().get(cluster=cluster) == former
    stored = str(list(Repository.objects.values("url"))) + str(list(Event.objects.values()))
    assert "console-pass" not in stored


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"console_secret": "wrong"}, "401|Unauthorized|refused|let"),
        ({"url": "rest:http://127.0.0.1:9/"}, "refused|answer|reach"),
    ],
)
def test_what_is_wrong_with_a_storage_is_said(
    change: dict[str, str],
    words: str,
    rest: dict[str, str],
    client_for: SignIn,
    owner: User,
    cluster: Cluster,
) -> None:
    assert asked(client_for, owner, cluster, rest | change).status_code == 302
    # What may pass by itself is tried until its time is over.
    Operation.objects.update(deadline="2020-01-01T00:00Z")
    operation = carried(cluster)
    assert operation.state == "failed"
    import re

    assert re.search(words, operation.error), operation.error
    assert not Repository.objects.current().filter(cluster=cluster).exists()


def test_the_wrong_password_of_an_existing_repository_is_said(
    rest: dict[str, str], client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    url = rest["url"].replace("//", "//console:console-pass@")
    restic.initialise(restic.Repository(url, PASSWORD))
    asked(client_for, owner, cluster, rest | {"password": "another-one-entirely"})
    assert "password" in carried(cluster).error


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"kind": "rest", "url": "https://x.example/"}, "url"),
        ({"kind": "s3", "url": "s3:https://k:s@x.example/b"}, "url"),
        ({"kind": "sftp", "url": "sftp://x.example/relative"}, "url"),
        ({"kind": "sftp", "url": "sftp://root@x.example//b"}, "host_key"),
        ({"kind": "embedded", "url": "/somewhere"}, "url"),
        ({"kind": "rest", "url": "rest:https://x.example/"}, "node_secret"),
    ],
)
def test_bad_input_is_refused_at_its_field(
    form: dict[str, str], field: str, client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    answer = asked(client_for, owner, cluster, form)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Repository.objects.exists()
