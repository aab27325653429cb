"""Compare nested JSON: what changed, in plain words, and the same change made elsewhere."""

import json
import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

Json = dict[str, Any]
Path = tuple[str, ...]

HIDDEN = "(hidden)"
# The restart counter and our own bookkeeping say nothing about what runs.
OURS: tuple[Path, ...] = (
    ("TaskTemplate", "ForceUpdate"),
    ("Labels", "medstack.generation"),
    ("Labels", "medstack.stopped"),
)
SENSITIVE = r"(?:PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|DSN|AUTH)"
SECRET_NAME = re.compile(SENSITIVE, re.IGNORECASE)
ASSIGNMENT = re.compile(
    rf"([\w.-]*{SENSITIVE}[\w.-]*=)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)", re.IGNORECASE
)
USER_INFO = re.compile(r"(?<=://)\S+(?=@)")
FREE_FORM = ("Labels", "Options", "DriverOpts")
COMMANDS = ("Command", "Args", "Test")


class Missing(Enum):
    """What stands where there is nothing; null is something."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING


@dataclass(frozen=True)
class Change:
    """One place in the JSON that is not what it was."""

    path: Path
    before: Any
    after: Any

    @property
    def shown_before(self) -> Any:
        """Return the former value for a record, without secrets; None where there was none."""
        return None if self.before is MISSING else redact(self.before, self.path)

    @property
    def shown_after(self) -> Any:
        """Return the new value for a record, without secrets; None where there is none."""
        return None if self.after is MISSING else redact(self.after, self.path)

    def __str__(self) -> str:
        where = ".".join(self.path)
        if isinstance(self.before, list) and isinstance(self.after, list):
            return f"{where}: {describe_lists(self)}"
        if self.before is MISSING:
            return f"{where} was added: {quoted(self.shown_after)}"
        if self.after is MISSING:
            return f"{where} was removed; it was {quoted(self.shown_before)}"
        if self.shown_before == self.shown_after:
            return f"{where} changed; its value is hidden"
        return f"{where} changed from {quoted(self.shown_before)} to {quoted(self.shown_after)}"


def changes(before: Json, after: Json, path: Path = ()) -> list[Change]:
    """Return what turns one JSON object into the other; lists are compared as a whole."""
    found: list[Change] = []
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key, MISSING), after.get(key, MISSING)
        if isinstance(old, dict) and isinstance(new, dict):
            found += changes(old, new, (*path, key))
        elif not same(old, new):
            found.append(Change((*path, key), old, new))
    return found


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal; unlike in Python, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def patch(live: Json, wanted: Iterable[Change]) -> Json:
    """Return a copy of the JSON with the changes made to it."""
    result = deepcopy(live)
    for change in wanted:
        place, removing = result, change.after is MISSING
        for key in change.path[:-1]:
            if not isinstance(place.get(key), dict):
                if removing:
                    break
                place[key] = {}
            place = place[key]
        else:
            if removing:
                place.pop(change.path[-1], None)
            else:
                place[change.path[-1]] = deepcopy(change.after)
    return result


def overlaps(ours: Iterable[Change], theirs: Sequence[Change]) -> list[Change]:
    """Return those of the first changes that touch a place that the second changes touch."""
    return [one for one in ours if any(touches(one.path, other.path) for other in theirs)]


def touches(one: Path, other: Path) -> bool:
    """Say whether two places are the same or one lies within the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def meaningful(found: Iterable[Change]) -> list[Change]:
    """Return the changes that are about the service, not about our bookkeeping."""
    return [change for change in found if change.path not in OURS]


def redacted(spec: Json) -> Json:
    """Return a copy of a service spec without the values that look secret."""
    result: Json = redact(spec, ())
    return result


def redact(value: Any, path: Path) -> Any:
    """Return a value from this place of a service spec without what looks secret."""
    if isinstance(value, dict):
        return {key: redact(part, (*path, key)) for key, part in value.items()}
    if isinstance(value, list):
        if path[-1:] == ("Env",):
            return [redact_variable(str(line)) for line in value]
        if path and path[-1] in COMMANDS:
            return redact_command([str(word) for word in value])
        return [redact(part, (*path, "")) for part in value]
    if not isinstance(value, str):
        return value
    if path[-2:-1] and path[-2] in FREE_FORM:
        if SECRET_NAME.search(path[-1]) and value:
            return HIDDEN
        value = ASSIGNMENT.sub(rf"\1{HIDDEN}", value)
    return USER_INFO.sub(HIDDEN, value)


def redact_variable(line: str) -> str:
    """Return an environment variable, its value hidden if the name looks secret."""
    name, equals, value = line.partition("=")
    # The path of a file with a secret is not the secret.
    is_path = name.upper().endswith("_FILE") and value.startswith("/")
    if value and SECRET_NAME.search(name) and not is_path:
        return f"{name}={HIDDEN}"
    return f"{name}{equals}{USER_INFO.sub(HIDDEN, value)}"


def redact_command(words: list[str]) -> list[str]:
    """Return a command line without the values of options whose names look secret."""
    shown, hide_next = [], False
    for word in words:
        if hide_next and not word.startswith("-"):
            shown.append(HIDDEN)
        elif re.fullmatch(rf"-[\w.-]*{SENSITIVE}[\w.-]*=.*", word, re.IGNORECASE | re.DOTALL):
            shown.append(f"{word.partition('=')[0]}={HIDDEN}")
        else:
            shown.append(USER_INFO.sub(HIDDEN, ASSIGNMENT.sub(rf"\1{HIDDEN}", word)))
        is_option = word.startswith("-") and "=" not in word and " " not in word
        hide_next = is_option and bool(SECRET_NAME.search(word))
    return shown


def describe_lists(change: Change) -> str:
    """Say which entries of a list are new and which are gone."""
    added = [item for item in change.after if item not in change.before]
    removed = [item for item in change.before if item not in change.after]
    parts = [
        f"{verb} {', '.join(quoted(item) for item in redact(items, change.path))}"
        for verb, items in (("added", added), ("removed", removed))
        if items
    ]
    return "; ".join(parts) or "in another order"


def quoted(value: Any) -> str:
    """Return a value as a person reads it."""
    return f"“{value}”" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
