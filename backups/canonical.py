"""One way to write a value as bytes, so that equal values have equal digests.

Canonical JSON here: UTF-8, keys sorted by code point, no spaces, text kept as it is (two Unicode
forms of one word are two texts), no fractions, because programs print those differently.
"""

import hashlib
import json
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Json = dict[str, Any]
Known = TypeVar("Known")

DEEPEST = 100
# The metadata of a field that older files do not have: left out as long as it has its default, so
# that an equal value still has one form only, and what was written before is read as it was.
LATER = {"later": True}


class BadManifest(ValueError):
    """A manifest or report that must not be used; the text is for people and quotes no value."""


def canonical(value: Any) -> bytes:
    """Write a JSON value in the one way; raise BadManifest for what has no such way."""
    _check(value, "the value", DEEPEST)
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()
    # From nothing: the cause carries the whole text, and would take it into a log.
    except UnicodeEncodeError:
        raise BadManifest("A text has half a character, which UTF-8 cannot hold.") from None
    except ValueError:
        raise BadManifest("A number is too long to be written.") from None


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def plain(value: Any) -> Any:
    """Turn dataclasses, tuples and times into what JSON knows."""
    if is_dataclass(value):
        named = {part: getattr(value, part.name) for part in fields(value)}
        return {
            part.name: plain(inner)
            for part, inner in named.items()
            if not (part.metadata.get("later") and inner == default_of(part))
        }
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def default_of(part: Field[Any]) -> Any:
    """Return what a field holds where nobody gave it a value."""
    return part.default if part.default_factory is MISSING else part.default_factory()


def load(content: bytes) -> Any:
    """Read JSON from bytes, or raise BadManifest."""
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        # The parser's own words, without the text they are about.
        raise BadManifest(f"This is not JSON: {type(error).__name__}.") from None


def typed(kind: type[Known], value: Any, where: str) -> Known:
    """Read a dataclass from JSON: every field there and of its type, and no other field.

    A field that came LATER may be missing, for it is not written while it says nothing.
    """
    if not isinstance(value, dict):
        raise BadManifest(f"{where} is {_called(value)}, not an object.")
    hints = get_type_hints(kind)
    optional = {part.name: bool(part.metadata.get("later")) for part in fields(kind)}  # type: ignore[arg-type]
    for name in [*value, *optional]:
        if name not in optional:
            raise BadManifest(f"{where} has the unknown field {name!r}.")
        if name not in value and not optional[name]:
            raise BadManifest(f"{where} has no field {name!r}.")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in value})


def _read(hint: Any, value: Any, where: str) -> Any:
    """Read a value of one of the types that dataclasses here use."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return None if value is None else _read(inner[0], value, where)
    if origin is Literal:
        if value not in inner:
            raise BadManifest(f"{where} is none of {', '.join(inner)}.")
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return typed(hint, value, where)
    if hint is datetime:
        return _moment(value, where)
    if origin is tuple:
        _expect(list, value, where)
        return tuple(_read(inner[0], one, f"{where}[{at}]") for at, one in enumerate(value))
    return _expect(origin or hint, value, where)


def _expect(kind: type, value: Any, where: str) -> Any:
    """Return a value of exactly one type: true is not 1."""
    if type(value) is not kind:
        raise BadManifest(f"{where} is {_called(value)}, not {_called(kind())}.")
    return value


def _moment(value: Any, where: str) -> datetime:
    """Read a time in UTC."""
    try:
        return datetime.fromisoformat(_expect(str, value, where))
    except BadManifest:
        raise
    except ValueError:
        raise BadManifest(f"{where} is not a time.") from None


def _check(value: Any, where: str, depth: int) -> None:
    """Raise BadManifest for what JSON cannot say exactly, and where it is."""
    if not depth:
        raise BadManifest(f"The value is nested more than {DEEPEST} deep.")
    if isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            _check(inner, f"{where}[{at}]", depth - 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise BadManifest(f"{where} has a key that is {_called(name)}, not a text.")
            _check(inner, f"{where}.{name!r}", depth - 1)
    elif not isinstance(value, str | int | None):
        raise BadManifest(f"{where} is {_called(value)}, which canonical JSON cannot hold.")


def _called(value: Any) -> str:
    """Name the kind of a value, and never the value, which may be a secret."""
    names = {
        "dict": "an object",
        "list": "a list",
        "str": "a text",
        "int": "a whole number",
        "float": "a fraction",
        "bool": "true or false",
        "NoneType": "null",
    }
    kind = type(value).__name__
    return names.get(kind, f"of type {kind}")
