"""What the console and the agent's containers say to each other: one job in, JSON lines out.

The job comes on standard input, because it holds the repository's password, and neither arguments
nor environment would be secret. What is printed is the progress that a person watches.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from backups.restic import Repository

Json = dict[str, Any]
Word = Literal["progress", "note", "volume", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work for a container: what, in which repository, and the kind's own values."""

    kind: str
    cluster: str
    repository: Repository = field(repr=False)
    values: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the job as the one line that the container reads."""
        return json.dumps(asdict(self)).encode() + b"\n"


def decode(line: bytes) -> Job:
    """Read a job; raise ValueError for anything else."""
    try:
        found = json.loads(line)
        repository = Repository(**found.pop("repository"))
        return Job(repository=repository, **found)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("This is not a job of this version.") from error


def say(word: Word, **values: Any) -> str:
    """Return one line for the standard output.

    progress: percent, bytes, total_bytes, files, detail · note: text · volume: a VolumePart ·
    done: the kind's result · failed: reason (for people, without secrets), damaged
    """
    return json.dumps({"say": word, **values})


def heard(line: str) -> Json:
    """Read one line; what a program printed besides is a note."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict) and "say" in found:
        return found
    return {"say": "note", "text": line}
