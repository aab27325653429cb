"""A section of a form, as templates/includes/form.html draws it."""

from collections.abc import Collection
from typing import Any

from django import forms


def section(
    form: forms.BaseForm,
    title: str,
    names: Collection[str],
    *,
    collapsed: bool,
    note: str = "",
) -> dict[str, Any]:
    """Return some of a form's fields under a title; what is in error is opened and marked.

    `note` is what stands beside the title in small words.
    """
    return {
        "title": title,
        "note": note,
        "fields": [form[name] for name in names],
        "collapsed": collapsed,
        "has_errors": form.is_bound and any(name in form.errors for name in names),
    }
