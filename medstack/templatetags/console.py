"""How pages write values that Django has no filter for."""

import json
from datetime import timedelta
from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from medstack.help_sections import section_for

register = template.Library()


@register.simple_tag(takes_context=True)
def help_link(context: Context) -> SafeString:
    """Lead to the section of the documents that is about this page."""
    match = getattr(context.get("request"), "resolver_match", None)
    name, _, anchor = section_for((match and match.url_name) or "").partition("#")
    url = reverse("help", args=[name]) + (f"#{anchor}" if anchor else "")
    return format_html('<a class="help-link" href="{}">Help</a>', url)


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
