"""What the pages of configs and secrets share: both come in versions that are replaced."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from clusters import spec
from clusters.actions import objects as actions
from clusters.forms.versioned import NewForm, ValueForm
from clusters.models import Cluster, Config, Secret, Service
from clusters.views import docker
from medstack import access
from medstack.failures import Failure
from medstack.listing import Column, Listing

Model = type[Config] | type[Secret]
Rows = QuerySet[Config] | QuerySet[Secret]
Users = dict[str, list[Service]]

COLUMNS = (
    Column("Name", "name"),
    Column("Status"),
    Column("Version", "version", numeric=True),
    Column("Size", "size_bytes", numeric=True),
    Column("Used by"),
    Column("Since", "created_at"),
)


def noun(model: Model) -> str:
    """Return what one of them is called, in words and in the names of pages."""
    return "secret" if model is Secret else "config"


def words(model: Model) -> docker.Context:
    """Return the words and names of pages by which the shared templates differ."""
    one = noun(model)
    pages = {
        "list_page": f"{one}s",
        "page": one,
        "new_page": f"new_{one}",
        "rotate_page": f"rotate_{one}",
        "delete_page": f"delete_{one}",
    }
    return {"noun": one, "icon": "secret" if model is Secret else "document", **pages}


def users_by_name(cluster: Cluster, model: Model) -> Users:
    """Map the Engine's name of each version to the services whose wanted spec mounts it."""
    found: Users = {}
    for service in Service.objects.present().filter(cluster=cluster):
        for name in getattr(spec.uses(service.spec), f"{noun(model)}s"):
            found.setdefault(name, []).append(service)
    return found


def users_of(rows: list[Any], users: Users) -> list[Service]:
    """Return the services that use any of these versions, each once, by name."""
    found = {service.pk: service for row in rows for service in users.get(row.engine_name, ())}
    return sorted(found.values(), key=lambda service: service.name)


def list_page(request: HttpRequest, slug: str, model: Model) -> HttpResponse:
    """List the newest version of each, with the services that use it."""
    cluster = access.cluster_for(request, slug)
    rows: Rows = model.objects.current().filter(cluster=cluster)
    listing = Listing(request, rows, columns=COLUMNS, search=("name",), sort="name")
    users = users_by_name(cluster, model)
    versions: dict[str, list[Any]] = {}
    for row in model.objects.present().filter(cluster=cluster).defer(*unread(model)):
        versions.setdefault(row.name, []).append(row)
    listing.page.object_list = [
        {
            "item": row,
            "status": version_status(row, []),
            "services": users_of(versions.get(row.name, [row]), users),
        }
        for row in listing.page.object_list
    ]
    context = docker.frame(request, cluster, f"{noun(model)}s")
    context |= docker.running(cluster, noun(model)) | words(model) | {"listing": listing}
    return render(request, f"clusters/{noun(model)}s.html", context)


def unread(model: Model) -> tuple[str, ...]:
    """Return the columns that only the current version's page needs; they may be large."""
    return ("pending_value",) if model is Secret else ("data",)


def version_status(row: Config | Secret, services: list[Service]) -> tuple[str, str]:
    """Return the state of one version as a word, and the word's kind."""
    if row.removed_at:
        return ("Removed", "neutral") if row.is_created else ("Not created", "danger")
    if row.is_current:
        if row.is_created:
            return "Current", "ok"
        return ("Creating" if row.version == 1 else "Rotating", "progress")
    return ("Still in use", "warning") if services else ("Former", "neutral")


def versions_for(
    request: HttpRequest, slug: str, name: str, model: Model, roles: tuple[str, ...] = access.READ
) -> tuple[Cluster, list[Any]]:
    """Return all versions of a name, the newest first, or 404 when there never was one."""
    cluster = access.cluster_for(request, slug, roles)
    rows: Rows = model.objects.filter(cluster=cluster, name=name)
    found = list(rows.defer(*unread(model)).order_by("-pk"))
    if not found:
        raise Http404
    return cluster, found


def current_of(rows: list[Any]) -> Any:
    """Return the current version; what was deleted can be looked at, but not changed."""
    for row in rows:
        if row.is_current and not row.removed_at:
            return row
    raise Http404


