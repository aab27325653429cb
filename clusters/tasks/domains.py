"""Look at every mapped domain from outside: where it leads, its certificate, and the answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from clusters.domain_check import dns_problem
from clusters.ingress import lookups
from clusters.ingress.domains import reachable
from clusters.models import Cluster, DomainMapping, LoadBalancer, Service
from medstack.models import Event, Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register
from medstack.queue import enqueue

EVERY = timedelta(hours=1)
AT_ONCE = 16


def enqueue_domain_checks() -> None:
    """Queue a check of each cluster's domains, once an hour; the tick calls this."""
    now = timezone.now()
    due = LoadBalancer.objects.exclude(deployed_at=None).filter(
        Q(domains_checked_at=None) | Q(domains_checked_at__lt=now - EVERY)
    )
    for pk in due.values_list("pk", flat=True):
        if due.filter(pk=pk).update(domains_checked_at=now):
            enqueue("clusters.tasks.domains.check_domains", pk)


def check_domains(pk: int) -> None:
    """Look at all domains of one load balancer and save what is found."""
    row = LoadBalancer.objects.select_related("cluster").filter(pk=pk).first()
    if row is None:
        return
    mappings = list(
        DomainMapping.objects.present()
        .filter(service__cluster=row.cluster)
        .select_related("service__cluster__company")
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda mapping: look(mapping, row), mappings))
    for mapping, values in zip(mappings, found, strict=True):
        save(mapping, values)


def look(mapping: DomainMapping, balancer: LoadBalancer) -> dict[str, Any]:
    """Return what one domain looks like from outside; no row is read or written here."""
    problem = dns_problem(mapping.domain, balancer.address)
    asked = reachable(mapping.domain)
    try:
        addresses = lookups.addresses(asked, server=settings.DNS_SERVER)
    except lookups.LookupFailed:
        addresses = []
    probe = lookups.probe(
        asked, balancer.address, path=mapping.path or "/", ca_pem=balancer.issuer_ca
    )
    return {
        "dns_addresses": addresses,
        "issuer": probe.issuer[:200],
        "not_after": probe.not_after,
        "status_code": probe.status_code,
        "latency_ms": probe.latency_ms,
        "tls_version": probe.tls_version,
        "problem": " ".join(part for part in (problem, probe.problem) if part),
    }


def problems_of(service: Service) -> list[str]:
    """Look at one service's domains now, save what is found, and return what is amiss."""
    row = LoadBalancer.objects.exclude(deployed_at=None).filter(cluster=service.cluster).first()
    mappings = DomainMapping.objects.present().filter(service=service)
    if row is None:
        return []
    found = []
    for mapping in mappings.select_related("service__cluster__company"):
        save(mapping, look(mapping, row))
        if mapping.problem:
            found.append(f"{mapping}: {mapping.problem}{unheard(mapping)}")
    return found


def unheard(mapping: DomainMapping) -> str:
    """Say what a gateway's error most likely means."""
    if mapping.status_code in (502, 503, 504):
        return f" (does anything listen on port {mapping.port}?)"
    return ""


def save(mapping: DomainMapping, values: dict[str, Any]) -> None:
    """Save what was found, and record when it is not what it was."""
    now = timezone.now()
    # As it stood when it was last looked at: time alone brings a certificate to its end.
    before = found_at(mapping, mapping.checked_at or now)
    for name, value in values.items():
        setattr(mapping, name, value)
    mapping.checked_at = now
    mapping.save(update_fields=[*values, "checked_at"])
    after = found_at(mapping, now)
    if before != after:
        cluster = mapping.service.cluster
        Event.objects.record(
            "domain.inspect" if after["status"] == "Inspect" else "domain.active",
            mapping,
            by=SYSTEM,
            company=cluster.company,
            cluster_id=cluster.pk,
            before=before,
            after=after,
        )


def found_at(mapping: DomainMapping, moment: datetime) -> dict[str, Any]:
    """Return what about a domain is recorded when it changes."""
    return {
        "status": mapping.status_at(moment),
        "problem": mapping.problem,
        "addresses": mapping.dns_addresses,
        "issuer": mapping.issuer,
        "not_after": mapping.not_after.isoformat() if mapping.not_after else None,
    }


def check_step(operation: Operation) -> Waiting | None:
    """Check all domains of a cluster now, because a person asked."""
    cluster = Cluster.objects.get(pk=operation.target_id)
    row = LoadBalancer.objects.filter(cluster=cluster).first()
    if row:
        check_domains(row.pk)
    amiss = [
        mapping
        for mapping in DomainMapping.objects.present().filter(service__cluster=cluster)
        if mapping.status == "Inspect"
    ]
    for mapping in amiss:
        note(operation, f"{mapping}: {mapping.problem or 'the certificate expires soon'}")
    return None


register.add(
    "domains.check",
    Kind(
        "Check domains of",
        (Step("Ask name servers and the load balancer", check_step),),
        within=timedelta(minutes=5),
    ),
)
