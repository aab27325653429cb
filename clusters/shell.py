"""A shell in a container: opened on the node that runs it, and ended there when it is left."""

import re
from contextlib import ExitStack, suppress

from clusters import engine
from clusters.gateway import on_node
from clusters.models import Node

# The shell says its process number first, in a control sequence that terminals do not show.
COMMAND = "printf '\\033]7777;%s\\007' $$; command -v bash >/dev/null && exec bash || exec sh"
NUMBER = re.compile(rb"\A\x1b\]7777;(\d+)\x07")
BELL = b"\x07"
# So long the first words, and the hanging up, may take.
PATIENCE = 5.0
HANG_UP_PATIENCE = 1.0
CHUNK = 32 * 1024


class Shell:
    """One interactive shell; one thread may read while another writes or closes."""

    def __init__(self, node: Node, container_id: str) -> None:
        self._container_id = container_id
        self._ended = False
        with ExitStack() as stack:
            self._engine = stack.enter_context(on_node(node))
            command = ["/bin/sh", "-c", COMMAND]
            self._session = self._engine.exec_open(container_id, command, tty=True)
            stack.callback(self._session.close)
            self._number, self._begun = self._first_words()
            self._held = stack.pop_all()

    def _first_words(self) -> tuple[int, bytes]:
        """Return the shell's process number, 0 if it does not say, and what it wrote after it."""
        words = b""
        while BELL not in words and self._session.ready(PATIENCE):
            part = self._session.recv(CHUNK)
            if not part:
                break
            words += part
        found = NUMBER.match(words)
        return (int(found[1]), words[found.end() :]) if found else (0, words)

    def recv(self) -> bytes:
        """Return what the shell wrote, waiting for it; nothing means that it has ended."""
        if self._begun:
            begun, self._begun = self._begun, b""
            return begun
        data = self._session.recv(CHUNK)
        self._ended = not data
        return data

    def send(self, data: bytes) -> None:
        """Write to the shell."""
        self._session.send(data)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the shell the size of its window."""
        self._session.resize(rows, columns)

    def exit_code(self) -> int | None:
        """Return the shell's exit code once it has ended."""
        return self._session.exit_code()

    def close(self) -> None:
        """End the shell and what it runs, and the connection; safe to call again.

        The Engine lets a command go on whose terminal is gone, so the shell is hung up by name:
        with it the kernel hangs up whatever stands in its foreground.
        """
        with self._held, suppress(engine.EngineError):
            if self._number and not self._ended:
                self._ended = True
                command = ["/bin/sh", "-c", f"kill -HUP {self._number}"]
                with self._engine.exec_open(self._container_id, command, tty=True) as hang_up:
                    while hang_up.ready(HANG_UP_PATIENCE) and hang_up.recv(CHUNK):
                        pass
