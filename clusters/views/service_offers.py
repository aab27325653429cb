"""What a cluster has to offer to a service's form, from the rows alone."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from django.utils import timezone

from clusters import spec as specs
from clusters.forms.service_choices import ServiceChoices, VolumeChoice, version
from clusters.ingress import domains
from clusters.models import (
    Certificate,
    Cluster,
    Config,
    DomainMapping,
    LoadBalancer,
    Node,
    Secret,
    Service,
    Volume,
)

INGRESS = "ingress"


def choices_for(
    cluster: Cluster,
    service: Service | None = None,
    *,
    sent: Mapping[str, str] | None,
    may_postpone: bool = False,
) -> ServiceChoices:
    """Return what may be chosen for a new service, or for one that exists.

    What is only checked is looked up for what was sent.
    """
    nodes = list(Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id=""))
    used = specs.uses(service.spec if service else {})
    versions = [node.api_version for node in nodes if node.api_version]
    volumes = Volume.objects.present().filter(node__in=nodes, is_anonymous=False)
    return ServiceChoices(
        registries=[(row.pk, row.address) for row in cluster.registries.all()],
        secrets=offered(Secret, cluster, used.secrets),
        configs=offered(Config, cluster, used.configs),
        volumes=[
            VolumeChoice(volume.name, volume.node.swarm_node_id, volume.node.name)
            for volume in volumes.select_related("node")
        ],
        networks=[
            (network.name, network.engine_id)
            for network in cluster.networks.all()
            if network.name != INGRESS
        ],
        nodes=[(node.swarm_node_id, node.name) for node in nodes],
        api_version=min(versions, key=version, default=""),
        may_postpone=may_postpone,
        **({} if sent is None else to_check(cluster, service, sent)),
    )


def to_check(cluster: Cluster, service: Service | None, sent: Mapping[str, str]) -> dict[str, Any]:
    """Return what decides whether names and domains that were sent can be had."""
    balancer = LoadBalancer.objects.filter(cluster=cluster).first()
    valid = Certificate.objects.filter(cluster=cluster, not_after__gt=timezone.now())
    return {
        "taken": taken(cluster, service),
        "claimed": claimed(cluster, service, typed(sent)),
        "has_load_balancer": balancer is not None,
        "has_dns_challenge": bool(balancer and balancer.dns_provider),
        "certified": [name for certificate in valid for name in certificate.names],
    }


def offered(
    model: type[Config] | type[Secret], cluster: Cluster, used: Collection[str]
) -> list[tuple[str, str]]:
    """Return the newest versions, and older ones that the service still uses."""
    rows = model.objects.present().filter(cluster=cluster)
    return [
        (row.engine_name, row.name if row.is_current else f"{row.name} (version {row.version})")
        for row in rows
        if row.is_current or row.engine_name in used
    ]


def taken(cluster: Cluster, service: Service | None) -> frozenset[str]:
    """Return the names of the cluster's other services."""
    services = Service.objects.present().filter(cluster=cluster)
    if service:
        services = services.exclude(pk=service.pk)
    return frozenset(services.values_list("name", flat=True))


def typed(sent: Mapping[str, str]) -> set[str]:
    """Return the domains in the rows of a form that was sent, as they are stored."""
    found = set()
    for field, value in sent.items():
        if field.endswith("-domain"):
            with suppress(domains.InvalidDomain):
                found.add(domains.normal(value))
    return found


def claimed(cluster: Cluster, service: Service | None, wanted: Collection[str]) -> dict[str, str]:
    """Return which domains other services have; of other companies only that they have them."""
    rows = DomainMapping.objects.present().filter(domain__in=wanted)
    rows = rows.select_related("service__cluster")
    if service:
        rows = rows.exclude(service=service)
    return {
        row.domain: f"the service “{row.service.name}”"
        if row.service.cluster.company_id == cluster.company_id
        else "another service of this installation"
        for row in rows
    }
