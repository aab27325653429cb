"""What every list and every page of the support site has in common: they are read."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from medstack.admin.buttons import Button, press, url_of
from medstack.models import Company, Event, User
from medstack.models.events import Actor

# Nobody turns two hundred pages; counting millions of rows for them takes seconds.
MOST_ROWS = 10_000
# Reading on for a while is one visit: the record says who looked at what, not each click.
VISIT = timedelta(hours=1)


class CappedPaginator(Paginator[Any]):
    """Count no further than anybody would turn the pages."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or the most that are shown."""
        rows = self.object_list
        assert isinstance(rows, models.QuerySet)
        return rows.order_by()[:MOST_ROWS].count()


class Reading(admin.ModelAdmin[Any]):
    """Rows to look at; what may be done about them are buttons, which call the actions.

    A subclass names every field that is shown. There is no way to show all of them, because some
    hold secrets.
    """

    actions = None
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    change_form_template = "admin/support_row.html"
    buttons: Sequence[Button] = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let every member of the staff read; the site lets in nobody else."""
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the app on the first page."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows come from the console's actions alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows change by the console's actions alone."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted here."""
        return False

    def company_of(self, row: Any) -> Company | None:
        """Return whose row it is."""
        owner = getattr(row, "company", None) or getattr(
            getattr(row, "cluster", None), "company", None
        )
        return owner if isinstance(owner, Company) else None

    def console_url(self, row: Any) -> str:
        """Return where the console shows the row, for those who may see it there."""
        has_page = hasattr(row, "get_absolute_url")
        return str(row.get_absolute_url()) if has_page else ""

    def get_urls(self) -> list[URLPattern]:
        """Add a page for each button."""
        ours = [
            path(
                f"<path:pk>/{button.slug}/",
                self.admin_site.admin_view(press(self, button)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{button.slug}",
            )
            for button in self.buttons
        ]
        return [*ours, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row with its buttons, and record that support staff looked at it."""
        row = self.get_object(request, object_id)
        shown = [(button, url_of(self, button, row)) for button in self.buttons if row]
        offered = [(button.label, url) for button, url in shown if button.fits(row)]
        if row is not None:
            record_visit(request, row, self.company_of(row))
        context = {"offered": offered, **(extra_context or {})}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """Return the console's page of a row."""
        return self.console_url(obj) or None if obj is not None else None


def staff(request: HttpRequest) -> Actor:
    """Return the member of the staff who acts, so that the record names them as such."""
    from medstack import access

    assert isinstance(request.user, User)
    return Actor(user=request.user, address=access.address_of(request.META), is_support=True)


def record_visit(request: HttpRequest, row: models.Model, company: Company | None) -> None:
    """Record that support staff looked at a company's row, once an hour."""
    if company is None:
        return
    by = staff(request)
    known = Event.objects.filter(
        subject_kind=row._meta.model_name,
        subject_id=row.pk,
        action="support.viewed",
        actor=by.user,
        at__gt=timezone.now() - VISIT,
    )
    if not known.exists():
        cluster_id = row.pk if row._meta.model_name == "cluster" else None
        cluster_id = cluster_id or getattr(row, "cluster_id", None)
        Event.objects.record("support.viewed", row, by=by, company=company, cluster_id=cluster_id)


def link(row: models.Model | None, text: str = "") -> str:
    """Return a link to a row's own page on this site."""
    if row is None:
        return "—"
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[row.pk]), text or str(row))


def linked(name: str, title: str = "") -> Callable[[Any, Any], str]:
    """Return a column that links to the row that an attribute, or a path of them, names."""

    @admin.display(description=title or name.rpartition("__")[2].replace("_", " "), ordering=name)
    def column(self: Any, row: Any) -> str:
        found = row
        for part in name.split("__"):
            found = getattr(found, part, None)
        return link(found)

    return column
