"""What a person types to get an evidence report: of what, from when to when, and how written."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from backups.schedule import Window
from clusters.models import Cluster
from medstack.models import Company

FORMATS = (
    ("pdf", "PDF, to read and to file"),
    ("csv", "CSV, every backup as a line"),
    ("json", "JSON, every record for programs"),
)
LONGEST_YEARS = 10
DAY = timedelta(days=1)


def last_full_month(today: date) -> tuple[date, date]:
    """Return the first and the last day of the month before."""
    last = today.replace(day=1) - DAY
    return last.replace(day=1), last


def date_field(label: str, help_text: str) -> forms.DateField:
    """Return a field for a day, which browsers offer a calendar for."""
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, help_text=help_text, widget=widget)


class EvidenceForm(forms.Form):
    """A window of whole days in UTC."""

    covers = forms.ChoiceField(label="Covers")
    first = date_field("From", "The first day, UTC.")
    last = date_field("To", "The last day, which is included.")
    format = forms.ChoiceField(choices=FORMATS, initial="pdf", widget=forms.RadioSelect)

    def __init__(
        self,
        data: Any = None,
        *,
        companies: Sequence[Company],
        clusters: Sequence[Cluster],
        today: date,
        one: bool = False,
    ) -> None:
        first, last = last_full_month(today)
        super().__init__(data, initial={"first": first, "last": last})
        self.today, self.companies, self.clusters = today, companies, clusters
        if one:
            del self.fields["covers"]
            return
        field = self.fields["covers"]
        assert isinstance(field, forms.ChoiceField)
        whole = [(f"company-{row.pk}", f"All clusters of {row.name}") for row in companies]
        field.choices = [*whole, *((f"cluster-{row.pk}", row.name) for row in clusters)]

    def clean_first(self) -> date:
        """Refuse a window that has not begun."""
        first: date = self.cleaned_data["first"]
        if first > self.today:
            raise ValidationError("This day is in the future: nothing can be known of it yet.")
        if first.year < 2000:
            raise ValidationError("There were no backups at that time.")
        return first

    def clean_last(self) -> date:
        """Refuse a window that ends in the future, is empty or is longer than ten years."""
        last: date = self.cleaned_data["last"]
        if last > self.today:
            raise ValidationError("This day is in the future: choose today or an earlier one.")
        first = self.cleaned_data.get("first")
        if first and last < first:
            raise ValidationError("The window is empty: it ends before it begins.")
        if first and (last.year - LONGEST_YEARS, last.month, last.day) >= (
            first.year,
            first.month,
            first.day,
        ):
            raise ValidationError("The window is longer than 10 years: ask for it in parts.")
        return last

    @property
    def window(self) -> Window:
        """Return the window that was asked for."""
        return Window(
            midnight(self.cleaned_data["first"]), midnight(self.cleaned_data["last"]) + DAY
        )

    def chosen(self) -> tuple[Company, Cluster | None]:
        """Return what it covers: a company, or one cluster of it."""
        kind, _, key = str(self.cleaned_data.get("covers", "")).partition("-")
        if kind == "company":
            return next(row for row in self.companies if row.pk == int(key)), None
        cluster = next(row for row in self.clusters if not key or row.pk == int(key))
        return cluster.company, cluster


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
