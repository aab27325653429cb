"""Where a cluster's backups are stored: what it is, how it is proven, and how it is changed."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups.actions import repository as actions
from backups.forms.repository import RepositoryForm, SheetForm
from backups.models import Repository, RepositoryCheck
from backups.views.frame import frame
from clusters.models import Cluster
from clusters.views import docker
from medstack import access
from medstack.failures import Failure

TAB = "repository"


def current(cluster: Cluster) -> Repository | None:
    """Return where new backups of a cluster go."""
    rows = Repository.objects.current().select_related("sheet_downloaded_by")
    return rows.filter(cluster=cluster).first()


@login_required
@require_safe
def repository(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the repository, its last test, its checks, and the former ones."""
    cluster = access.cluster_for(request, slug)
    rows = Repository.objects.filter(cluster=cluster)
    checks = RepositoryCheck.objects.filter(repository__cluster=cluster)
    context = frame(request, cluster, TAB)
    context |= docker.of_target(cluster, "repository", rows.values_list("pk", flat=True))
    context |= {
        "repository": current(cluster),
        "former": rows.exclude(retired_at=None).exclude(initialised_at=None),
        "checks": checks.select_related("operation")[:10],
        "can_own": access.may(request, cluster.company, access.OWN),
    }
    return render(request, "backups/repository.html", context)


@login_required
@require_POST
def test_repository(request: HttpRequest, slug: str) -> HttpResponse:
    """Test the repository now."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    row = current(cluster)
    if row is None:
        messages.error(request, "The cluster has no repository yet.")
        return redirect(TAB, slug)
    try:
        actions.test_repository(row, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
    return redirect(TAB, slug)


@sensitive_post_parameters()
@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def change_repository(request: HttpRequest, slug: str) -> HttpResponse:
    """Store new backups somewhere else."""
    cluster = access.cluster_for(request, slug, access.OWN)
    form = RepositoryForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        values = form.cleaned_data
        row = Repository(
            cluster=cluster,
            kind=values["kind"],
            url=values["url"],
            region=values["region"],
            password=values["password"],
            ca=values["ca"],
            ssh_host_key=values["host_key"],
        )
        if row.kind != Repository.Kind.EMBEDDED:
            row.console_access = form.access("console")
            row.node_access = form.access("node")
        try:
            actions.change_repository(row, by=access.actor(request))
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect(TAB, slug)
    context = frame(request, cluster, TAB, within=True) | {"form": form}
    status = 422 if form.is_bound else 200
    return render(request, "backups/change_repository.html", context, status=status)


def ready(cluster: Cluster) -> Repository:
    """Return where new backups of a cluster go, or 404 while that is being made."""
    row = current(cluster)
    if row is None or row.initialised_at is None:
        raise Http404
    return row


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def new_password(request: HttpRequest, slug: str) -> HttpResponse:
    """Change the repository's password, after which its sheet can be downloaded again, once."""
    cluster = access.cluster_for(request, slug, access.OWN)
    row = ready(cluster)
    if request.method == "POST":
        try:
            actions.change_password(row, by=access.actor(request))
        except Failure as error:
            messages.error(request, str(error))
        return redirect(TAB, slug)
    consequences = (
        "Every recovery sheet that was made before opens nothing any more.",
        "Neither does any other password that somebody has added to the repository by hand.",
        "A new sheet can be downloaded once, and should be at once.",
    )
    context = frame(request, cluster, TAB, within=True) | {"consequences": consequences}
    return render(request, "backups/new_password.html", context)


@login_required
@access.confirmed
@never_cache
@require_http_methods(["GET", "POST"])
def recovery_sheet(request: HttpRequest, slug: str) -> HttpResponse:
    """Hand the recovery sheet out, and record to whom."""
    cluster = access.cluster_for(request, slug, access.OWN)
    row = ready(cluster)
    form = SheetForm(request.POST if request.method == "POST" else None, name=cluster.name)
    sheet = ""
    if form.is_valid():
        try:
            sheet = actions.make_sheet(cluster, row, by=access.actor(request))
        except Failure as error:
            form.add_error(None, str(error))
    if sheet:
        response = HttpResponse(sheet, content_type="text/plain; charset=utf-8")
        name = f"recovery-{cluster.slug}.txt"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
    context = frame(request, cluster, TAB, within=True) | {"form": form, "repository": row}
    status = 422 if form.is_bound else 200
    return render(request, "backups/recovery_sheet.html", context, status=status)
