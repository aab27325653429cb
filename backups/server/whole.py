"""What nodes store is seen once it is whole, and a killed server leaves nothing torn."""

import re
import time
from contextlib import suppress
from pathlib import Path

_TORN = re.compile(r"\.rclone_chunk\.\d+_\w+$")
_STALE = 24 * 3600  # seconds; the server before this one may still be receiving


def remote(folder: Path) -> str:
    """Return how rclone is to name a folder of this machine, so that it renames what is whole.

    By its plain path it would write in place: other nodes would read half an index and call the
    repository damaged, and of a killed server half a file would stay under its name, which
    append-only keeps from ever being written again (rclone's issues 6329 and 8958). Its chunker
    writes aside; with chunks that large it never divides anything, so that the folder is a plain
    restic repository. fail_hard refuses names of chunks, with which a stolen node could otherwise
    put something in the way of what is stored.
    """
    quoted = str(folder).replace("'", "''")
    return f":chunker,remote='{quoted}',chunk_size=1P,hash_type=none,fail_hard=true:"


def remove_torn(folder: Path) -> None:
    """Remove what servers that were killed more than a day ago left unfinished."""
    before = time.time() - _STALE
    for path in folder.rglob("*.rclone_chunk.*"):
        with suppress(FileNotFoundError):
            if _TORN.search(path.name) and path.stat().st_mtime < before:
                path.unlink()
