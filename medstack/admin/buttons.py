"""What support staff may do about a row: a question, a reason, and one of the console's actions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from medstack import access
from medstack.failures import Failure
from medstack.models import Event, Operation
from medstack.models.events import Actor

if TYPE_CHECKING:
    from medstack.admin.reading import Reading

Run = Callable[[Any, Actor, dict[str, Any]], Operation | None]


class ReasonForm(forms.Form):
    """Why it is done; the company reads it in its record."""

    reason = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="The company reads it in its record.",
    )


def always(row: Any) -> bool:
    """Say that a button fits every row."""
    return True


@dataclass(frozen=True)
class Button:
    """One thing that may be done: its words, its form, and the action behind it."""

    slug: str
    label: str
    does: str
    run: Run
    fits: Callable[[Any], bool] = always
    form: type[ReasonForm] = ReasonForm


def url_of(page: "Reading", button: Button, row: models.Model) -> str:
    """Return where a button leads."""
    name = f"admin:{page.opts.app_label}_{page.opts.model_name}_{button.slug}"
    return reverse(name, args=[row.pk])


def press(page: "Reading", button: Button) -> Callable[..., HttpResponseBase]:
    """Return the view behind a button: it asks, then acts, and records both."""

    @access.confirmed
    def view(request: HttpRequest, pk: str) -> HttpResponse:
        row = page.get_object(request, pk)
        if row is None or not button.fits(row):
            raise Http404
        form = button.form(request.POST if request.method == "POST" else None)
        if form.is_valid() and (answer := act(request, row, form)):
            return answer
        context = {
            **page.admin_site.each_context(request),
            "title": button.label,
            "opts": page.opts,
            "original": row,
            "button": button,
            "form": form,
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/support_button.html", context, status=status)

    def act(request: HttpRequest, row: Any, form: ReasonForm) -> HttpResponse | None:
        from medstack.admin.reading import staff

        by, values = staff(request), dict(form.cleaned_data)
        reason = values.pop("reason")
        try:
            with transaction.atomic():
                operation = button.run(row, by, values)
                Event.objects.record(
                    "support.acted",
                    row,
                    by=by,
                    company=page.company_of(row),
                    after={"what": button.label, "reason": reason},
                )
        except Failure as error:
            form.add_error(None, str(error))
            return None
        messages.success(request, f"{button.label}: asked for.")
        if operation is not None:
            return redirect("admin:medstack_operation_change", operation.pk)
        return redirect(f"admin:{page.opts.app_label}_{page.opts.model_name}_change", row.pk)

    return view
