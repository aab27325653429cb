"""Every write a person can make to the load balancer and its certificates."""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from clusters.actions.nodes import record
from clusters.actions.objects import create_version, start
from clusters.ingress.certificates import Chain
from clusters.ingress.dns_challenge import secret_name
from clusters.models import (
    Certificate,
    Cluster,
    Config,
    DomainMapping,
    LoadBalancer,
    Secret,
)
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor

Json = dict[str, Any]


@transaction.atomic
def deploy_load_balancer(
    row: LoadBalancer, *, by: Actor, dns_credentials: Mapping[str, str] | None = None
) -> Operation:
    """Deploy the load balancer, or change it to what the form says.

    New credentials of the DNS provider become secrets; without any, the former ones stay.
    """
    for variable, value in (dns_credentials or {}).items():
        create_version(Secret, row.cluster, secret_name(variable), value.encode(), by=by)
    before = LoadBalancer.objects.filter(pk=row.pk).first()
    if before:
        row.generation = before.generation + 1
    row.save()
    record(
        "load_balancer.updated" if before else "load_balancer.created",
        row,
        row.cluster,
        by=by,
        before=shown(before) if before else None,
        after=shown(row),
    )
    return start(
        "loadbalancer.deploy", row, row.cluster, by=by, exclusive=f"ingress:{row.cluster_id}"
    )


def shown(row: LoadBalancer) -> Json:
    """Return what the record keeps of a load balancer's settings."""
    return {
        "node": row.node.name,
        "address": row.address,
        "email": row.email,
        "acme_directory": row.acme_directory,
        "challenge": row.challenge,
        "ciphers": row.ciphers,
        "image": row.image,
        "dns_provider": row.dns_provider,
        "dns_variables": row.dns_variables,
        "dns_servers": row.dns_servers,
    }


@transaction.atomic
def remove_load_balancer(row: LoadBalancer, *, by: Actor) -> Operation:
    """Remove the load balancer, unless domains are still mapped through it."""
    mapped = DomainMapping.objects.present().filter(service__cluster=row.cluster)
    if mapped.exists():
        names = ", ".join(sorted(mapping.domain for mapping in mapped[:10]))
        raise Failure(f"Domains are still mapped: {names}. Remove the mappings first.")
    record("load_balancer.removed", row, row.cluster, by=by, before=shown(row))
    return start(
        "loadbalancer.remove", row, row.cluster, by=by, exclusive=f"ingress:{row.cluster_id}"
    )


@transaction.atomic
def upload_certificate(
    cluster: Cluster, name: str, chain: Chain, key: bytes, *, by: Actor
) -> Operation:
    """Keep a certificate: its chain as a config, its key as a secret, and tell Traefik."""
    object_name = f"certificate-{name}"
    create_version(Secret, cluster, f"{object_name}-key", key, by=by)
    operation = create_version(Config, cluster, object_name, chain.pem.encode(), by=by)
    row, _ = Certificate.objects.update_or_create(
        cluster=cluster,
        name=name,
        defaults={
            "chain": chain.pem,
            "names": list(chain.names),
            "not_after": chain.not_after,
            "config_name": newest(Config, cluster, object_name),
            "secret_name": newest(Secret, cluster, f"{object_name}-key"),
        },
    )
    digest = hashlib.sha256(chain.pem.encode()).hexdigest()
    record(
        "certificate.uploaded",
        row,
        cluster,
        by=by,
        after={"names": list(chain.names), "not_after": str(chain.not_after), "sha256": digest},
    )
    balancer_row = LoadBalancer.objects.filter(cluster=cluster).first()
    return deploy_load_balancer(balancer_row, by=by) if balancer_row else operation


def newest(model: type[Config] | type[Secret], cluster: Cluster, name: str) -> str:
    """Return the Engine's name of an object's current version."""
    return model.objects.current().get(cluster=cluster, name=name).engine_name
