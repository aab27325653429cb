"""Let one process at a time do something, across workers and threads."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medstack.failures import Failure, Transient


@contextmanager
def held(path: Path, *, patience: float = 75) -> Iterator[None]:
    """Hold a file's lock; it is free again when the process ends, however it ends."""
    deadline = time.monotonic() + patience
    while (descriptor := take(path)) is None:
        if time.monotonic() > deadline:
            raise Transient(f"Another process has been working on {path.parent} for too long.")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(descriptor)


def take(path: Path) -> int | None:
    """Take the lock if it is free."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # The last node's end removed the folder just now.
    except OSError as error:
        raise Failure(f"{path} cannot be opened: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A holder may have deleted the file before it let go: such a lock guards nothing.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
