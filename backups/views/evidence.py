"""Pages of evidence: ask for a report, see the past ones, get the key, look at the calendar."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.handlers.asgi import ASGIRequest
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from backups.actions import evidence as actions
from backups.evidence import download
from backups.evidence.facts import Question
from backups.evidence.signing import SigningKeys, signing_keys
from backups.forms.evidence import EvidenceForm
from backups.models import EvidenceReport
from backups.views.calendar import pictures
from backups.views.frame import frame
from clusters.models import Cluster
from medstack import access
from medstack.failures import Failure
from medstack.listing import Column, Listing

TAB = "evidence"
COLUMNS = (
    Column("Report", "pk"),
    Column("Covers"),
    Column("Window", "starts_at"),
    Column("Format", "format"),
    Column("By", "made_by_name"),
    Column("Made", "made_at"),
    Column("Backups", "rows", numeric=True),
    Column("SHA-256 of the content"),
)
# Of so many clusters the calendars stand on one page.
CLUSTERS_AT_ONCE = 3


@login_required
@require_http_methods(["GET", "POST"])
def evidence(request: HttpRequest, slug: str) -> HttpResponse | StreamingHttpResponse:
    """Show a cluster's evidence, or hand out a report of it."""
    cluster = access.cluster_for(request, slug)
    form = asked(request, [cluster], one=True)
    seen = {"pictures": lambda: pictures([cluster], timezone.now())}
    return page(
        request,
        form,
        frame(request, cluster, TAB) | seen,
        EvidenceReport.objects.filter(company=cluster.company, cluster=cluster),
        "backups/evidence.html",
    )


@login_required
@require_http_methods(["GET", "POST"])
def company_evidence(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Show the evidence of all clusters that the user may see, or hand out a report."""
    clusters = list(access.clusters_for(request).select_related("company"))
    form = asked(request, clusters)
    companies = access.companies_for(access.user_of(request))
    some = Paginator(clusters, CLUSTERS_AT_ONCE).get_page(request.GET.get("clusters"))
    seen = {"pictures": lambda: pictures(list(some), timezone.now(), each_hour=False)}
    return page(
        request,
        form,
        {"nav_active": "evidence", "some": some} | seen,
        EvidenceReport.objects.filter(company__in=companies),
        "backups/company_evidence.html",
    )


@login_required
@require_safe
def evidence_key(request: HttpRequest) -> HttpResponse:
    """Hand out the public keys, the present one first."""
    try:
        content = "".join(key.pem for key in signing_keys().known)
    except Failure as error:
        return HttpResponse(f"{error}\n", status=503, content_type="text/plain; charset=utf-8")
    return HttpResponse(
        content,
        content_type="application/x-pem-file",
        headers={"Content-Disposition": 'attachment; filename="medstack-evidence-key.pem"'},
    )


def asked(request: HttpRequest, clusters: Sequence[Cluster], *, one: bool = False) -> EvidenceForm:
    """Return the form as it was sent, or as it begins."""
    return EvidenceForm(
        request.POST if request.method == "POST" else None,
        companies=[] if one else list(access.companies_for(access.user_of(request))),
        clusters=clusters,
        today=timezone.now().date(),
        one=one,
    )


def page(
    request: HttpRequest,
    form: EvidenceForm,
    context: dict[str, Any],
    reports: QuerySet[EvidenceReport],
    template: str,
) -> HttpResponse | StreamingHttpResponse:
    """Hand out the report if the form says which; otherwise draw the page."""
    keys, key_error = None, ""
    try:
        keys = signing_keys()
    except Failure as error:
        key_error = str(error)
        if form.is_bound:
            form.add_error(None, key_error)
    if keys and form.is_valid():
        return handed_out(request, form, keys)
    reports = reports.select_related("cluster", "company")
    context |= {
        "form": form,
        "key": keys.public if keys else None,
        "key_error": key_error,
        "listing": Listing(request, reports, columns=COLUMNS, sort="-made_at"),
    }
    return render(request, template, context, status=422 if form.is_bound else 200)


def handed_out(
    request: HttpRequest, form: EvidenceForm, keys: SigningKeys
) -> StreamingHttpResponse:
    """Begin a report and stream it."""
    company, cluster = form.chosen()
    by = access.actor(request)
    report = actions.begin(company, cluster, form.window, form.cleaned_data["format"], by=by)
    within = [cluster] if cluster else [row for row in form.clusters if row.company == company]
    question = Question(
        number=report.pk,
        company=company,
        clusters=within,
        window=form.window,
        made_at=report.made_at,
        made_by=by.name,
        signing_key=keys.public.fingerprint,
        covers="" if cluster else f"all clusters of {company.name}",
    )
    pieces = download.sealed(report, question, keys, by=by)
    # An ASGI server would collect a plain iterator in memory before it sends the first byte.
    body = download.without_waiting(pieces) if isinstance(request, ASGIRequest) else pieces
    name = download.file_name(report)
    return StreamingHttpResponse(
        body,
        content_type=download.TYPES[report.format],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


def company_crumbs() -> list[dict[str, str]]:
    """Return the way to the pages below the company's evidence."""
    return [{"label": "Evidence", "url": reverse("company_evidence")}]
