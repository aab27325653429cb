"""Chain audit records by their digests, and find where a chain was broken. Standard library only.

Each link's hash covers its record and the hash of the link before, so that nothing can be changed,
taken out or put in without every later hash being another one. What is cut off at the end leaves a
whole chain, and is found by a head that was written down elsewhere.

An exported record is checked on any machine: `python medstack/chain.py FILE [NUMBER:HASH …]`.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
# What the hash before the first link is.
ORIGIN = "0" * 64


@dataclass(frozen=True)
class Link:
    """One link: its place, counted from 1, its record, and the hash that was written down."""

    number: int
    record: Json | None
    hash: str


def digest_of(record: Json) -> str:
    """Return the SHA-256 of a record's canonical JSON: sorted, no blanks, UTF-8."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_of(previous: str, number: int, record: Json) -> str:
    """Return a link's hash: SHA-256 over the hash before, its number and its record's digest."""
    return hashlib.sha256(f"{previous}:{number}:{digest_of(record)}".encode()).hexdigest()


def faults(links: Iterable[Link], heads: Mapping[int, str] | None = None) -> Iterator[str]:
    """Yield in plain words everything that is wrong with a chain, given from its first link on.

    `heads` maps numbers to hashes that were written down elsewhere.
    """
    anchors = dict(heads or {})
    previous, expected = ORIGIN, 1
    for link in links:
        if link.number > expected:
            last = link.number - 1
            which = f"Record {last} is" if last == expected else f"Records {expected} to {last} are"
            yield f"{which} missing."
        elif link.number < expected:
            yield f"Record {link.number} is not in its place."
        if link.record is None:
            yield f"Record {link.number} was deleted; only its hash is left."
        elif hash_of(previous, link.number, link.record) != link.hash:
            yield f"Record {link.number} was changed, or what stands before it was."
        anchor = anchors.pop(link.number, link.hash)
        if anchor != link.hash:
            yield f"Record {link.number} is not the one whose hash was written down elsewhere."
        # Goes on from what is written, so that one change is named once.
        previous, expected = link.hash, link.number + 1
    for number in sorted(anchors):
        yield (
            f"The end was cut off: record {number} was written down elsewhere, "
            f"but the last one here is {expected - 1}."
        )


def read(lines: Iterable[str]) -> Iterator[Link]:
    """Read an exported chain: one JSON object a line, with number, hash and record."""
    for line in lines:
        if line.strip():
            row = json.loads(line)
            yield Link(row["number"], row["record"], row["hash"])


def main(arguments: list[str]) -> int:
    """Check an exported file and say what is wrong with it; 0 when nothing is."""
    if not arguments:
        print(__doc__)  # noqa: T201 - a program of its own
        return 2
    name, *rest = arguments
    heads = {int(number): digest for number, _, digest in (one.partition(":") for one in rest)}
    seen = 0

    def counted(links: Iterable[Link]) -> Iterator[Link]:
        nonlocal seen
        for link in links:
            seen += 1
            yield link

    try:
        with open(name, encoding="utf-8") as file:
            found = list(faults(counted(read(file)), heads))
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = [f"The file cannot be read as an exported record: {error}"]
    for fault in found:
        print(fault)  # noqa: T201
    if not found:
        print(f"{seen} records, unbroken.")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
