"""Write a report as JSON: one object, each record on a line of its own and in canonical form."""

from collections.abc import Iterable, Iterator

from backups.canonical import canonical
from backups.evidence.report import Entry

PIECE = 64 * 1024


def pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the file in pieces; the seal follows as the object's last member."""
    waiting = bytearray(b'{"medstack-evidence":1,\n"records":[\n')
    first = True
    for record in entries:
        line = canonical({"record": record.kind, **record.values})
        waiting += line if first else b",\n" + line
        first = False
        if len(waiting) > PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting + b"\n],\n")
