"""Run restic, and anew where another's lock vanished while restic was about to read it."""

import io
from collections.abc import Callable, Generator, Sequence
from typing import TypedDict, Unpack

from backups.restic.errors import LockVanished
from backups.restic.process import Source, attempt
from backups.restic.repository import Repository

# Of captures of which four run at a time, one in twelve sees a lock vanish.
ATTEMPTS = 6


class Options(TypedDict, total=False):
    """What `attempt` may be told besides."""

    accept: Sequence[int]
    timeout: float | None
    cancelled: Callable[[], bool]
    started: Callable[[int], object]
    inherited: Sequence[int]


def output(
    repository: Repository,
    arguments: Sequence[str],
    *,
    words: list[str] | None = None,
    source: Source | None = None,
    **options: Unpack[Options],
) -> Generator[bytes, None, None]:
    """Run restic as `attempt` does, and quickly anew where a lock vanished; time counts from each.

    Before it has its lock restic puts nothing out, so nothing comes twice. A source that cannot
    be read twice has one attempt, for which restic then takes its time.
    """
    words = [] if words is None else words
    whole = source.getvalue() if isinstance(source, io.BytesIO) else None
    once = source is not None and whole is None
    for number in range(ATTEMPTS):
        try:
            yield from attempt(
                repository,
                arguments,
                words=words,
                # A copy: what fed the attempt before may still be reading.
                source=source if whole is None else io.BytesIO(whole),
                last=once or number == ATTEMPTS - 1,
                **options,
            )
        except LockVanished:
            words.clear()
            # Interrupted so early, restic may leave its own lock; nobody else's is taken for stale.
            if arguments[0] != "unlock":
                for _ in output(repository, ["unlock"]):
                    yield b""
        else:
            return
