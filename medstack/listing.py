"""Lists that a person can search, filter, sort and page through, by the address alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest

PER_PAGE = 50


@dataclass(frozen=True)
class Column:
    """A column: its heading, and the field that sorts it (empty: it cannot be sorted)."""

    label: str
    field: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Choice:
    """A filter: the parameter's name, its label, and the values to choose from."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]]
    field: str = ""
    value: str = ""
    # The view has narrowed the rows by it already.
    applied: bool = False


class Bounded(Paginator[Any]):
    """Pages of a list that may be huge: it counts up to a limit, and ends there."""

    def __init__(self, rows: QuerySet[Any], per_page: int, most: int) -> None:
        super().__init__(rows, per_page)
        self.rows, self.most = rows, most

    @cached_property
    def counted(self) -> int:
        """Count up to one more than the limit."""
        return self.rows.order_by()[: self.most + 1].count()

    @cached_property
    def count(self) -> int:
        """Return how many rows the pages have."""
        return min(self.counted, self.most)


class Listing:
    """One page of a list as the request's parameters ask for it."""

    def __init__(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        *,
        columns: Sequence[Column],
        search: Sequence[str] = (),
        filters: Sequence[Choice] = (),
        sort: str = "",
        prefix: str = "",
        counted: int = 0,
        newest: int = 0,
        narrowed: bool = False,
    ) -> None:
        self.path, self.columns, self.prefix = request.path, columns, prefix
        self.parameters = {key: str(value) for key, value in request.GET.items() if value}
        self.query = self.parameters.get("q", "").strip()
        self.newest, self.oldest = newest, 0
        if newest:
            rows = self.window(rows)
        for word in self.query.split() if search else ():
            match = Q()
            for field in search:
                match |= Q(**{f"{field}__icontains": word})
            rows = rows.filter(match)
        self.filters = []
        for choice in filters:
            value = self.parameters.get(choice.name, "")
            if value and value in dict(choice.choices):
                narrower = {} if choice.applied else {choice.field or choice.name: value}
                rows = rows.filter(**narrower)
            else:
                value = ""
            self.filters.append(replace(choice, value=value))
        self.searchable, self.narrowed = bool(search), narrowed
        sortable = {column.field for column in columns if column.field}
        asked = self.parameters.get("sort", "")
        self.sort = asked if asked.lstrip("-") in sortable else sort
        if self.sort:
            rows = rows.order_by(self.sort, "pk")
        pages = Bounded(rows, PER_PAGE, counted) if counted else Paginator(rows, PER_PAGE)
        self.page: Page[Any] = pages.get_page(self.parameters.get("page"))
        self.total = self.page.paginator.count
        # Whether there are more than were counted.
        self.more = isinstance(pages, Bounded) and pages.counted > pages.most

    def window(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the newest rows, or the newest before a certain one, so many of them at most.

        They are searched, filtered and sorted; with all rows since the beginning that would take
        longer with every year.
        """
        before = self.parameters.get("before", "")
        if before.isdecimal() and len(before) <= 18:
            rows = rows.filter(pk__lt=int(before))
        keys = rows.order_by("-pk").values_list("pk", flat=True)
        edge = list(keys[self.newest - 1 : self.newest + 1])
        if len(edge) == 2:
            self.oldest = edge[0]
        return rows.filter(pk__gte=self.oldest) if self.oldest else rows

    @property
    def older_url(self) -> str:
        """Return the address of the same list of older rows, or nothing where there are none."""
        return self.url_with(before=str(self.oldest), page="") if self.oldest else ""

    @property
    def newest_url(self) -> str:
        """Return the address of the same list of the newest rows, or nothing where it is this."""
        return self.url_with(before="", page="") if self.parameters.get("before") else ""

    def url_with(self, **changed: str) -> str:
        """Return this list's address with some parameters changed; empty ones are left out."""
        parameters = {k: v for k, v in (self.parameters | changed).items() if v}
        return f"{self.path}?{urlencode(parameters)}" if parameters else self.path

    @property
    def is_narrowed(self) -> bool:
        """Say whether a search or filter hides rows."""
        chosen = any(choice.value for choice in self.filters)
        return self.narrowed or bool(self.query) or chosen

    @property
    def headers(self) -> list[dict[str, Any]]:
        """Return each column's heading, where a click on it leads, and how it sorts now."""
        rows = []
        for column in self.columns:
            up, down = self.sort == column.field, self.sort == f"-{column.field}"
            rows.append(
                {
                    "label": column.label,
                    "numeric": column.numeric,
                    "url": self.url_with(sort=f"-{column.field}" if up else column.field, page="")
                    if column.field
                    else "",
                    "direction": ""
                    if not column.field
                    else ("ascending" if up else "descending" if down else ""),
                }
            )
        return rows

    @property
    def page_links(self) -> list[dict[str, Any]]:
        """Return the numbered pages, with gaps where there are many."""
        numbers = self.page.paginator.get_elided_page_range(self.page.number, on_each_side=2)
        return [
            {
                "number": number,
                "url": self.url_with(page=str(number)) if isinstance(number, int) else "",
                "current": number == self.page.number,
            }
            for number in numbers
        ]

    @property
    def previous_url(self) -> str:
        """Return the address of the page before, or nothing."""
        if not self.page.has_previous():
            return ""
        return self.url_with(page=str(self.page.previous_page_number()))

    @property
    def next_url(self) -> str:
        """Return the address of the page after, or nothing."""
        return self.url_with(page=str(self.page.next_page_number())) if self.page.has_next() else ""
