"""Pages of the audit record: read it, search it, take it away."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from medstack import access, export, sealing
from medstack.listing import Choice, Column, Listing
from medstack.models import Event, Seal
from medstack.views.activity import NEWEST

KINDS = (
    "cluster",
    "node",
    "registry",
    "config",
    "secret",
    "volume",
    "service",
    "loadbalancer",
    "repository",
    "snapshot",
    "volumebackup",
    "restore",
    "drill",
    "evidencereport",
    "operation",
    "user",
    "company",
)
FORMATS = {"csv": (export.as_csv, "text/csv"), "jsonl": (export.as_json, "application/jsonl")}


@login_required
@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """List the audit records of the user's companies."""
    clusters = access.clusters_for(request).order_by("name").values_list("pk", "name")
    names = [("", "All"), *((str(pk), name) for pk, name in clusters)]
    chosen = request.GET.get("cluster", "")
    if chosen and chosen in dict(names):
        # Of a cluster, which is this person's, by its own index, and before the newest are counted
        # out: with its company as well, each record would have to be read.
        rows = Event.objects.filter(cluster=int(chosen))
    else:
        rows = access.events_for(request)
    listing = Listing(
        request,
        rows.select_related("cluster"),
        columns=(
            Column("When", "pk"),
            Column("Who", "actor_name"),
            Column("From", "address"),
            Column("What", "action"),
            Column("On", "subject_name"),
            Column("Cluster", "cluster__name"),
            Column("Before → after"),
        ),
        search=("action", "actor_name", "subject_name", "cluster__name"),
        filters=(
            Choice("kind", "On", [("", "Everything"), *((k, k) for k in KINDS)], "subject_kind"),
            Choice("cluster", "Cluster", names, applied=True),
        ),
        sort="-pk",
        newest=NEWEST,
    )
    companies = access.companies_for(access.user_of(request))
    heads = sealing.heads(companies)
    chains = [{"company": one, "head": heads.get(one.pk, {})} for one in companies]
    context = {"listing": listing, "nav_active": "activity", "chains": chains}
    return render(request, "medstack/events.html", context)


@login_required
@require_POST
def export_events(request: HttpRequest, pk: int, suffix: str) -> StreamingHttpResponse:
    """Send a company's whole audit record, as it is sealed, and record that it was taken."""
    if suffix not in FORMATS:
        raise Http404
    write, content_type = FORMATS[suffix]
    company = get_object_or_404(access.companies_for(access.user_of(request)), pk=pk)
    Event.objects.record(
        "events.exported",
        company,
        by=access.actor(request),
        company=company,
        after={"format": suffix, "records": Seal.objects.filter(company=company).count()},
    )
    response = StreamingHttpResponse(
        write(sealing.links(company.pk)), content_type=f"{content_type}; charset=utf-8"
    )
    name = f"audit-{company.pk}-{timezone.now():%Y%m%dT%H%M%SZ}.{suffix}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
