"""The list of a cluster's services, one service's page, and the form that makes and changes one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.db.models import Case, CharField, Max, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from clusters.actions import services as actions
from clusters.domain_check import misdirected
from clusters.forms.service import ServiceForm
from clusters.image_check import problem_with
from clusters.models import Cluster, DomainMapping, Service, Task
from clusters.views import docker
from clusters.views.service_offers import choices_for
from clusters.views.service_page import UNSETTLED, service_context
from clusters.views.status import SERVICE_KIND, domain_kind, service_kind
from medstack import access
from medstack.failures import Failure
from medstack.listing import Choice, Column, Listing
from medstack.models import Operation

TAB = "services"
Json = dict[str, Any]
IMAGE = "spec__TaskTemplate__ContainerSpec__Image"
COLUMNS = (
    Column("Service", "name"),
    Column("Status", "status_word"),
    Column("Image", IMAGE),
    Column("Tasks", "running", numeric=True),
    Column("Nodes"),
    Column("Active domains"),
    Column("Last operation"),
)
MODES = (
    ("", "All"),
    ("Replicated", "Replicated"),
    ("Global", "Global"),
    ("ReplicatedJob", "Job"),
    ("GlobalJob", "Global job"),
)


@login_required
@require_safe
def services(request: HttpRequest, slug: str) -> HttpResponse:
    """List the services with what runs of each."""
    cluster = access.cluster_for(request, slug)
    rows, words = with_status(cluster)
    listing = Listing(
        request,
        rows,
        columns=COLUMNS,
        search=("name", IMAGE),
        filters=(
            Choice("status", "Status", statuses(words), field="status_word"),
            Choice("mode", "Mode", MODES, field="spec__Mode__has_key"),
        ),
        sort="name",
    )
    listing.page.object_list = service_rows(list(listing.page.object_list))
    context = docker.frame(request, cluster, TAB) | docker.running(cluster, "service")
    context["is_polling"] = context["is_polling"] or any(word in UNSETTLED for word in words)
    # Each row shows its own operation; those of services that are new stand there, too.
    context |= {"listing": listing, "operations": []}
    return render(request, "clusters/services.html", context)


def with_status(cluster: Cluster) -> tuple[QuerySet[Service], set[str]]:
    """Return the services with their status as a column to filter and sort by, and all statuses."""
    present = Service.objects.present().filter(cluster=cluster)
    by_word: dict[str, list[int]] = {}
    for service in present:
        by_word.setdefault(service.status, []).append(service.pk)
    cases = [When(pk__in=pks, then=Value(word)) for word, pks in by_word.items()]
    word = Case(*cases, default=Value(""), output_field=CharField())
    return present.select_related("cluster").annotate(status_word=word), set(by_word)


def statuses(words: set[str]) -> list[tuple[str, str]]:
    """Return the statuses to filter by: those that there are, in the order of the life of one."""
    return [("", "All"), *((word, word) for word in SERVICE_KIND if word in words)]


def service_rows(rows: list[Service]) -> list[Json]:
    """Return what the list shows of each service, with one query for all of a kind."""
    nodes: dict[int, set[str]] = {}
    running = Task.objects.filter(service__in=rows, desired_state="running", node__isnull=False)
    for service_id, name in running.values_list("service_id", "node__name"):
        nodes.setdefault(service_id, set()).add(name)
    domains: dict[int, list[Json]] = {}
    for mapping in DomainMapping.objects.present().filter(service__in=rows):
        found = {"mapping": mapping, "kind": domain_kind(mapping)}
        domains.setdefault(mapping.service_id, []).append(found)
    newest = (
        Operation.objects.filter(target_kind="service", target_id__in=[row.pk for row in rows])
        .values("target_id")
        .annotate(newest=Max("pk"))
        .values("newest")
    )
    operations = {row.target_id: row for row in Operation.objects.filter(pk__in=newest)}
    return [
        {
            "service": row,
            "kind": service_kind(row),
            "mode": dict(MODES).get(row.mode, row.mode),
            "nodes": sorted(nodes.get(row.pk, ())),
            "domains": domains.get(row.pk, []),
            "drift": len(row.drift),
            "operation": operations.get(row.pk),
        }
        for row in rows
    ]


@login_required
@require_safe
def service(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Show a service: what is wanted, what runs, and why it does not."""
    try:
        found = access.service_for(request, slug, name)
    except Http404:
        access.cluster_for(request, slug)
        if not request.htmx:  # type: ignore[attr-defined]
            raise
        # The page followed the service to its deletion; the list is what is left to see.
        return HttpResponse(headers={"HX-Redirect": reverse(TAB, args=[slug])})
    return render(request, "clusters/service.html", service_context(request, found))


@login_required
@require_http_methods(["GET", "POST"])
def new_service(request: HttpRequest, slug: str) -> HttpResponse:
    """Create a service."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    may_postpone = access.may(request, cluster.company, access.OWN)
    choices = choices_for(cluster, sent=posted(request), may_postpone=may_postpone)
    form = ServiceForm(posted(request), spec=None, name=None, choices=choices)
    if is_acceptable(form, cluster):
        try:
            operation = actions.create_service(
                cluster, form.spec(), by=access.actor(request), postponed=form.postponed
            )
        except IntegrityError:
            # Somebody was faster between the form's look and the database's.
            form.add_error("name", "The cluster has a service of this name already.")
        except Failure as error:
            form.add_error(None, str(error))
        else:
            warn(request, form)
            return redirect("service", slug, operation.target_name)
    context = docker.frame(request, cluster, TAB, within=True) | {"form": form}
    return docker.form_page(request, "clusters/service_form.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def edit_service(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Change a service, unless it is no longer what the form began with."""
    found = access.service_for(request, slug, name, access.OPERATE)
    cluster = found.cluster
    if found.is_managed:
        return redirect("load_balancer", slug)
    may_postpone = access.may(request, cluster.company, access.OWN)
    form = ServiceForm(
        posted(request),
        spec=found.spec,
        name=found.name,
        generation=found.generation,
        choices=choices_for(cluster, found, sent=posted(request), may_postpone=may_postpone),
    )
    if is_acceptable(form, cluster, present=str(found.container.get("Image", ""))):
        try:
            actions.update_service(
                found,
                form.spec(),
                generation=form.cleaned_data["generation"],
                by=access.actor(request),
                postponed=form.postponed,
            )
        except Failure as error:
            form.add_error(None, str(error))
        else:
            warn(request, form)
            return redirect(found)
    context = docker.frame(request, cluster, TAB, within=True)
    context |= {"form": form, "service": found}
    return docker.form_page(request, "clusters/service_form.html", context)


def posted(request: HttpRequest) -> Any:
    """Return what was sent, or None when the form is only opened."""
    return request.POST if request.method == "POST" else None


def is_acceptable(form: ServiceForm, cluster: Cluster, *, present: str = "") -> bool:
    """Say whether the form is valid and its image, unless it is the present one, can be had."""
    if not form.is_valid():
        return False
    image = str(form.spec()["TaskTemplate"]["ContainerSpec"]["Image"])
    if image != present and (problem := problem_with(cluster, image)):
        form.add_error("image", problem)
    if misdirected(form.domain_rows, cluster):
        form.add_error(None, "Domains: correct the marked row.")
    return form.is_valid()


def warn(request: HttpRequest, form: ServiceForm) -> None:
    """Say what was accepted and might still surprise."""
    for warning in form.warnings:
        messages.warning(request, warning)
