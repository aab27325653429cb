"""Write the Engine's few fractions in a form that is the same in every program."""

from typing import Any

FRACTION = "$fraction"


def without(value: Any) -> Any:
    """Return a JSON value whose fractions are texts, for canonical JSON knows none."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else {FRACTION: repr(value)}
    if isinstance(value, dict):
        return {key: without(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without(inner) for inner in value]
    return value


def within(value: Any) -> Any:
    """Return the value with its fractions again."""
    if isinstance(value, dict):
        if set(value) == {FRACTION}:
            return float(value[FRACTION])
        return {key: within(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [within(inner) for inner in value]
    return value
