"""How pages write values that Django has no filter for."""

import json
from datetime import timedelta
from typing import Any

from django import template

register = template.Library()


@register.filter
def json_pretty(value: Any) -> str:
    """Write JSON so that a person can read it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


@register.filter
def octal(value: int) -> str:
    """Write a file's mode as people know it."""
    return f"{value:04o}"


@register.filter
def counted(nouns: str, number: int) -> str:
    """Write what is counted, in the singular where it is one."""
    if number != 1:
        return nouns
    return f"{nouns[:-3]}y" if nouns.endswith("ies") else nouns.removesuffix("s")


@register.filter
def age(value: timedelta) -> str:
    """Write how long ago something was, in its largest unit."""
    minutes = int(value.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            count = minutes // size
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return ""
