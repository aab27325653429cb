"""Write audit records as files, piece by piece: CSV to read, JSON lines that can be checked."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from medstack.chain import Link

COLUMNS = (
    "number",
    "at",
    "actor_name",
    "address",
    "action",
    "subject_kind",
    "subject_name",
    "before",
    "after",
    "hash",
)
# A spreadsheet takes what begins so for a formula, and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(links: Iterable[Link]) -> Iterator[str]:
    """Yield one line of JSON a record: number, hash and record, as `medstack/chain.py` reads it."""
    for link in links:
        row = {"number": link.number, "hash": link.hash, "record": link.record}
        yield json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n"


def as_csv(links: Iterable[Link]) -> Iterator[str]:
    """Yield the lines of a table for a spreadsheet, the heading first."""
    yield line(COLUMNS)
    for link in links:
        values = {**(link.record or {}), "number": link.number, "hash": link.hash}
        for name in ("before", "after"):
            known = values.get(name) is not None
            values[name] = json.dumps(values[name], ensure_ascii=False) if known else ""
        yield line([values.get(name) for name in COLUMNS])


def line(values: Iterable[object]) -> str:
    """Return one line of CSV (RFC 4180) whose cells no spreadsheet takes for formulas."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([cell(value) for value in values])
    return buffer.getvalue()


def cell(value: object) -> str:
    """Return a value as the text of a cell."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
