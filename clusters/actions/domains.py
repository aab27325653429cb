"""Keep the index of mapped domains what the services' labels say."""

from collections.abc import Collection
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from clusters.actions.nodes import record
from clusters.actions.objects import start
from clusters.ingress.routes import of_labels
from clusters.models import Cluster, DomainMapping, Service
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM, Actor

Json = dict[str, Any]


@transaction.atomic
def save_domains(
    service: Service, spec: Json, *, by: Actor, postponed: Collection[str] = ()
) -> None:
    """Make the rows of a service's domains what its wanted labels say."""
    wanted = {route.domain: route for route in of_labels(service.name, spec.get("Labels") or {})}
    present = {row.domain: row for row in DomainMapping.objects.present().filter(service=service)}
    for domain in present.keys() - wanted.keys():
        unmap(present[domain], by=by)
    for domain, route in wanted.items():
        values = {"path": route.path, "port": route.port}
        former = present.get(domain)
        if former is None:
            late = domain in postponed
            row = claim(service, domain, values, postponed_by=by.name if late else "")
            after = {"service": service.name, **values, "dns_check_postponed": late}
            record("domain.mapped", row, service.cluster, by=by, after=after)
        elif (former.path, former.port) != (route.path, route.port):
            before = {"path": former.path, "port": former.port}
            DomainMapping.objects.filter(pk=former.pk).update(**values)
            record("domain.changed", former, service.cluster, by=by, before=before, after=values)


def claim(service: Service, domain: str, values: Json, *, postponed_by: str) -> DomainMapping:
    """Take a domain for a service; in the whole installation it belongs to one."""
    try:
        with transaction.atomic():
            return DomainMapping.objects.create(
                service=service, domain=domain, dns_postponed_by=postponed_by, **values
            )
    except IntegrityError:
        raise Failure(f"“{domain}” belongs to another service; remove it there first.") from None


def unmap(row: DomainMapping, *, by: Actor) -> None:
    """Let a domain go."""
    DomainMapping.objects.filter(pk=row.pk).update(removed_at=timezone.now())
    before = {"service": row.service.name, "path": row.path, "port": row.port}
    record("domain.unmapped", row, row.service.cluster, by=by, before=before)


def release_domains(service: Service) -> None:
    """Let all domains of a deleted service go."""
    for row in DomainMapping.objects.present().filter(service=service):
        unmap(row, by=SYSTEM)


@transaction.atomic
def check_domains(cluster: Cluster, *, by: Actor) -> Operation:
    """Look at every domain of a cluster now instead of at the next hour."""
    record("domains.checked", cluster, cluster, by=by)
    return start("domains.check", cluster, cluster, by=by, exclusive=f"domains:{cluster.pk}")
