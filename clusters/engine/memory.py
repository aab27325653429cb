"""Files that exist in memory only, for programs and libraries which insist on a path."""

import os
from types import TracebackType
from typing import Self


class MemoryFile:
    """Hold a credential under a path without ever writing it to a disk."""

    def __init__(self, text: str) -> None:
        self._fd = os.memfd_create("medstack", os.MFD_CLOEXEC)
        try:
            # ssh refuses a key that others could read.
            os.fchmod(self._fd, 0o600)
            with open(self._fd, "w", encoding="utf-8", newline="", closefd=False) as file:
                file.write(text)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        """Return a path that a child can open, too: ssh closes what it inherits."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def close(self) -> None:
        """Forget the content; safe to call again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
