"""Operations and the audit record, as support staff see them."""

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from medstack.actions.operations import can_retry, retry
from medstack.admin.buttons import Button
from medstack.admin.reading import Reading, linked
from medstack.admin.site import site
from medstack.models import Event, Operation
from medstack.models.events import Actor


def retry_operation(row: Operation, by: Actor, values: dict[str, Any]) -> Operation:
    """Ask for the same once more."""
    return retry(row, by=by)


@admin.register(Operation, site=site)
class OperationPage(Reading):
    """What was asked for, how far it is and how it ended."""

    list_display = (
        "title",
        "target_name",
        "state",
        "percentage",
        "company_link",
        "cluster_link",
        "requested_by",
        "requested_at",
        "ended_at",
    )
    list_filter = ("state", "kind")
    list_select_related = ("company", "cluster", "requested_by")
    search_fields = ("target_name", "title", "company__name", "error")
    date_hierarchy = "requested_at"
    fields = (
        ("title", "kind"),
        "target_name",
        ("state", "percentage", "detail"),
        ("company_link", "cluster_link"),
        "requested_by",
        ("requested_at", "started_at", "ended_at", "deadline"),
        "attempts",
        "cancel_requested_by",
        "error",
        "steps_done",
        "log_text",
    )
    readonly_fields = ("company_link", "cluster_link", "steps_done", "log_text")
    company_link = linked("company")
    cluster_link = linked("cluster")
    buttons = (
        Button(
            "retry",
            "Retry operation",
            "The same is asked for once more; what is done already is not done again.",
            retry_operation,
            fits=can_retry,
        ),
    )

    @admin.display(description="steps")
    def steps_done(self, row: Operation) -> str:
        """Return the steps and how many of them are done."""
        return f"{row.step} of {len(row.steps)}: {', '.join(row.steps)}"

    @admin.display(description="log")
    def log_text(self, row: Operation) -> str:
        """Return the log with its lines."""
        return format_html("<pre>{}</pre>", row.log or "—")


@admin.register(Event, site=site)
class EventPage(Reading):
    """The audit record of all companies."""

    list_display = ("at", "action", "subject_name", "company_link", "actor_name", "address")
    list_filter = ("action",)
    list_select_related = ("company",)
    search_fields = ("action", "subject_name", "actor_name", "company__name")
    date_hierarchy = "at"
    fields = (
        "at",
        "action",
        ("subject_kind", "subject_name"),
        ("company_link", "cluster_link"),
        ("actor_name", "address"),
        "was",
        "became",
    )
    readonly_fields = ("company_link", "cluster_link", "was", "became")
    company_link = linked("company")
    cluster_link = linked("cluster")

    @admin.display(description="before")
    def was(self, row: Event) -> str:
        """Return what it was before."""
        return as_text(row.before)

    @admin.display(description="after")
    def became(self, row: Event) -> str:
        """Return what it was afterwards."""
        return as_text(row.after)


def as_text(value: Any) -> str:
    """Return recorded JSON for people."""
    if value is None:
        return "—"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
