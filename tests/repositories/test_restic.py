"""Repositories, with a real restic: what goes in comes out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backups import restic
from backups.restic.repository import Repository
from tests.repositories.conftest import ODD_NAMES

pytestmark = pytest.mark.no_database


def test_no_django_comes_along() -> None:
    code = "import sys, backups.restic; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_come_back_as_they_were(repository: Repository, data: Path, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        Path(os.fsdecode(os.fsencode(data) + b"/" + os.fsencode(name))).write_bytes(b"odd")
    (data / "empty").mkdir(mode=0o750)
    (data / "link").symlink_to("../nowhere")
    (data / "same").hardlink_to(data / "notes")
    (data / "script").write_text("#!/bin/sh")
    (data / "script").chmod(0o4751)
    with (data / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 20)
    os.mkfifo(data / "pipe")
    os.utime(data / "notes", ns=(10**18, 10**18 + 1))

    seen: list[restic.Progress] = []
    made = restic.backup(
        repository, [data], host="node", tags=["volume=db"], on_progress=seen.append
    )
    assert made.unread == ()
    assert made.bytes > 1 << 20
    assert made.files >= len(ODD_NAMES) + 4
    assert seen and all(0 <= one.percent <= 100 for one in seen)
    back: list[restic.Progress] = []
    restic.restore(repository, made.snapshot_id, tmp_path / "out", on_progress=back.append)
    assert back[-1].percent == 100

    restored = tmp_path / f"out{data}"
    assert facts(restored) == facts(data)
    assert (restored / "same").samefile(restored / "notes")
    assert restic.stats(repository, stored=True).bytes < 1 << 20


def facts(folder: Path) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        name = os.fsencode(path.relative_to(folder))
        when = None if path.is_dir() else status.st_mtime_ns
        found[name] = (status.st_mode, status.st_uid, status.st_gid, when, content)
    return found


def test_a_snapshot_is_found_by_its_tags_and_looked_into(
    repository: Repository, data: Path, tmp_path: Path
) -> None:
    (data / "sub").mkdir()
    (data / "sub" / "a*").write_text("star")
    (data / "sub" / "ab").write_text("not asked for")
    first = restic.backup(repository, [data], host="node", tags=["hour=1", "volume=db"])
    restic.backup(repository, [data], host="node", tags=["hour=2"])
    (found,) = restic.snapshots(repository, tags=["hour=1", "volume=db"])
    assert found.id.startswith(first.snapshot_id)
    assert (found.host, found.paths, found.tags) == ("node", (str(data),), ("hour=1", "volume=db"))

    entries = list(restic.listing(repository, found.id, str(data)))
    assert {(Path(one.path).name, one.kind, one.size) for one in entries} == {
        ("notes", "file", 6),
        ("sub", "dir", 0),
    }
    deep = restic.listing(repository, found.id, str(data), recursive=True)
    assert f"{data}/sub/ab" in {one.path for one in deep}
    assert b"".join(restic.dump(repository, found.id, f"{data}/notes")) == b"a note"
    restic.restore(repository, found.id, tmp_path / "out", include=[f"{data}/sub/a*"])
    assert os.listdir(tmp_path / f"out{data}/sub") == ["a*"]


def test_what_is_not_there_is_never_a_success(
    repository: Repository, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(restic.NotFound, match="gone"):
        restic.backup(repository, [data, data / "gone"], host="node")
    made = restic.backup(repository, [data], host="node").snapshot_id
    with pytest.raises(restic.NotFound):
        list(restic.listing(repository, made, "/gone"))
    with pytest.raises(restic.NotFound):
        list(restic.dump(repository, made, "/gone"))
    with pytest.raises(restic.NotFound):
        restic.restore(repository, made, tmp_path / "out", include=["/gone"])
    with pytest.raises(restic.NotFound):
        list(restic.dump(repository, "0123abcd", "/notes"))
    with pytest.raises(restic.NotFound, match="not the id"):
        restic.forget(repository, ["latest"])


def test_a_file_that_cannot_be_read_is_named(repository: Repository, data: Path) -> None:
    unreadable = f"/proc/{os.getpid()}/mem"
    made = restic.backup(repository, [data, unreadable], host="node")
    assert made.snapshot_id
    assert any(unreadable in line for line in made.unread)
