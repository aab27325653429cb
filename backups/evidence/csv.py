"""Write a report as CSV: one line for each record, which begins with the record's kind.

Before the first line of a kind stands a line with the names of its fields, beginning with `record`.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from backups.evidence.report import FIELDS, Entry

PIECE = 64 * 1024
# With these a spreadsheet takes a text for a formula and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the file in pieces."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    kind = ""
    for record in entries:
        if record.kind != kind:
            kind = record.kind
            writer.writerow(("record", *FIELDS[kind]))
        values = record.values
        writer.writerow((kind, *(cell(values[name]) for name in FIELDS[kind])))
        if text.tell() > PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def cell(value: Any) -> Any:
    """Return a value as a cell: a text that looks like a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, str):
        # A zero byte ends a text in many programs.
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return f"'{value}" if value.startswith(FORMULA) else value
    return value
