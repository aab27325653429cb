"""Domains are looked at every hour, what changed about them is an Event, and each has one owner."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from clusters.actions.domains import save_domains
from clusters.ingress.routes import Route, labels
from clusters.models import Cluster, DomainMapping, LoadBalancer, Node, Service
from clusters.tasks.domains import enqueue_domain_checks, save
from medstack.failures import Failure
from medstack.models import Event
from medstack.models.events import SYSTEM
from medstack.tasks import tick
from tests.running import spec_of

pytestmark = pytest.mark.django_db


def checks_queued() -> int:
    """Return how many looks at domains wait in the queue."""
    tasks = [SignedPackage.loads(row.payload)["func"] for row in OrmQ.objects.all()]
    return tasks.count("clusters.tasks.domains.check_domains")


def test_what_changes_about_a_domain_is_an_event_and_what_does_not_is_none(
    cluster: Cluster,
) -> None:
    service = Service.objects.create(cluster=cluster, name="web", spec=spec_of())
    mapping = DomainMapping.objects.create(service=service, domain="app.example.com", port=80)
    good = {"problem": "", "not_after": datetime.now(UTC) + timedelta(days=60)}
    save(mapping, good)
    save(mapping, good)
    save(mapping, good | {"not_after": datetime.now(UTC) + timedelta(days=13)})
    assert mapping.status == "Inspect"
    save(mapping, good | {"problem": "status 502"})
    actions = list(Event.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["domain.active", "domain.inspect", "domain.inspect"]


def test_a_certificate_that_only_grew_old_is_an_event_and_a_renewed_one_too(
    cluster: Cluster,
) -> None:
    service = Service.objects.create(cluster=cluster, name="web", spec=spec_of())
    mapping = DomainMapping.objects.create(service=service, domain="app.example.com", port=80)
    soon = {"problem": "", "not_after": datetime.now(UTC) + timedelta(days=14, minutes=-1)}
    save(mapping, soon)
    # An hour ago it had just over 14 days left.
    mapping.checked_at = datetime.now(UTC) - timedelta(hours=1)
    seen = Event.objects.count()
    save(mapping, soon)
    aged = Event.objects.order_by("pk").last()
    assert aged and Event.objects.count() == seen + 1
    assert aged.before and aged.after
    assert (aged.before["status"], aged.after["status"]) == ("Active", "Inspect")
    save(mapping, soon | {"not_after": datetime.now(UTC) + timedelta(days=90)})
    renewed = Event.objects.order_by("pk").last()
    assert renewed and renewed.action == "domain.active"
    save(mapping, {"dns_addresses": ["192.0.2.10"]})
    assert Event.objects.count() == seen + 3


def test_domains_are_looked_at_once_an_hour(cluster: Cluster, node: Node) -> None:
    LoadBalancer.objects.create(
        cluster=cluster, node=node, address="192.0.2.10", email="ops@northside.example"
    )
    enqueue_domain_checks()
    assert checks_queued() == 0, "nothing to look at before it is deployed"
    LoadBalancer.objects.update(deployed_at=datetime.now(UTC))
    enqueue_domain_checks()
    enqueue_domain_checks()
    assert checks_queued() == 1
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    LoadBalancer.objects.update(domains_checked_at=hour_ago)
    enqueue_domain_checks()
    assert checks_queued() == 2
    tick()
    assert checks_queued() == 2


def test_two_services_that_ask_for_a_domain_at_once_do_not_both_get_it(cluster: Cluster) -> None:
    one, other = (Service.objects.create(cluster=cluster, name=name) for name in ("one", "other"))
    spec = {"Labels": labels("one", [Route("app.example.com", 80)])}
    # Both forms were accepted before either was saved.
    save_domains(one, spec, by=SYSTEM)
    spec = {"Labels": labels("other", [Route("app.example.com", 80)])}
    with pytest.raises(Failure, match="belongs to another service"):
        save_domains(other, spec, by=SYSTEM)
    with pytest.raises(IntegrityError), transaction.atomic():
        DomainMapping.objects.create(service=other, domain="app.example.com", port=80)
    assert DomainMapping.objects.present().get().service == one
