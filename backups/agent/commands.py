"""The commands that an operator wants to run around a capture, such as a database's dump."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from backups.agent.policy import Handling
from clusters.engine import Engine

# A command that waits for something must not keep every later hour from its snapshot.
LONGEST = 900.0
LOOK = 0.5


class CommandFailed(Exception):
    """A command that has to run around a capture did not succeed."""


@contextmanager
def commands_around(engine: Engine, users: Sequence[str], handling: Handling) -> Iterator[None]:
    """Run a command before and another after, in a container that uses the volume."""
    try:
        if handling.before:
            execute(engine, users, handling.before, "before")
        yield
    finally:
        if handling.after:
            execute(engine, users, handling.after, "after")


def execute(
    engine: Engine, users: Sequence[str], command: str, when: str, *, within: float = LONGEST
) -> None:
    """Run a command in the first of some containers; raise CommandFailed unless it succeeds."""
    if not users:
        raise CommandFailed(f"its command {when} the backup has no running container to run in.")
    deadline, said = time.monotonic() + within, b""
    with engine.exec_open(users[0], ["sh", "-c", command], tty=False) as session:
        while True:
            if session.ready(LOOK):
                part = session.recv()
                if not part:
                    break
                said = (said + part)[-4096:]
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"its command {when} the backup was not done in {within:g} seconds."
                )
        code = session.exit_code()
    if code:
        lines = said.decode(errors="replace").strip().splitlines()
        words = lines[-1][:200] if lines else "it said nothing."
        raise CommandFailed(f"its command {when} the backup ended with code {code}: {words}")
