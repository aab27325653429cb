"""Pages of volumes: every volume on every node, and what mounts it."""

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from clusters import spec
from clusters.actions import objects as actions
from clusters.forms.volume import DeleteForm, VolumeForm
from clusters.models import Cluster, Node, Service, Volume
from clusters.views import docker
from medstack import access
from medstack.failures import Failure
from medstack.listing import Choice, Column, Listing

TAB = "volumes"
COLUMNS = (
    Column("Name", "name"),
    Column("Node", "node__name"),
    Column("Driver", "driver"),
    Column("Size", "size_bytes", numeric=True),
    Column("Mounted by"),
    Column("Status"),
)
ANONYMOUS_SHOWN = 20
# Mounts of these types have no password; other options may, and are named only.
OPEN_TYPES = ("nfs", "nfs4", "tmpfs")
# Columns of nodes that the list does not show: some are long, some have to be decrypted.
UNREAD = ("ssh_key", "tls_key", "containers", "images")
Mounts = dict[tuple[int, str], list[Service]]


@login_required
@require_safe
def volumes(request: HttpRequest, slug: str) -> HttpResponse:
    """List the volumes of all nodes; those that nobody named stand apart."""
    cluster = access.cluster_for(request, slug)
    rows = Volume.objects.present().filter(node__cluster=cluster).select_related("node")
    rows = rows.defer("options", *(f"node__{name}" for name in UNREAD))
    only_anonymous = request.GET.get("is_anonymous") == "True"
    listing = Listing(
        request,
        rows.filter(is_anonymous=only_anonymous),
        columns=COLUMNS,
        search=("name", "node__name"),
        filters=filters(rows),
        sort="name",
    )
    mounts = services_by_volume(cluster)
    listing.page.object_list = [line(row, mounts) for row in listing.page.object_list]
    unnamed = rows.none() if only_anonymous else rows.filter(is_anonymous=True)
    shown = list(unnamed[: ANONYMOUS_SHOWN + 1])
    context = docker.frame(request, cluster, TAB) | docker.running(cluster, "volume")
    context |= {
        "listing": listing,
        "only_anonymous": only_anonymous,
        "anonymous": [line(row, mounts) for row in shown[:ANONYMOUS_SHOWN]],
        "anonymous_total": unnamed.count() if len(shown) > ANONYMOUS_SHOWN else len(shown),
    }
    return render(request, "clusters/volumes.html", context)


def filters(rows: QuerySet[Volume]) -> list[Choice]:
    """Offer the nodes and drivers that there are, and the anonymous volumes."""
    found = list(rows.order_by().values_list("node__name", "driver").distinct())
    nodes, drivers = sorted({node for node, _ in found}), sorted({driver for _, driver in found})
    return [
        Choice("node", "Node", choices("All nodes", nodes), field="node__name"),
        Choice("driver", "Driver", choices("All drivers", drivers)),
        Choice("is_anonymous", "Kind", [("", "Named"), ("True", "Anonymous")]),
    ]


def choices(everything: str, values: list[str]) -> list[tuple[str, str]]:
    """Return the choices of a filter, the one that filters nothing first."""
    return [("", everything), *((value, value) for value in values)]


def line(volume: Volume, mounts: Mounts) -> dict[str, Any]:
    """Return one line of a table of volumes."""
    services = mounts.get((volume.node_id, volume.name), [])
    return {"volume": volume, "services": services, "status": status_of(volume)}


def status_of(volume: Volume) -> tuple[str, str]:
    """Return a volume's state as a word, and the word's kind."""
    if volume.gone_at:
        return ("Gone", "neutral") if volume.observed_at else ("Not created", "danger")
    if not volume.observed_at:
        return "Creating", "progress"
    return ("Node is down", "warning") if volume.node.status == "Down" else ("Ready", "ok")


def services_by_volume(cluster: Cluster) -> Mounts:
    """Map each node and volume name to the services that may mount it there."""
    nodes = list(Node.objects.present().filter(cluster=cluster))
    found: Mounts = {}
    for service in Service.objects.present().filter(cluster=cluster):
        for name in spec.uses(service.spec).volumes:
            for node in nodes:
                if spec.may_run_on(service.spec, node.swarm_node_id):
                    found.setdefault((node.pk, name), []).append(service)
    return found


def volume_for(
    request: HttpRequest, slug: str, pk: int, roles: tuple[str, ...] = access.READ
) -> Volume:
    """Return one volume of a cluster, or 404 for a stranger."""
    cluster = access.cluster_for(request, slug, roles)
    rows = Volume.objects.select_related("node__cluster__company")
    return get_object_or_404(rows, pk=pk, node__cluster=cluster)


@login_required
@require_safe
def volume(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show a volume: where it is, how it is mounted, and by what."""
    found = volume_for(request, slug, pk)
    word, kind = status_of(found)
    cluster = found.node.cluster
    context = {
        "volume": found,
        "status": {"word": word, "kind": kind},
        "options": shown_options(found.options),
        "services": [] if found.gone_at else actions.services_that_mount(found),
    }
    context |= docker.frame(request, cluster, TAB, within=True)
    context |= docker.of_target(cluster, "volume", [found.pk])
    return render(request, "clusters/volume.html", context)


def shown_options(text: str) -> dict[str, str]:
    """Return the driver's options as a page may show them: a share's password is not."""
    options: dict[str, str] = json.loads(text or "{}")
    if options.get("type") in OPEN_TYPES:
        return options
    return {name: value if name == "type" else "not shown" for name, value in options.items()}


@login_required
@require_http_methods(["GET", "POST"])
def new_volume(request: HttpRequest, slug: str) -> HttpResponse:
    """Create a volume on a node."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    form = VolumeForm(request.POST if request.method == "POST" else None, cluster=cluster)
    if form.is_bound and not cluster.is_initialised:
        form.add_error(None, docker.NO_NODE)
    if form.is_valid():
        try:
            operation = actions.create_volume(
                form.cleaned_data["node"],
                form.cleaned_data["name"],
                "local",
                form.driver_options(),
                form.cleaned_data["labels"],
                by=access.actor(request),
            )
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect("volume", slug, operation.target_id)
    context = docker.frame(request, cluster, TAB, within=True) | {"form": form}
    return docker.form_page(request, "clusters/new_volume.html", context)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def delete_volume(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask for the name, then delete the volume with its data."""
    found = volume_for(request, slug, pk, access.OPERATE)
    form = DeleteForm(request.POST if request.method == "POST" else None, name=found.name)
    refused = ""
    if form.is_valid():
        try:
            actions.delete_volume(found, by=access.actor(request))
        except Failure as error:
            refused = str(error)
        else:
            return redirect("volume", slug, pk)
    size = f" ({found.size_bytes:,} bytes)" if found.size_bytes is not None else ""
    context = docker.frame(request, found.node.cluster, TAB, within=True) | {
        "title": f"Delete the volume {found.name}",
        "text": f"Its data{size} on {found.node.name} is deleted with it.",
        "submit": "Delete volume",
        "form": form,
        "back": {"name": "volume", "label": found.name, "key": found.pk},
        "services": actions.services_that_mount(found),
    }
    status = 422 if form.is_bound else 200
    return docker.confirm_page(request, context, refused=refused, status=status)
