"""Print the part of a locked requirements file that the agent needs, digests included."""

import re
import sys
from pathlib import Path

WANTED = {"docker", "requests", "urllib3", "idna", "certifi", "charset-normalizer"}


def chosen(text: str) -> str:
    """Return the wanted packages' entries; each runs up to the next line without an indent."""
    entries = re.findall(r"^[A-Za-z0-9].*\n(?:[ \t#].*\n?)*", text, re.MULTILINE)
    found = {re.split(r"[=\[ ;]", entry, maxsplit=1)[0].lower(): entry for entry in entries}
    missing = WANTED - found.keys()
    if missing:
        raise SystemExit(f"Not in the requirements: {', '.join(sorted(missing))}.")
    return "".join(found[name] for name in sorted(WANTED))


if __name__ == "__main__":
    sys.stdout.write(chosen(Path(sys.argv[1]).read_text()))
