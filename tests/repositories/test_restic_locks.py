"""A lock that goes away while restic looks at it costs a moment, not most of a minute."""

import io
import os
import secrets
import shutil
from pathlib import Path

import pytest

from backups import restic
from backups.restic.repository import Repository

# Up to restic 0.16: it lists a lock, its owner removes it, and restic looks for it for 43 seconds.
SHIM = """#!/bin/sh
case "$*" in *version*) exec {restic} "$@" ;; esac
for word; do case $word in backup | unlock | snapshots) echo "$word" >>{log}; break ;; esac; done
[ "$(wc -l <{log})" -lt 2 ] || rm -f {lock}
exec {restic} "$@"
"""


@pytest.fixture
def attempts(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """List a lock that is not there until restic is run for the second time; log the runs."""
    lock = Path(repository.url, "locks", secrets.token_hex(32))
    lock.symlink_to("gone")
    shim, log = tmp_path / "bin" / "restic", tmp_path / "attempts"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(restic=shutil.which("restic"), log=log, lock=lock))
    shim.chmod(0o755)
    log.touch()
    monkeypatch.setenv("PATH", str(shim.parent), prepend=os.pathsep)
    return log


def test_a_backup_begins_anew_when_a_lock_vanishes(
    repository: Repository, data: Path, attempts: Path
) -> None:
    made = restic.backup(repository, [data], host="node")
    assert attempts.read_text().split() == ["backup", "unlock", "backup"]
    assert (made.files, made.unread) == (1, ())
    assert os.listdir(f"{repository.url}/locks") == []
    assert len(restic.snapshots(repository)) == 1


def test_what_is_fed_to_a_backup_is_whole_in_the_second_attempt(
    repository: Repository, attempts: Path
) -> None:
    content = os.urandom(1 << 20)
    made = restic.backup_stdin(repository, io.BytesIO(content), "report", host="node").snapshot_id
    assert attempts.read_text().split()[:3] == ["backup", "unlock", "backup"]
    assert b"".join(restic.dump(repository, made, "/report")) == content
    assert os.listdir(f"{repository.url}/locks") == []


def test_unlocking_itself_begins_anew(repository: Repository, attempts: Path) -> None:
    restic.unlock(repository)
    assert attempts.read_text().split() == ["unlock", "unlock"]
