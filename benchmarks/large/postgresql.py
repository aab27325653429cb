"""A private PostgreSQL for a benchmark: on a socket in a folder of its own, thrown away afterwards.

Nothing has to reach the disk, so it does not wait for it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[2]
USER = "medstack"
OPTIONS = (
    "listen_addresses=''",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "max_wal_size=4GB",
    "shared_buffers=512MB",
)


@contextmanager
def running(folder: Path) -> Iterator["Server"]:
    """Start a server in a folder, made anew or as it was left there; end it afterwards."""
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Server:
    """One server that no network reaches."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"

    def start(self) -> None:
        """Start it and wait until it answers."""
        if not self.data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(self.folder, "postgres")
            made = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
            self.run("initdb", f"--pgdata={self.data}", f"--username={USER}", *made)
        options = " ".join([f"-k '{self.folder}'", *(f"-c {option}" for option in OPTIONS)])
        log = f"--log={self.folder / 'log'}"
        arguments = (f"--pgdata={self.data}", log, f"--options={options}", "--wait", "--silent")
        self.run("pg_ctl", *arguments, "start")

    def stop(self) -> None:
        """End it."""
        self.run("pg_ctl", f"--pgdata={self.data}", "--mode=fast", "--silent", "stop")

    def create(self, name: str) -> bool:
        """Create a database; say whether it is new."""
        arguments = (f"--host={self.folder}", f"--username={USER}")
        there = self.run("psql", *arguments, "--list", "--tuples-only", "--no-align", "-F", " ")
        if any(line.startswith(f"{name} ") for line in there.splitlines()):
            return False
        self.run("createdb", *arguments, name)
        return True

    def url(self, name: str) -> str:
        """Return where a database is, as DATABASE_URL names it."""
        return f"postgresql://{USER}@{quote(str(self.folder), safe='')}/{name}"

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs, which refuse to work for root."""
        command = [str(programs() / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        with (self.folder.parent / "postgresql.out").open("ab") as errors:
            # A file, for the server that stays must not hold a pipe open.
            answer = self.folder.parent / "postgresql.answer"
            with answer.open("wb") as out:
                subprocess.run(command, check=True, stdout=out, stderr=errors, cwd="/")
        return answer.read_text()


def opened(folder: Path) -> Path:
    """Let the server's own user into a folder, which is not root."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    return folder


def with_keys(state: Path) -> None:
    """Choose the state folder of this process and of its children, with keys of its own."""
    for name in [key for key in os.environ if key.startswith("MEDSTACK_")]:
        del os.environ[name]
    os.environ |= {"MEDSTACK_STATE": str(state), "DJANGO_SETTINGS_MODULE": "medstack.settings"}
    command = [sys.executable, "manage.py", "init_keys"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, the newest version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise SystemExit("PostgreSQL's initdb is needed (Debian: postgresql).")
    return found[-1].parent if found else Path(str(on_path)).parent
