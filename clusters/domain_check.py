"""Find out, while a form waits, whether a domain leads to the load balancer."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from django.conf import settings

from clusters.forms.domain_rows import DomainRow
from clusters.ingress import lookups
from clusters.ingress.domains import reachable
from clusters.models import Cluster, DomainMapping

TIMEOUT = 1.0


def misdirected(rows: Iterable[DomainRow], cluster: Cluster) -> bool:
    """Mark the rows whose domains lead elsewhere; mapped ones are not asked again."""
    asked = {
        row.cleaned_data["domain"]: row for row in rows if not row.cleaned_data.get("postpone")
    }
    mapped = DomainMapping.objects.present().filter(domain__in=asked, service__cluster=cluster)
    for domain in mapped.values_list("domain", flat=True):
        del asked[domain]
    if not asked:
        return False
    address = cluster.load_balancer.address
    # All at once: a page must not wait for one silent name server after the other.
    with ThreadPoolExecutor(len(asked)) as pool:
        problems = list(pool.map(lambda domain: dns_problem(domain, address), asked))
    for row, problem in zip(asked.values(), problems, strict=True):
        if problem:
            row.add_error("domain", problem)
    return any(problems)


def dns_problem(domain: str, address: str) -> str:
    """Return why a domain does not lead to an address, naming both; nothing when it does."""
    # A wildcard itself has no address; any name below it shows where they lead.
    asked = reachable(domain)
    if domain.endswith(".localhost") and ip_address(address).is_private:
        # Such a name never leaves the machine (RFC 6761): it is for trying things out there.
        return ""
    try:
        found = lookups.addresses(asked, timeout=TIMEOUT, server=settings.DNS_SERVER)
    except lookups.LookupFailed as error:
        return f"“{domain}” could not be looked up: {error}"
    if not found:
        return f"“{domain}” does not resolve. It must resolve to {address}, the load balancer."
    if address not in found:
        return f"“{domain}” resolves to {', '.join(found)}, not to the load balancer at {address}."
    others = [one for one in found if one != address and ip_address(one).version == 4]
    if others:
        # Visitors and the ACME directory go to either; an IPv6 address may be the same machine's.
        return (
            f"“{domain}” resolves to the load balancer at {address}, but also to "
            f"{', '.join(others)}."
        )
    return ""