def object_page(request: HttpRequest, slug: str, name: str, model: Model) -> HttpResponse:
    """Show what is current, what uses it, and every version there was."""
    cluster, rows = versions_for(request, slug, name, model)
    users = users_by_name(cluster, model)
    present = [row for row in rows if not row.removed_at]
    current = next((row for row in present if row.is_current), None)
    context = {
        "name": name,
        "current": current,
        "newest": current or rows[0],
        "status": version_status(current or rows[0], []),
        "services": users_of(present, users),
        "versions": [version_line(row, users) for row in rows],
    }
    if isinstance(current, Config) and current.data:
        context |= {"digest": current.digest, "text": text_of(bytes(current.data))}
    context |= docker.frame(request, cluster, f"{noun(model)}s", within=True) | words(model)
    context |= docker.of_target(cluster, noun(model), [row.pk for row in rows])
    return render(request, f"clusters/{noun(model)}.html", context)


def version_line(row: Config | Secret, users: Users) -> docker.Context:
    """Return one line of the table of versions."""
    services = [] if row.removed_at else users_of([row], users)
    known = isinstance(row, Config) and not row.removed_at and not row.is_external
    digest = row.digest if isinstance(row, Config) and known else ""
    status = version_status(row, services)
    return {"item": row, "services": services, "status": status, "digest": digest}


def text_of(data: bytes) -> str | None:
    """Return the content as text, or None when it is binary."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def new_page(request: HttpRequest, slug: str, model: Model) -> HttpResponse:
    """Create a config or secret."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    form = NewForm(request, cluster=cluster, model=model)
    if form.is_bound and not cluster.is_initialised:
        form.add_error(None, docker.NO_NODE)
    if form.is_valid() and saved(request, form, cluster, form.cleaned_data["name"], model):
        return redirect(noun(model), slug, form.cleaned_data["name"])
    context = docker.frame(request, cluster, f"{noun(model)}s", within=True) | words(model)
    return docker.form_page(request, "clusters/new_versioned.html", context | {"form": form})


def rotate_page(request: HttpRequest, slug: str, name: str, model: Model) -> HttpResponse:
    """Give a config or secret a new value, and its services with it."""
    cluster, rows = versions_for(request, slug, name, model, access.OPERATE)
    current = current_of(rows)
    form = ValueForm(request, model=model)
    if form.is_valid() and saved(request, form, cluster, name, model):
        return redirect(noun(model), slug, name)
    services = users_of([current], users_by_name(cluster, model))
    context = docker.frame(request, cluster, f"{noun(model)}s", within=True) | words(model)
    context |= {"form": form, "name": name, "current": current, "services": services}
    context["next_version"] = actions.next_version(model, cluster, name)
    return docker.form_page(request, "clusters/rotate_versioned.html", context)


def saved(request: HttpRequest, form: ValueForm, cluster: Cluster, name: str, model: Model) -> bool:
    """Save the value as a new version; False when that is refused, with the reason in the form."""
    value = form.cleaned_data["value"]
    try:
        actions.create_version(model, cluster, name, value, by=access.actor(request))
    except Failure as error:
        form.add_error(None, str(error))
        return False
    return True


def delete_page(request: HttpRequest, slug: str, name: str, model: Model) -> HttpResponse:
    """Ask once more, then delete all versions, unless a service uses one."""
    cluster, rows = versions_for(request, slug, name, model, access.OPERATE)
    current, refused = current_of(rows), ""
    if request.method == "POST":
        try:
            actions.delete_version(current, by=access.actor(request))
        except Failure as error:
            refused = str(error)
        else:
            return redirect(noun(model), slug, name)
    present = [row for row in rows if not row.removed_at]
    context = docker.frame(request, cluster, f"{noun(model)}s", within=True) | {
        "title": f"Delete the {noun(model)} {name}",
        "text": "All of its versions are removed from the Engine. Its history stays here.",
        "submit": f"Delete {noun(model)}",
        "back": {"name": noun(model), "label": name, "key": name},
        "services": users_of(present, users_by_name(cluster, model)),
    }
    return docker.confirm_page(request, context, refused=refused)
