"""The console's whole database as a stream of bytes, and back: SQL, or SQLite's file."""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection

from backups.restic.process import Source
from medstack.failures import Failure

# What another console has no use for: everybody signs in again, attempts are counted anew, and
# the tick queues what is not finished.
LEFT_OUT = ("django_session", "medstack_cache", "django_q_ormq")
EMPTY = b"DROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"
CHUNK = 1 << 20


def vendor() -> str:
    """Return which database this is: a backup can only go back into one of its kind."""
    return str(connection.vendor)


@contextmanager
def dumped() -> Iterator[Source]:
    """Open the database, as it is at one moment; reading raises where it cannot be read whole."""
    with ExitStack() as opened:
        if vendor() == "sqlite":
            yield opened.enter_context(copied())
        else:
            tables = [f"--exclude-table-data={name}" for name in LEFT_OUT]
            yield opened.enter_context(Program("pg_dump", "--no-owner", "--no-privileges", *tables))


def load(content: Iterable[bytes]) -> None:
    """Put a stream in the place of all that the database holds; on a failure nothing changes."""
    if vendor() == "sqlite":
        replace(content)
        return
    # The dump ends with the stream; what breaks off before must not be taken for the end.
    with Program("psql", "--no-psqlrc", "--quiet", "--single-transaction", STRICT) as program:
        program.feed([EMPTY])
        program.feed(content)
        program.finish()


STRICT = "--set=ON_ERROR_STOP=1"


@contextmanager
def copied() -> Iterator[IO[bytes]]:
    """Open a copy of the SQLite file, taken at one moment however much is written meanwhile."""
    with tempfile.TemporaryDirectory(dir=settings.STATE_DIR) as folder:
        path = Path(folder) / "database"
        with closing(sqlite3.connect(path)) as copy:
            connection.ensure_connection()
            with closing(sqlite3.connect(file_name())) as live:
                live.backup(copy)
            for table in LEFT_OUT:
                copy.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
            copy.commit()
            copy.execute("VACUUM")
        with path.open("rb") as file:
            yield file


def replace(content: Iterable[bytes]) -> None:
    """Copy a file over the live database, as one transaction."""
    with tempfile.NamedTemporaryFile(dir=settings.STATE_DIR) as file:
        for chunk in content:
            file.write(chunk)
        file.flush()
        connection.close()
        with (
            closing(sqlite3.connect(file.name)) as source,
            closing(sqlite3.connect(file_name(), timeout=60)) as live,
        ):
            source.backup(live)


def file_name() -> str:
    """Return where SQLite's file is."""
    return str(connection.settings_dict["NAME"])


class Program:
    """One of PostgreSQL's programs, on the console's database; killed unless it ended well."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self.words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        try:
            self.process = subprocess.Popen(
                [name, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "pg_dump" else subprocess.DEVNULL,
                stderr=self.words,
                env={"PATH": os.environ.get("PATH", os.defpath), **server()},
            )
        except OSError as error:
            raise Failure(f"{name} cannot be run ({error.strerror}).") from None

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()
        self.process.wait()
        self.words.close()

    def read(self, size: int) -> bytes:
        """Return what it puts out; raise at the end unless it ended well."""
        assert self.process.stdout
        data = self.process.stdout.read(size)
        if not data:
            self.finish()
        return data

    def feed(self, content: Iterable[bytes]) -> None:
        """Give it something to read; what it says is wrong is told."""
        assert self.process.stdin
        try:
            for chunk in content:
                self.process.stdin.write(chunk)
        except BrokenPipeError:
            self.finish()
            raise Failure(f"{self.name} ended before it had read all.") from None

    def finish(self) -> None:
        """Wait for its end; raise what it said unless all was well."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if self.process.wait():
            self.words.seek(0)
            said = self.words.read().decode(errors="replace").strip()
            raise Failure(f"{self.name}: {said[-2000:] or self.process.returncode}")


def server() -> dict[str, str]:
    """Return where PostgreSQL is, as its own programs are told: the password in no argument."""
    chosen: dict[str, Any] = connection.settings_dict
    names = {
        "PGHOST": "HOST",
        "PGPORT": "PORT",
        "PGUSER": "USER",
        "PGPASSWORD": "PASSWORD",
        "PGDATABASE": "NAME",
    }
    found = {variable: str(chosen.get(name) or "") for variable, name in names.items()}
    options = chosen.get("OPTIONS") or {}
    found["PGSSLMODE"] = str(options.get("sslmode") or "")
    found["PGSSLROOTCERT"] = str(options.get("sslrootcert") or "")
    return {variable: value for variable, value in found.items() if value}
