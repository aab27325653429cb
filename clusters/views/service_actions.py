"""What can be done to a service by one button or one small form."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from clusters.actions import services as actions
from clusters.forms.service_actions import DeleteForm, ScaleForm
from clusters.models import Service
from clusters.views import docker
from clusters.views.service_facts import plural
from clusters.views.service_page import service_context
from medstack import access
from medstack.failures import Failure
from medstack.models import Operation


@login_required
@require_POST
def restart(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Replace every task by a new one."""
    return act(request, slug, name, lambda s: actions.restart_service(s, by=access.actor(request)))


@login_required
@require_POST
def refresh(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Run what the image's tag means now."""
    return act(request, slug, name, lambda s: actions.refresh_image(s, by=access.actor(request)))


@login_required
@require_POST
def roll_back(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Return to the spec before the last change."""
    return act(request, slug, name, lambda s: actions.roll_back(s, by=access.actor(request)))


def act(
    request: HttpRequest, slug: str, name: str, action: Callable[[Service], Operation]
) -> HttpResponse:
    """Do what a button says, and show the service's page with the operation or the refusal."""
    service = access.service_for(request, slug, name, access.OPERATE)
    try:
        action(service)
    except Failure as error:
        return refused(request, service, str(error))
    return redirect(service)


def refused(request: HttpRequest, service: Service, reason: str) -> HttpResponse:
    """Show the service's page with the reason why what was asked for is not done."""
    messages.error(request, reason)
    context = service_context(request, service)
    return render(request, "clusters/service.html", context, status=422)


@login_required
@require_http_methods(["GET", "POST"])
def scale(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Set the number of replicas."""
    service = access.service_for(request, slug, name, access.OPERATE)
    if service.replicas is None:
        return refused(request, service, "The nodes decide how many tasks this service has.")
    data = request.POST if request.method == "POST" else None
    form = ScaleForm(data, initial={"replicas": service.replicas})
    if form.is_valid():
        try:
            actions.scale_service(service, form.cleaned_data["replicas"], by=access.actor(request))
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect(service)
    context = docker.frame(request, service.cluster, "services", within=True)
    context |= {"service": service, "form": form}
    return docker.form_page(request, "clusters/service_scale.html", context)


@login_required
@require_POST
def drift(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Accept or overwrite what was changed outside the console."""
    service = access.service_for(request, slug, name, access.OPERATE)
    choice, by = request.POST.get("choice"), access.actor(request)
    # Nobody accepts or undoes what the page did not show.
    if request.POST.get("version") != str(service.observed_version):
        return refused(request, service, "The service has changed again; look at it once more.")
    if choice not in ("accept", "overwrite"):
        return refused(request, service, "Choose to accept or to overwrite the changes.")
    try:
        if choice == "accept":
            actions.accept_drift(service, by=by)
            messages.success(request, "What runs now is what is wanted from now on.")
        else:
            actions.overwrite_drift(service, by=by)
    except Failure as error:
        return refused(request, service, str(error))
    return redirect(service)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Ask for the name, then stop and delete the service."""
    service = access.service_for(request, slug, name, access.OPERATE)
    data = request.POST if request.method == "POST" else None
    form = DeleteForm(data, name=service.name)
    if form.is_valid():
        try:
            actions.delete_service(service, by=access.actor(request))
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect(service)
    mounts = service.container.get("Mounts") or []
    volumes = [mount["Source"] for mount in mounts if mount.get("Type") == "volume"]
    context = docker.frame(request, service.cluster, "services", within=True)
    context |= {
        "service": service,
        "form": form,
        "consequences": [
            f"{plural(service.running, 'running task')} will stop.",
            *(f"The volume {volume} stays, with its data." for volume in volumes),
        ],
    }
    return docker.form_page(request, "clusters/service_delete.html", context)
