"""A PostgreSQL of a test's own, on a socket of its own, that can be killed and started again."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tests.engines.workers import until

USER = "medstack"


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, the newest version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL is needed (Debian: postgresql)."
    return found[-1].parent


class PostgreSQL:
    """One server with one database, reached by no network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        subprocess.run(["chown", "postgres", str(folder)], check=True)
        self._run("initdb", f"--pgdata={self.data}", f"--username={USER}", "--auth=trust")
        # A kill must lose nothing, so unlike in the other suites all reaches the disk.
        with (self.data / "postgresql.conf").open("a") as options:
            options.write(f"\nunix_socket_directories = '{folder}'\nlisten_addresses = ''\n")
        self.start()
        self._run("createdb", f"--host={folder}", f"--username={USER}", USER)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Return where it is, as DATABASE_URL names it."""
        return f"postgresql://{USER}@{quote(str(self.folder), safe='')}/{USER}"

    @property
    def dsn(self) -> str:
        """Return where it is, as psycopg takes it."""
        return f"host={self.folder} user={USER} dbname={USER}"

    def start(self) -> None:
        """Start it and wait until it answers, recovery included."""
        options = (f"--pgdata={self.data}", f"--log={self.folder / 'log'}", "--wait", "--silent")

        def started() -> bool:
            # After a kill it refuses until the last process of the former one has ended.
            with suppress(subprocess.CalledProcessError):
                self._run("pg_ctl", *options, "start")
                return True
            return False

        until(started, within=60, what="PostgreSQL starts")

    def kill(self) -> None:
        """Kill its first process, as an out-of-memory killer would; the others end by it."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        with suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", f"--pgdata={self.data}", "--mode=immediate", "--silent", "stop")

    def dump(self) -> bytes:
        """Return all that the database holds, as a backup of it would."""
        command = [str(programs() / "pg_dump"), f"--host={self.folder}", f"--username={USER}", USER]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        command = ["runuser", "-u", "postgres", "--", str(programs() / program), *arguments]
        with (self.folder.parent / "postgresql.out").open("ab") as out:
            subprocess.run(command, check=True, stdout=out, stderr=out, cwd="/")
