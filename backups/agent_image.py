"""Build the agent's image without a registry: this machine's Python and restic, and our packages.

deploy/agent/Dockerfile makes the same image where a registry can be reached.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from django.conf import settings

from clusters.local.images import GROUPS, USERS, add_file, add_folder
from clusters.local.ingress_images import AUTHORITIES, SEARCH
from medstack.failures import Failure

HOME = "/opt/medstack"
LIBRARIES = ("docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer")
# What the agent imports of ours; nothing of Django, and nothing of the console's database.
OURS = (
    "medstack/__init__.py",
    "medstack/failures.py",
    "clusters/__init__.py",
    "clusters/reach.py",
    "clusters/engine",
    "backups/__init__.py",
    "backups/canonical.py",
    "backups/fractions.py",
    "backups/manifest.py",
    "backups/parts.py",
    "backups/schedule.py",
    "backups/restic",
    "backups/agent",
)
LEFT_OUT = re.compile(
    r"/(site-packages|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data"
    r"|__pycache__|config-[^/]+|distutils|venv)(/|$)|_tkinter|\.pyc$|/lib-dynload/_test|\.a$"
)
PROGRAMS = ("restic", "ssh")
# Loaded by name at run time, so that no program's own list has them.
BY_NAME = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")
CHANGES = [
    f"ENV PATH={SEARCH}",
    f"ENV PYTHONPATH={HOME}",
    "ENV PYTHONUNBUFFERED=1",
    "ENV PYTHONDONTWRITEBYTECODE=1",
    "ENV XDG_CACHE_HOME=/cache",
    f"WORKDIR {HOME}",
    'ENTRYPOINT ["/usr/bin/python3", "-m", "backups.agent"]',
    'CMD ["serve"]',
]


@cache
def version() -> str:
    """Return the agent's version: twelve digits that follow from all that is in its image."""
    seen = hashlib.sha256(f"{sys.version}\n{CHANGES}".encode())
    for name, path in sorted(our_files()):
        seen.update(f"{name}\n".encode() + path.read_bytes())
    for name in PROGRAMS:
        program = shutil.which(name)
        if program:
            stat = os.stat(program)
            seen.update(f"{program} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return seen.hexdigest()[:12]


def archive() -> Path:
    """Return the image's root folder as a tar file, made once for each version."""
    kept = Path(settings.STATE_DIR) / "images"
    path = kept / f"agent-{version()}.tar"
    if path.exists():
        return path
    kept.mkdir(parents=True, exist_ok=True)
    unfinished = kept / f"agent-{version()}.{os.getpid()}"
    try:
        with tarfile.open(unfinished, mode="w", format=tarfile.PAX_FORMAT) as tar:
            write(tar)
        for former in kept.glob("agent-*.tar"):
            former.unlink(missing_ok=True)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def write(tar: tarfile.TarFile) -> None:
    """Write the whole root folder."""
    for folder in ("dev", "etc", "etc/ssl", "etc/ssl/certs", "proc", "root", "sys", "run", "cache"):
        add_folder(tar, folder)
    add_folder(tar, "tmp", mode=0o1777)
    add_file(tar, "etc/passwd", USERS.encode())
    add_file(tar, "etc/group", GROUPS.encode())
    add_file(tar, "etc/nsswitch.conf", b"hosts: files dns\n")
    if AUTHORITIES.is_file():
        add_file(tar, "etc/ssl/certs/ca-certificates.crt", AUTHORITIES.read_bytes())
    files = {**dict(python_files()), **dict(our_files())}
    programs = {f"/usr/bin/{name}": needed(name) for name in PROGRAMS}
    files |= programs
    loaded = [path for path in files.values() if is_binary(path)]
    for name, path in libraries(loaded):
        files.setdefault(name, path)
    for name in sorted(files):
        entry = tarfile.TarInfo(name.lstrip("/"))
        path = files[name]
        entry.size = path.stat().st_size
        entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
        with path.open("rb") as content:
            tar.addfile(entry, content)


def python_files() -> Iterator[tuple[str, Path]]:
    """Yield the interpreter, its library and the packages that the Docker SDK consists of."""
    standard = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}))
    inside = f"/usr/lib/python{sys.version_info.major}.{sys.version_info.minor}"
    yield "/usr/bin/python3", Path(os.path.realpath(sys.executable))
    for path in files_below(standard):
        yield f"{inside}/{path.relative_to(standard)}", path
    packages = Path(sysconfig.get_path("purelib"))
    for name in LIBRARIES:
        for path in files_below(packages / name):
            yield f"{HOME}/{path.relative_to(packages)}", path


def our_files() -> Iterator[tuple[str, Path]]:
    """Yield the modules of ours that the agent consists of."""
    for name in OURS:
        path = Path(settings.BASE_DIR) / name
        for file in [path] if path.is_file() else files_below(path):
            yield f"{HOME}/{file.relative_to(settings.BASE_DIR)}", file


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, without what no running program needs."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not LEFT_OUT.search(str(path)[len(str(folder)) :]):
            yield path


def needed(name: str) -> Path:
    """Return where a program is."""
    path = shutil.which(name)
    if path is None:
        raise Failure(f"{name} is not installed here, so the agent's image cannot be made.")
    return Path(os.path.realpath(path))


def is_binary(path: Path) -> bool:
    """Say whether a file is a program or a library of this system."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(binaries: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield all shared libraries that some programs load, under the names they look for."""
    command = ["ldd", *map(str, binaries)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    folders = set()
    for line in said.splitlines():
        # "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)" or "/lib64/ld-linux… (0x…)"
        found = re.match(r"\s+(?:(\S+) => )?(/\S+) \(0x", line)
        if not found:
            continue
        path = Path(found[2])
        folders.add(path.parent)
        if found[1]:
            yield f"/lib/{found[1]}", path
        else:
            yield str(path), path
    for name in BY_NAME:
        for folder in folders:
            if (folder / name).exists():
                yield f"/lib/{name}", folder / name
                break
