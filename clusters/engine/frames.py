"""Decode what the Engine streams of a container's output: frames first, then lines."""

import re
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from clusters.engine.errors import EngineError, from_words

TASK = "com.docker.swarm.task.id"
NODE = "com.docker.swarm.node.id"
STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
# The fourth stream is the Engine speaking itself: why the logs are incomplete or end here.
SYSTEM = 3
HEADER = 8
LONGEST = 64 * 1024
# Time and labels stand in front of the text.
LONGEST_FRAME = LONGEST + 8 * 1024
TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) ?")


@dataclass(frozen=True)
class LogLine:
    """One line; of a service's, the labels say which task and node wrote it."""

    stream: str
    at: datetime | None
    text: str
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        """Return the task that wrote the line, if the Engine says."""
        return self.labels.get(TASK, "")

    @property
    def node_id(self) -> str:
        """Return the node on which it was written, if the Engine says."""
        return self.labels.get(NODE, "")


class Frames:
    """Take a multiplexed stream apart, however the pieces arrive; long frames are cut."""

    def __init__(self) -> None:
        self._header = b""
        self._payload = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the frames that are complete now, each as its stream and its bytes."""
        frames = []
        while data:
            if self._left == 0:
                needed = HEADER - len(self._header)
                self._header, data = self._header + data[:needed], data[needed:]
                if len(self._header) < HEADER:
                    break
                self._stream, self._left = struct.unpack(">BxxxL", self._header)
                self._header = b""
                continue
            part, data = data[: self._left], data[self._left :]
            self._left -= len(part)
            self._payload += part[: max(0, LONGEST_FRAME - len(self._payload))]
            if self._left == 0:
                if part.endswith(b"\n") and not self._payload.endswith(b"\n"):
                    self._payload += b"\n"
                frames.append((self._stream, bytes(self._payload)))
                self._payload.clear()
        return frames


class Lines:
    """Make lines of a log stream."""

    def __init__(self, *, tty: bool, details: bool) -> None:
        self._frames = None if tty else Frames()
        self._details = details
        self._rest = b""
        # The Engine cuts long lines into several messages, and those of several tasks mix.
        self._begun: dict[tuple[str, str], LogLine] = {}

    def feed(self, data: bytes) -> list[LogLine | EngineError]:
        """Return the lines that are complete now."""
        found: list[LogLine | EngineError] = []
        for stream, payload in self._payloads(data):
            if stream == SYSTEM:
                found.append(from_words(500, payload.decode(errors="replace")))
                continue
            for piece in cut(payload):
                line = self._add(STREAMS.get(stream, "stdout"), piece)
                if line is not None:
                    found.append(line)
        return found

    def finish(self) -> list[LogLine | EngineError]:
        """Return the lines whose end never came."""
        found = self.feed(b"\n") if self._frames is None and self._rest else []
        found += list(self._begun.values())
        self._begun.clear()
        return found

    def _payloads(self, data: bytes) -> list[tuple[int, bytes]]:
        if self._frames is not None:
            return self._frames.feed(data)
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[:LONGEST_FRAME]
        return [(1, whole + newline)] if newline else []

    def _add(self, stream: str, piece: bytes) -> LogLine | None:
        at, labels, text = self._split(piece)
        key = (stream, labels.get(TASK, ""))
        begun = self._begun.pop(key, None)
        if begun is not None:
            at, labels, text = begun.at, begun.labels, begun.text + text
        line = LogLine(stream, at, text[:LONGEST], labels)
        if piece.endswith(b"\n"):
            return line
        self._begun[key] = line
        return None

    def _split(self, piece: bytes) -> tuple[datetime | None, dict[str, str], str]:
        at, labels = None, {}
        if stamp := TIME.match(piece):
            at, piece = moment(stamp), piece[stamp.end() :]
        if self._details:
            details, _, piece = piece.partition(b" ")
            pairs = (pair.partition("=") for pair in details.decode(errors="replace").split(","))
            labels = {unquote_plus(key): unquote_plus(value) for key, _, value in pairs if key}
        return at, labels, piece.rstrip(b"\r\n").decode(errors="replace")


def cut(payload: bytes) -> list[bytes]:
    """Cut at line feeds only: a lone carriage return belongs to the line."""
    return [part for part in re.split(rb"(?<=\n)", payload) if part]


def moment(stamp: re.Match[bytes]) -> datetime:
    """Read the Engine's time; it counts nanoseconds, Python microseconds."""
    seconds, fraction, zone = (part.decode() for part in stamp.groups(default=b"0"))
    zone = "+00:00" if zone == "Z" else zone
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}{zone}").astimezone(UTC)
