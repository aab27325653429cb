"""What the console tells the agents, and leaves on the swarm for the day it is gone itself."""

from collections.abc import Iterable
from typing import Any

from backups.fractions import without
from backups.models import VolumePolicy
from clusters.models import Cluster, DomainMapping, LoadBalancer, Node, Registry
from medstack.models import Company

Json = dict[str, Any]
STOPPED = (Company.Subscription.CANCELLED, Company.Subscription.PURGED)
ACCESS = ("address", "username", "password")
DNS_CHALLENGE = ("dns_provider", "dns_variables", "dns_servers")


def for_agents(cluster: Cluster, image: str) -> Json:
    """Return the policy that every agent reads."""
    nodes = Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id="")
    return {
        "nodes": {node.swarm_node_id: node.name for node in nodes.order_by("name")},
        "volumes": {
            f"{one.node_name}/{one.volume_name}": {
                "excluded": one.excluded_reason,
                "before": one.before_command,
                "after": one.after_command,
                "freeze": one.freeze,
                "stop": one.stop,
            }
            for one in VolumePolicy.objects.filter(cluster=cluster)
        },
        "active": cluster.company.subscription not in STOPPED,
        "image": image,
    }


def environment(cluster: Cluster) -> Json:
    """Return what no Engine knows and a restored environment needs; no credentials."""
    mappings = DomainMapping.objects.present().filter(service__cluster=cluster)
    balancer = LoadBalancer.objects.filter(cluster=cluster).select_related("node").first()
    nodes = Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id="")
    registries = Registry.objects.filter(cluster=cluster).order_by("address")
    found: Json = {
        "registries": [{"address": one.address, "username": one.username} for one in registries],
        "domain_mappings": [
            {"domain": one.domain, "service": one.service.name}
            for one in mappings.select_related("service").order_by("domain")
        ],
        "nodes": [
            {
                "ID": node.swarm_node_id,
                "Name": node.name,
                "Labels": node.labels,
            }
            for node in nodes.order_by("name")
        ],
        "load_balancer": settings_of(balancer) if balancer else {},
        "volume_policies": [
            {
                "node": one.node_name,
                "volume": one.volume_name,
                "excluded": one.excluded_reason,
                "before": one.before_command,
                "after": one.after_command,
                "freeze": one.freeze,
                "stop": one.stop,
            }
            for one in VolumePolicy.objects.filter(cluster=cluster)
        ],
    }
    cleaned: Json = without(found)
    return cleaned


def settings_of(row: LoadBalancer) -> Json:
    """Return how the load balancer was deployed."""
    return {
        "node": row.node.name,
        "email": row.email,
        "acme_directory": row.acme_directory,
        "acme_ca": row.acme_ca,
        "challenge": row.challenge,
        "ciphers": row.ciphers,
        "image": row.image,
        "socket_image": row.socket_image,
        "issuer_ca": row.issuer_ca,
        # The values are secrets of the swarm, captured with all others.
        **({name: getattr(row, name) for name in DNS_CHALLENGE} if row.dns_provider else {}),
    }


def credentials(registries: Iterable[Registry]) -> Json:
    """Return the registries' credentials: a Swarm secret, captured with all others."""
    rows = [{name: getattr(one, name) for name in ACCESS} for one in registries]
    return {"registries": rows}
