"""A repository of a real restic, and a backup that waits for its data."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backups import restic
from backups.restic.repository import Repository
from tests.stores import empty_store

ODD_NAMES = ("-rf", "a*b?[c]", "new\nline", "ünïcode", 'quo"te', "back\\slash", b"\xff.raw")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("empty")
    return empty_store(folder / "store")


@pytest.fixture
def repository(empty: Repository, tmp_path: Path) -> Repository:
    store = tmp_path / "store"
    shutil.copytree(empty.url, store)
    return replace(empty, url=str(store), environment={"RESTIC_CACHE_DIR": str(tmp_path / "cache")})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "notes").write_text("a note")
    return folder


class Waiting:
    """A backup of a stream that stays open, in a thread."""

    def __init__(self, repository: Repository) -> None:
        self.reader, self.writer = os.pipe()
        self.wanted = True
        self.under_way = threading.Event()
        self.outcome: restic.Summary | Exception | None = None
        self.thread = threading.Thread(target=self.work, args=(repository,))
        self.thread.start()
        os.write(self.writer, b"x")

    def work(self, repository: Repository) -> None:
        stream = os.fdopen(self.reader, "rb", buffering=0)
        try:
            self.outcome = restic.backup_stdin(
                repository,
                stream,
                "dump.sql",
                host="node",
                cancelled=lambda: not self.wanted,
                on_progress=lambda _: self.under_way.set(),
            )
        except restic.ResticError as error:
            self.outcome = error

    def finish(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1
        self.thread.join(60)


@pytest.fixture
def waiting(repository: Repository) -> Iterator[Waiting]:
    one = Waiting(repository)
    try:
        assert one.under_way.wait(30)
        yield one
    finally:
        one.finish()


def children() -> list[int]:
    """Every restic that this process has started and that still runs."""
    files = Path("/proc/self/task").glob("*/children")
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "restic\n"]


def break_a_pack(repository: Repository) -> str:
    pack = max(Path(repository.url, "data").rglob("*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[10] ^= 255
    pack.write_bytes(content)
    return pack.name
