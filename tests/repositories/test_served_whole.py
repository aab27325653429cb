"""The embedded repositories' server shows nodes a file once it is whole."""

import base64
import hashlib
import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups.server import serving, whole
from tests.engines.ways import until
from tests.repositories.servers import LOOPBACK, free_port
from tests.repositories.servers import serving as running

CONTENT = os.urandom(200_000)
NAME = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Store:
    """The shipped server over a folder of its own, and a node's way to it."""

    root: Path
    port: int

    @contextmanager
    def running(self) -> Iterator[None]:
        with running(LOOPBACK, self.port, *serving.command([LOOPBACK], self.port)):
            yield

    def connection(self) -> http.client.HTTPSConnection:
        trust = ssl.create_default_context(cadata=serving.authority())
        return http.client.HTTPSConnection(LOOPBACK, self.port, context=trust, timeout=20)

    def asked(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = self.connection()
        connection.request(method, f"/clinic/{path}", body, HEADERS)
        answer = connection.getresponse()
        return answer.status, answer.read()

    @contextmanager
    def half_sent(self) -> Iterator[http.client.HTTPSConnection]:
        """Send one half of an index, and wait until the server has it."""
        connection = self.connection()
        connection.putrequest("POST", f"/clinic/index/{NAME}")
        for header, value in HEADERS.items():
            connection.putheader(header, value)
        connection.putheader("Content-Length", str(len(CONTENT)))
        connection.endheaders(CONTENT[: len(CONTENT) // 2])
        until(lambda: sum(one.stat().st_size for one in self.files()) > 0)
        yield connection
        connection.close()

    def files(self) -> list[Path]:
        return list((self.root / "clinic/index").glob("*"))


HEADERS = {
    "Authorization": "Basic " + base64.b64encode(b"clinic:secret").decode(),
    "Accept": "application/vnd.x.restic.rest.v2",
}


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> Store:
    # A quote and a comma mean something to rclone.
    settings.REPOSITORIES_ROOT = tmp_path / "the clinics', all"
    (settings.REPOSITORIES_ROOT / "clinic/index").mkdir(parents=True)
    serving.authority()
    digest = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    serving.users_file().write_text(f"clinic:{{SHA}}{digest}\n")
    return Store(settings.REPOSITORIES_ROOT, free_port())


def test_a_file_that_is_being_written_is_seen_by_nobody(store: Store) -> None:
    with store.running(), store.half_sent() as connection:
        assert store.asked("GET", "index/") == (200, b"[]\n")
        assert store.asked("GET", f"index/{NAME}")[0] == 404
        connection.send(CONTENT[len(CONTENT) // 2 :])
        assert connection.getresponse().status == 200
        assert store.asked("GET", f"index/{NAME}") == (200, CONTENT)
        assert [one.name for one in store.files()] == [NAME]
        assert store.asked("POST", f"index/{NAME}", b"other")[0] == 403
        assert store.asked("DELETE", f"index/{NAME}")[0] == 403


def test_what_a_killed_server_had_half_of_is_stored_by_the_next_attempt(store: Store) -> None:
    command = serving.command([LOOPBACK], store.port)
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: answers(store))
    with store.half_sent():
        server.kill()
        server.wait(10)
    with store.running():
        assert store.asked("GET", "index/") == (200, b"[]\n")
        assert store.asked("POST", f"index/{NAME}", CONTENT)[0] == 200
        assert store.asked("GET", f"index/{NAME}") == (200, CONTENT)
    torn = next(one for one in store.files() if one.name != NAME)
    whole.remove_torn(store.root)
    assert torn.exists()  # of this very day: a server may be receiving it
    os.utime(torn, (0, time.time() - 25 * 3600))
    os.utime(store.root / "clinic/index" / NAME, (0, 0))
    whole.remove_torn(store.root)
    assert [one.name for one in store.files()] == [NAME]


@pytest.mark.parametrize("content", [CONTENT, CONTENT[:300]], ids=["large", "small"])
def test_nobody_puts_anything_in_the_way_of_what_is_stored(store: Store, content: bytes) -> None:
    with store.running():
        assert store.asked("POST", "snapshots/stored", content)[0] == 200
        for suffix in ("001", "002", "001_4d1csf", "_meta"):
            assert store.asked("POST", f"snapshots/stored.rclone_chunk.{suffix}", b"x")[0] == 500
        listed = [{"name": "stored", "size": len(content)}]
        assert json.loads(store.asked("GET", "snapshots/")[1]) == listed
        assert store.asked("GET", "snapshots/stored") == (200, content)


def answers(store: Store) -> bool:
    try:
        return store.asked("GET", "index/")[0] == 200
    except OSError:
        return False
