"""What goes wrong with a real restic, and what is said of it."""

import io
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backups import restic
from backups.restic.errors import from_words
from backups.restic.process import run
from backups.restic.repository import Repository
from tests.adding_storage import Storage, adding_storage
from tests.repositories.conftest import Waiting, break_a_pack, children
from tests.stores import PASSWORD

pytestmark = pytest.mark.no_database


def test_a_wrong_password_is_told_from_a_missing_repository(
    repository: Repository, tmp_path: Path
) -> None:
    assert restic.exists(repository)
    wrong = replace(repository, password="wrong-horse")
    with pytest.raises(restic.WrongPassword) as caught:
        restic.exists(wrong)
    assert "wrong-horse" not in str(caught.value)
    nowhere = replace(repository, url=str(tmp_path / "nowhere"))
    assert not restic.exists(nowhere)
    with pytest.raises(restic.NoRepository):
        restic.snapshots(nowhere)
    with pytest.raises(restic.Unreachable):
        restic.exists(replace(repository, url="rest:http://127.0.0.1:9/"))
    with pytest.raises(restic.ResticFailed, match="already exists"):
        restic.initialise(repository)


def test_forgotten_snapshots_are_gone_and_pruned(repository: Repository, data: Path) -> None:
    (data / "big").write_bytes(os.urandom(1 << 20))
    restic.backup(repository, [data], host="node")
    assert size(repository) > 1 << 20
    (data / "big").unlink()
    restic.backup(repository, [data], host="node")
    old, new = restic.snapshots(repository)
    restic.forget(repository, [old.id, "0123abcd" * 8])
    restic.forget(repository, [])
    restic.prune(repository)
    assert os.listdir(f"{repository.url}/snapshots") == [new.id]
    assert size(repository) < 1 << 20


def size(repository: Repository) -> int:
    return sum(f.stat().st_size for f in Path(repository.url).rglob("*") if f.is_file())


def test_a_corrupted_pack_is_named(repository: Repository, data: Path, tmp_path: Path) -> None:
    (data / "big").write_bytes(os.urandom(1 << 20))
    made = restic.backup(repository, [data], host="node").snapshot_id
    pack = break_a_pack(repository)
    with pytest.raises(restic.Damaged) as caught:
        restic.check(repository, subset=(1, 1))
    assert any(pack in finding for finding in caught.value.findings)
    with pytest.raises(restic.Damaged):
        restic.restore(repository, made, tmp_path / "out")
    for file in Path(repository.url, "snapshots").iterdir():
        file.chmod(0o600)
        file.write_bytes(b"rubbish")
    cold = replace(repository, environment={"RESTIC_CACHE_DIR": str(tmp_path / "cold")})
    with pytest.raises(restic.Damaged, match=made):
        restic.snapshots(cold)
    assert restic.snapshots(cold, despite_damage=True) == []


def test_no_secret_is_in_the_process_list(repository: Repository, waiting: Waiting) -> None:
    (pid,) = children()
    for file in ("cmdline", "environ"):
        shown = Path(f"/proc/{pid}/{file}").read_bytes()
        assert shown
        assert PASSWORD.encode() not in shown
        assert repository.url.encode() not in shown
    waiting.finish()
    assert isinstance(waiting.outcome, restic.Summary)
    made = waiting.outcome.snapshot_id
    assert b"".join(restic.dump(repository, made, "/dump.sql")) == b"x"


def test_a_live_lock_stays_and_a_dead_one_goes(repository: Repository, waiting: Waiting) -> None:
    restic.unlock(repository)
    with pytest.raises(restic.Locked, match="locked"):
        restic.check(repository)
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    waiting.finish()
    assert isinstance(waiting.outcome, restic.ResticFailed)
    assert os.listdir(f"{repository.url}/locks")
    restic.unlock(repository)
    assert not os.listdir(f"{repository.url}/locks")


def test_cancelling_leaves_no_process_and_no_lock(repository: Repository, waiting: Waiting) -> None:
    waiting.wanted = False
    waiting.thread.join(30)
    assert isinstance(waiting.outcome, restic.Cancelled)
    assert children() == []
    assert not os.listdir(f"{repository.url}/locks")
    assert os.listdir(f"{repository.url}/snapshots") == []


