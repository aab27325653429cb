"""The tags by which everything in a repository is found again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["volume", "report", "secrets", "manifest"]

OURS = "medstack"
FORM = "%Y%m%dT%H%M%SZ"
REPORT, MANIFEST = "/report.json", "/manifest.json"
VOLUMES, SECRETS = "/volumes", "/medstack-secrets"
# The host of what the console itself adds.
CONSOLE = "console"


@dataclass(frozen=True)
class Tags:
    """What the tags of one restic snapshot say."""

    kind: str
    due: datetime
    volume: str = ""


def tags(kind: Kind, due: datetime, volume: str = "") -> list[str]:
    """Return the tags of something that belongs to the snapshot of a time."""
    found = [OURS, f"kind:{kind}", f"due:{due.astimezone(UTC):{FORM}}"]
    return [*found, f"volume:{volume}"] if volume else found


def read(given: Iterable[str]) -> Tags | None:
    """Read tags; None for what is not ours."""
    values = dict(tag.split(":", 1) for tag in given if ":" in tag)
    if "kind" not in values or "due" not in values or OURS not in given:
        return None
    try:
        due = datetime.strptime(values["due"], FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Tags(values["kind"], due, values.get("volume", ""))


def path_of(volume: str) -> str:
    """Return the folder under which a volume's files stand in its restic snapshot."""
    return f"{VOLUMES}/{volume}"
