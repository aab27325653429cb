"""Pages of registries: where images are pulled from, and with which credentials."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clusters import images
from clusters.actions import objects as actions
from clusters.forms.registry import RegistryForm
from clusters.models import Cluster, Registry, Service
from clusters.views import docker
from medstack import access
from medstack.failures import Failure
from medstack.listing import Column, Listing

TAB = "registries"
COLUMNS = (
    Column("Address", "address"),
    Column("User", "username"),
    Column("Login"),
    Column("Services"),
    Column("Credentials since", "rotated_at"),
)


@login_required
@require_safe
def manage_docker(request: HttpRequest, slug: str) -> HttpResponse:
    """Lead to the first tab."""
    access.cluster_for(request, slug)
    return docker.to_first_tab(slug)


@login_required
@require_safe
def registries(request: HttpRequest, slug: str) -> HttpResponse:
    """List the registries with the services that are pulled from each."""
    cluster = access.cluster_for(request, slug)
    rows = Registry.objects.filter(cluster=cluster)
    search = ("address", "username")
    listing = Listing(request, rows, columns=COLUMNS, search=search, sort="address")
    users = services_by_registry(cluster)
    listing.page.object_list = [
        {"registry": row, "services": users.get(row.pk, []), "login": login_state(row)}
        for row in listing.page.object_list
    ]
    context = docker.frame(request, cluster, TAB) | docker.running(cluster, "registry")
    return render(request, "clusters/registries.html", context | {"listing": listing})


def services_by_registry(cluster: Cluster) -> dict[int, list[Service]]:
    """Map each registry to the services that are pulled with its credentials."""
    rows = list(Registry.objects.filter(cluster=cluster))
    found: dict[int, list[Service]] = {}
    for service in Service.objects.present().filter(cluster=cluster):
        try:
            match = images.matching_registry(images.parse(service.image), rows)
        except images.InvalidReference:
            # Outside the console a service may run an image by its id alone.
            continue
        if match:
            found.setdefault(match.pk, []).append(service)
    return found


def login_state(registry: Registry) -> tuple[str, str]:
    """Return how the last login went as a word, and the word's kind."""
    if registry.test_error:
        return "Refused", "danger"
    return ("Accepted", "ok") if registry.tested_at else ("Not tested", "neutral")


def registry_for(
    request: HttpRequest, slug: str, pk: int, roles: tuple[str, ...] = access.READ
) -> Registry:
    """Return one registry of a cluster, or 404 for a stranger."""
    rows = Registry.objects.select_related("cluster__company")
    return get_object_or_404(rows, pk=pk, cluster=access.cluster_for(request, slug, roles))


@login_required
@require_http_methods(["GET", "POST"])
def new_registry(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a registry and log in to it."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    data = request.POST if request.method == "POST" else None
    form = RegistryForm(data, instance=Registry(cluster=cluster))
    if form.is_bound and not cluster.is_initialised:
        form.add_error(None, docker.NO_NODE)
    if form.is_valid():
        actions.save_registry(form.instance, by=access.actor(request))
        return redirect("registry", slug, form.instance.pk)
    context = docker.frame(request, cluster, TAB, within=True) | {"form": form}
    return docker.form_page(request, "clusters/new_registry.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def registry(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show a registry, and rotate its credentials."""
    roles = access.OPERATE if request.method == "POST" else access.READ
    found = registry_for(request, slug, pk, roles)
    form = RegistryForm(request.POST if request.method == "POST" else None, instance=found)
    if form.is_valid():
        actions.save_registry(form.instance, by=access.actor(request))
        return redirect("registry", slug, pk)
    return registry_page(request, Registry.objects.get(pk=pk), form)


def registry_page(request: HttpRequest, registry: Registry, form: RegistryForm) -> HttpResponse:
    """Draw a registry as it is saved, with the form as it was typed."""
    cluster = form.instance.cluster
    word, kind = login_state(registry)
    context = {
        "registry": registry,
        "form": form,
        "services": services_by_registry(cluster).get(registry.pk, []),
        "login": {"word": word, "kind": kind},
    }
    context |= docker.frame(request, cluster, TAB, within=True)
    context |= docker.of_target(cluster, "registry", [registry.pk])
    return docker.form_page(request, "clusters/registry.html", context)


@login_required
@require_POST
def test_registry(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Log in to the registry from a manager, and follow that."""
    found = registry_for(request, slug, pk, access.OPERATE)
    try:
        actions.test_registry(found, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
    return redirect("registry", slug, pk)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def delete_registry(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask once more, then forget the registry and its credentials."""
    found = registry_for(request, slug, pk, access.OPERATE)
    refused = ""
    if request.method == "POST":
        try:
            actions.delete_registry(found, by=access.actor(request))
        except Failure as error:
            refused = str(error)
        else:
            messages.success(request, f"The registry {found} is deleted.")
            return redirect(TAB, slug)
    services = services_by_registry(found.cluster).get(found.pk, [])
    context = docker.frame(request, found.cluster, TAB, within=True) | {
        "title": f"Delete the registry {found}",
        "text": "The console forgets its credentials. Images that were pulled stay on the nodes.",
        "submit": "Delete registry",
        "back": {"name": "registry", "label": found.address, "key": found.pk},
        "services": services,
    }
    return docker.confirm_page(request, context, refused=refused)
