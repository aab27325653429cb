"""Sheets for the safe: a text for people, and a block with check digits that a program reads."""

import hashlib
import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

WIDTH = 64


class BadSheet(ValueError):
    """A sheet that cannot be used; the text is for people and quotes no secret."""


@dataclass(frozen=True, kw_only=True)
class ConsoleSheet:
    """What brings a lost console back: its keys, and the repository of its backups."""

    made: str
    keys: Mapping[str, str] = field(repr=False)
    # As MEDSTACK_CONSOLE_BACKUP_FILE holds it; empty where the console is not backed up.
    backup: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """Return the sheet, to be printed."""
        return f"""RECOVERY SHEET of a MedStack console
Made {self.made}. Keep it where the building's keys are. Whoever has it can read all that the
console holds, and sign evidence in its name.

Backups of the console: {self.backup.get("url", "none are made")}

On the new machine, with this sheet as a file (docs/operating.md, "The console is lost"):

  manage.py init_keys --sheet FILE          # the keys, before anything else
  manage.py restore_console --sheet FILE    # the newest backup

{block("MEDSTACK CONSOLE", json.dumps(asdict(self), sort_keys=True))}
"""


def parse_console(text: str) -> ConsoleSheet:
    """Read a console's sheet; raise BadSheet for what is none, or was mistyped."""
    try:
        return ConsoleSheet(**json.loads(unblocked("MEDSTACK CONSOLE", text)))
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, BadSheet) else BadSheet(OTHER_VERSION) from None


OTHER_VERSION = "The sheet is of another version."


def block(title: str, content: str) -> str:
    """Return a text as lines of digits that can be typed off, and the digits that check them."""
    lines = "\n".join(textwrap.wrap(content.encode().hex(), WIDTH))
    check = hashlib.sha256(content.encode()).hexdigest()
    return f"{begin(title)}\n{lines}\n{check}\n{end(title)}"


def unblocked(title: str, text: str) -> bytes:
    """Return what the block in a text holds."""
    found = re.search(f"{begin(title)}(.*?){end(title)}", text, re.DOTALL)
    if not found or not found[1].split():
        raise BadSheet("This is no recovery sheet: the block at its end is missing.")
    *lines, check = found[1].split()
    try:
        content = bytes.fromhex("".join(lines))
    except ValueError:
        raise BadSheet("The block of the sheet holds something else than 0-9 and a-f.") from None
    if hashlib.sha256(content).hexdigest() != check:
        raise BadSheet("The sheet was mistyped or cut: its check digits do not fit.")
    return content


def begin(title: str) -> str:
    """Return the line above a block."""
    return f"-----BEGIN {title} RECOVERY-----"


def end(title: str) -> str:
    """Return the line below a block."""
    return f"-----END {title} RECOVERY-----"
