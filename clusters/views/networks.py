"""The page of networks; the console makes them, so people only look."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from clusters.models import Network
from clusters.models.cluster import INTERNAL_NETWORK
from clusters.views import docker
from medstack import access
from medstack.listing import Column, Listing

COLUMNS = (
    Column("Name", "name"),
    Column("Driver", "observed__Driver"),
    Column("Encryption"),
    Column("Attachable"),
    Column("Subnets"),
    Column("What it is for"),
)
PURPOSES = {
    INTERNAL_NETWORK: "Made with the first node: services find each other here by their names.",
    "ingress": "Docker's own: carries requests from published ports to tasks on other nodes.",
}


@login_required
@require_safe
def networks(request: HttpRequest, slug: str) -> HttpResponse:
    """List the swarm's networks, and warn of an internal one that is not encrypted."""
    cluster = access.cluster_for(request, slug)
    rows = Network.objects.filter(cluster=cluster)
    listing = Listing(request, rows, columns=COLUMNS, search=("name",), sort="name")
    listing.page.object_list = [line(row) for row in listing.page.object_list]
    internal = rows.filter(name=INTERNAL_NETWORK).first()
    context = docker.frame(request, cluster, "networks") | docker.running(cluster)
    context |= {"listing": listing, "is_plain": internal and not internal.is_encrypted}
    return render(request, "clusters/networks.html", context)


def line(network: Network) -> dict[str, Any]:
    """Return one line of the table."""
    is_internal = network.name == INTERNAL_NETWORK
    encryption = ("Encrypted", "ok")
    if not network.is_encrypted:
        encryption = ("Not encrypted", "danger" if is_internal else "neutral")
    return {
        "network": network,
        "driver": network.observed.get("Driver", ""),
        "encryption": encryption,
        "is_attachable": bool(network.observed.get("Attachable")),
        "purpose": PURPOSES.get(network.name, ""),
    }
