"""The load balancer, the domains that it publishes, and uploaded certificates."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clusters.actions import domains as domain_actions
from clusters.actions import ingress as actions
from clusters.forms.ingress import CertificateForm, LoadBalancerForm
from clusters.ingress import balancer
from clusters.models import Certificate, Cluster, DomainMapping, LoadBalancer, Service
from clusters.views import docker
from clusters.views.status import domain_kind, service_kind
from medstack import access
from medstack.failures import Failure
from medstack.listing import Column, Listing
from medstack.models import Operation

TAB = "load_balancer"


def context_of(request: HttpRequest, cluster: Cluster, *, within: bool = True) -> dict[str, Any]:
    """Return what the ingress pages share."""
    row = LoadBalancer.objects.select_related("node").filter(cluster=cluster).first()
    kinds = ("loadbalancer.deploy", "loadbalancer.remove", "domains.check")
    operations = Operation.objects.filter(cluster=cluster, kind__in=kinds)
    services = Service.objects.present().filter(cluster=cluster, is_managed=True)
    return docker.frame(request, cluster, TAB, within=within) | {
        "row": row,
        "services": [{"service": s, "kind": service_kind(s)} for s in services],
        "operation": operations.select_related("requested_by").first(),
    }


@login_required
@require_safe
def load_balancer(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the load balancer and every domain behind it."""
    cluster = access.cluster_for(request, slug)
    rows = DomainMapping.objects.present().filter(service__cluster=cluster)
    listing = Listing(
        request,
        rows.select_related("service"),
        columns=(
            Column("Domain", "domain"),
            Column("Status"),
            Column("Service", "service__name"),
            Column("DNS"),
            Column("Certificate", "not_after"),
            Column("Last probe", "checked_at"),
        ),
        search=("domain", "service__name", "issuer"),
        sort="domain",
    )
    listing.page.object_list = [
        {"mapping": mapping, "kind": domain_kind(mapping)} for mapping in listing.page.object_list
    ]
    context = context_of(request, cluster, within=False) | {
        "listing": listing,
        "certificates": Certificate.objects.filter(cluster=cluster),
    }
    return render(request, "clusters/load_balancer.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def deploy(request: HttpRequest, slug: str) -> HttpResponse:
    """Deploy the load balancer, or change it."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    row = LoadBalancer.objects.filter(cluster=cluster).first() or LoadBalancer(cluster=cluster)
    taken = Service.objects.present().filter(
        cluster=cluster, name__in=(balancer.NAME, balancer.SOCKET), is_managed=False
    )
    form = LoadBalancerForm(request.POST or None, instance=row)
    if form.is_bound and taken.exists():
        form.add_error(None, f"A service named “{taken[0]}” stands in the way: delete it first.")
    if form.is_valid():
        try:
            actions.deploy_load_balancer(
                form.save(commit=False),
                by=access.actor(request),
                dns_credentials=form.cleaned_data["dns_credentials"],
            )
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect("load_balancer", slug)
    context = context_of(request, cluster) | {"form": form}
    return docker.form_page(request, "clusters/load_balancer_form.html", context)


@login_required
@access.confirmed
@require_http_methods(["GET", "POST"])
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask once more, then remove the load balancer."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    context = context_of(request, cluster)
    if context["row"] is None:
        return redirect("load_balancer", slug)
    if request.method == "POST":
        try:
            actions.remove_load_balancer(context["row"], by=access.actor(request))
        except Failure as error:
            messages.error(request, str(error))
            return render(request, "clusters/remove_load_balancer.html", context, status=422)
        return redirect("load_balancer", slug)
    return render(request, "clusters/remove_load_balancer.html", context)


@login_required
@require_POST
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """Look at all domains now."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    try:
        domain_actions.check_domains(cluster, by=access.actor(request))
    except Failure as error:
        messages.error(request, str(error))
    return redirect("load_balancer", slug)


@login_required
@require_http_methods(["GET", "POST"])
def upload_certificate(request: HttpRequest, slug: str) -> HttpResponse:
    """Upload a certificate with its key."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    form = CertificateForm(request.POST or None)
    if form.is_bound and not cluster.is_initialised:
        form.add_error(None, "The cluster has no Docker environment yet.")
    if form.is_valid():
        cleaned = form.cleaned_data
        try:
            actions.upload_certificate(
                cluster,
                cleaned["name"],
                cleaned["pair"],
                cleaned["key"].encode(),
                by=access.actor(request),
            )
        except Failure as error:
            form.add_error(None, str(error))
        else:
            return redirect("load_balancer", slug)
    context = context_of(request, cluster) | {"form": form}
    return docker.form_page(request, "clusters/upload_certificate.html", context)
