"""The four ways in which an Engine can fail us, sorted by what a caller can do about it."""

import json
import re
from collections.abc import Iterable

from medstack.failures import Failure, Transient

RPC = re.compile(r"rpc error: code = (\w+) desc = ")
JOIN_TOKEN = re.compile(r"SWMTKN-[\w-]+")
LONGEST = 2000
SHORTEST_HIDDEN = 4
# A swarm between two leaders says no to everything for some seconds, and so does a manager that
# was demoted between our question who it is and the next; that passes by itself.
PASSING = (
    "does not have a leader",
    "context deadline exceeded",
    "raft: request timed out",
    "this node is not a swarm manager",
)
# A manager that is just stepping down says Unavailable: its control socket is gone already.
PASSING_CODES = {"DeadlineExceeded", "Unavailable"}
GATEWAY_ERRORS = (502, 504)


class EngineError(Failure):
    """Say what went wrong between us and an Engine, in words for people."""


class Unreachable(EngineError, Transient):
    """The Engine does not answer now: try later."""


class Conflict(EngineError, Transient):
    """Somebody else was faster, or has the name: read again, then decide."""


class NotFound(EngineError):
    """The Engine has no such thing; often a value rather than an error."""


class Refused(EngineError):
    """The Engine says no, in its own words: tell the person."""


def from_answer(status: int, body: bytes, *, source: str, hide: Iterable[str] = ()) -> EngineError:
    """Return the exception for an answer that is not a success."""
    words = message_of(body)
    if words is None:
        if status in GATEWAY_ERRORS:
            return Unreachable(f"{source} answers {status}: what stands in front is not ready.")
        return Refused(f"{source} is not a Docker Engine: it answers {status} without a reason.")
    return from_words(status, words, hide=hide)


def from_words(status: int, words: str, *, hide: Iterable[str] = ()) -> EngineError:
    """Return the exception for the Engine's own words."""
    codes = RPC.findall(words)
    text = clean(words, hide=hide)
    lowered = text.lower()
    if status == 404:
        return NotFound(text)
    if status == 409 or "update out of sequence" in lowered:
        return Conflict(text)
    if PASSING_CODES.intersection(codes) or any(phrase in lowered for phrase in PASSING):
        return Unreachable(text)
    return Refused(text)


def message_of(body: bytes) -> str | None:
    """Return the message in an Engine's answer, or None if no Engine wrote it."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, TypeError, KeyError):
        return None
    return str(message)


def clean(words: str, *, hide: Iterable[str] = ()) -> str:
    """Strip the transport's prefixes, and whatever must never be seen."""
    text = RPC.sub("", words).strip()
    for secret in hide:
        # A value of a letter or two would eat up the words themselves.
        if len(secret) >= SHORTEST_HIDDEN:
            text = text.replace(secret, "…")
    return JOIN_TOKEN.sub("…", text)[:LONGEST] or "The Engine gives no reason."
