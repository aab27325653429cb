"""The documents, for whoever needs help; they say nothing about anybody's environment."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from medstack import documents


@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    """List all documents."""
    found = [documents.document(name) for name in documents.names()]
    context = {
        "documents": [one for one in found if not one.name.startswith("decisions/")],
        "decisions": [one for one in found if one.name.startswith("decisions/")],
    }
    return render(request, "medstack/help_contents.html", context)


@require_safe
def document(request: HttpRequest, name: str) -> HttpResponse:
    """Show one document."""
    if name not in documents.names():
        raise Http404
    return render(request, "medstack/help.html", {"document": documents.document(name)})
