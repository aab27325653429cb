"""When people are told that a cluster is not protected, and in which words; pure."""

from dataclasses import dataclass
from datetime import datetime

from backups.schedule import Freshness, freshness

WORDS = {
    "warning": "No snapshot of {cluster} has been complete for 90 minutes or longer.",
    "critical": "No snapshot of {cluster} has been complete for 6 hours or longer.",
    "fresh": "{cluster} is protected again.",
}


@dataclass(frozen=True)
class Letter:
    """What people are written."""

    subject: str
    body: str


def level(last_complete: datetime | None, since: datetime | None, now: datetime) -> Freshness:
    """Return how bad it is; a cluster whose agents are new has time for its first snapshot."""
    moments = [one for one in (last_complete, since) if one]
    return freshness(max(moments), now) if moments else "fresh"


def letter(cluster: str, found: str, last_complete: datetime | None, url: str) -> Letter:
    """Return what is written when the level changes."""
    words = WORDS[found].format(cluster=cluster)
    last = f"{last_complete:%Y-%m-%d %H:%M} UTC" if last_complete else "never"
    mark = {"fresh": "OK", "warning": "Warning", "critical": "Critical"}[found]
    return Letter(
        subject=f"[{mark}] Backups of {cluster}",
        body=f"{words}\n\nLast complete snapshot: {last}\nMore: {url}\n",
    )
