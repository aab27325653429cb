"""Log streams: decoded however they arrive, bounded, and ended from either side."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clusters import engine as engines
from clusters.engine import Endpoint, connect
from clusters.engine.frames import LONGEST, Frames, Lines, LogLine
from clusters.engine.wire import Chunks
from tests.fake_engine import FakeEngine, frame


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as fake:
        yield fake


@pytest.fixture
def engine(fake: FakeEngine) -> Iterator[engines.Engine]:
    with connect(Endpoint(fake.url), timeout=2) as engine:
        yield engine


def service_with_logs(fake: FakeEngine, data: bytes, *, tty: bool = False) -> str:
    """Put a service into the fake that has written something."""
    item = fake.add("services", "web", {"TaskTemplate": {"ContainerSpec": {"TTY": tty}}})
    fake.raw[f"/services/{item['ID']}/logs"] = data
    return str(item["ID"])


LABELS = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1"
STAMP = "2024-05-06T07:08:09.123456789Z"


def test_log_lines_have_their_time_stream_and_origin(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    key = service_with_logs(
        fake, frame(1, f"{STAMP} {LABELS} hello  world\n") + frame(2, f"{STAMP} {LABELS} oh\n")
    )
    first, second = engine.service_logs(key, tail=10)
    assert first == LogLine(
        "stdout",
        datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
        "hello  world",
        {
            "com.docker.swarm.node.id": "n1",
            "com.docker.swarm.service.id": "s1",
            "com.docker.swarm.task.id": "t1",
        },
    )
    assert (first.task_id, first.node_id) == ("t1", "n1")
    assert second is not None and (second.stream, second.text) == ("stderr", "oh")
    assert fake.queries[-1]["tail"] == "10"
    assert fake.queries[-1]["details"] == "1"


def test_what_the_engine_says_in_the_stream_ends_it_with_its_words(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    words = "Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream."
    key = service_with_logs(fake, frame(1, f"{STAMP} {LABELS} last\n") + frame(3, words))
    lines = engine.service_logs(key, tail=10)
    line = next(lines)
    assert line is not None and line.text == "last"
    with pytest.raises(engines.Refused, match=r"^Error grabbing logs: warning: incomplete log"):
        next(lines)


def test_logs_that_never_come_are_unreachable_in_time(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    key = service_with_logs(fake, b"")
    fake.delay(f"/services/{key}/logs", 30)
    began = time.monotonic()
    with pytest.raises(engines.Unreachable, match="does not answer within 2 s"):
        list(engine.service_logs(key, tail=10))
    assert time.monotonic() - began < 2.5


def test_logs_that_break_off_are_unreachable(fake: FakeEngine, engine: engines.Engine) -> None:
    key = service_with_logs(fake, frame(1, f"{STAMP} {LABELS} hello\n") * 2)
    fake.cut(f"/services/{key}/logs")
    with pytest.raises(engines.Unreachable, match="breaks off"):
        list(engine.service_logs(key, tail=10))


def test_logs_of_a_service_that_is_gone_are_not_found(engine: engines.Engine) -> None:
    with pytest.raises(engines.NotFound):
        engine.service_logs("gone", tail=10)


def test_following_beats_while_nothing_comes_and_ends_when_closed_elsewhere(
    fake: FakeEngine, engine: engines.Engine
) -> None:
    key = service_with_logs(fake, frame(1, f"{STAMP} {LABELS} {'x' * 50}\n"))
    fake.drip(f"/services/{key}/logs", 0.4)
    with engine.service_logs(key, tail=1, follow=True, heartbeat=0.1) as lines:
        assert next(lines) is None
        assert next(lines) is None
        threading.Timer(0.3, lines.close).start()
        assert all(line is None for line in lines)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 1000])
def test_frames_and_chunks_arrive_in_any_pieces(size: int) -> None:
    data = frame(1, "one\n") + frame(2, "") + frame(2, "two\n")
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:5], data[5:]))
    chunked += b"0\r\n\r\n"
    chunks, frames = Chunks(), Frames()
    found = []
    for start in range(0, len(chunked), size):
        found += frames.feed(chunks.feed(chunked[start : start + size]))
    assert chunks.ended
    assert found == [(1, b"one\n"), (2, b"two\n")]


def test_a_line_that_the_engine_cut_is_one_line_again() -> None:
    lines = Lines(tty=False, details=True)
    other = LABELS.replace("t1", "t2")
    found = lines.feed(
        frame(1, f"{STAMP} {LABELS} begins ")
        + frame(1, f"{STAMP} {other} between\n")
        + frame(1, f"{STAMP} {LABELS} and ends\n")
    )
    assert [line.text for line in found if isinstance(line, LogLine)] == [
        "between",
        "begins and ends",
    ]


def test_a_line_without_an_end_is_bounded() -> None:
    lines = Lines(tty=False, details=False)
    endless = [line for _ in range(20) for line in lines.feed(frame(1, "x" * 16384))]
    assert endless == []
    (line,) = lines.finish()
    assert isinstance(line, LogLine) and len(line.text) == LONGEST
    huge = Lines(tty=False, details=False).feed(frame(1, "y" * 300_000 + "\n"))
    assert isinstance(huge[0], LogLine) and len(huge[0].text) == LONGEST


def test_a_terminals_log_is_raw() -> None:
    lines = Lines(tty=True, details=False)
    found = lines.feed(f"{STAMP} a\rb\r\n{STAMP} c".encode()) + lines.finish()
    assert [line.text for line in found if isinstance(line, LogLine)] == ["a\rb", "c"]