def test_leaving_a_dump_half_way_ends_restic(repository: Repository, data: Path) -> None:
    (data / "big").write_bytes(os.urandom(4 << 20))
    made = restic.backup(repository, [data], host="node").snapshot_id
    stream = restic.dump(repository, made, f"{data}/big")
    assert next(stream)
    assert len(children()) == 1
    stream.close()
    assert children() == []


def test_half_a_stream_is_no_backup(repository: Repository) -> None:
    class Broken(io.RawIOBase):
        calls = 0

        def read(self, size: int = -1, /) -> bytes:
            self.calls += 1
            if self.calls > 3:
                raise ConnectionResetError("the database went away")
            return b"x" * size

    with pytest.raises(ConnectionResetError):
        restic.backup_stdin(repository, Broken(), "dump.sql", host="node")
    assert os.listdir(f"{repository.url}/snapshots") == []
    assert children() == []


def test_a_run_out_of_time_is_ended(repository: Repository) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        try:
            with pytest.raises(restic.Unreachable, match="not done in"):
                restic.backup_stdin(repository, stream, "dump", host="node", timeout=0.5)
        finally:
            # First, because somebody still reads at the other end.
            os.close(writer)
    assert children() == []


@pytest.fixture
def storage() -> Iterator[tuple[str, type[Storage]]]:
    with adding_storage() as one:
        yield one


def test_a_storage_that_only_adds_refuses_to_forget(
    storage: tuple[str, type[Storage]], data: Path, tmp_path: Path
) -> None:
    url, handler = storage
    environment = {"RESTIC_CACHE_DIR": str(tmp_path / "cache")}
    repository = Repository(url, PASSWORD, environment=environment)
    assert not restic.exists(repository)
    restic.initialise(repository)
    restic.backup(repository, [data], host="node")
    (kept,) = restic.snapshots(repository)
    with pytest.raises(restic.Refused, match="403") as caught:
        restic.forget(repository, [kept.id])
    assert "tmein" not in str(caught.value) + repr(repository)
    assert not [name for name in handler.files if "/locks/" in name]
    assert f"/snapshots/{kept.id}" in handler.files
    # The credentials arrive, though no process shows them.
    assert handler.seen == {"Basic bm9kZTpsZTp0bWVpbg=="}
    with run(repository, ["snapshots"], fed=False) as process:
        for file in ("cmdline", "environ"):
            assert b"tmein" not in Path(f"/proc/{process.pid}/{file}").read_bytes()

    (data / "big").write_bytes(os.urandom(2 << 20))
    with pytest.raises(restic.Full):
        restic.backup(repository, [data], host="node")


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (1, "Fatal: unable to save snapshot: write x: no space left on device", restic.Full),
        (12, "Fatal: who are you", restic.WrongPassword),
        (11, "unable to create lock", restic.Locked),
        (10, "Fatal: repository does not exist", restic.NoRepository),
        (1, "Fatal: unable to open config file: dial tcp: no such host", restic.Unreachable),
        (1, "ssh: connect to host h port 22: Connection refused", restic.Unreachable),
        (1, "Fatal: unexpected HTTP response (401): 401 Unauthorized", restic.Refused),
        (
            1,
            "Fatal: config cannot be loaded: unsupported repository version",
            restic.UnknownVersion,
        ),
        (1, "Fatal: invalid backend", restic.ResticFailed),
    ],
)
def test_other_words_are_sorted_too(code: int, words: str, kind: type[Exception]) -> None:
    repository = Repository("/r", PASSWORD, environment={"AWS_SECRET_ACCESS_KEY": "s3-secret"})
    error = from_words(repository, [f"{words} {PASSWORD} s3-secret"], code=code, doing="check")
    assert type(error) is kind
    assert words in str(error)
    assert PASSWORD not in str(error) and "s3-secret" not in str(error) + repr(repository)


@pytest.mark.parametrize("password", ["", " blank", "two\nlines"])
def test_a_password_that_restic_would_change_is_not_taken(password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        Repository("/r", password)
