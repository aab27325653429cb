"""A company as one might find it on a working day; nothing in it is real."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

from backups.models import Repository
from backups.schedule import HOUR
from clusters.models import (
    Cluster,
    Config,
    DomainMapping,
    LoadBalancer,
    Network,
    Node,
    Secret,
    Service,
    Task,
    Volume,
)
from medstack.models import Company, Operation, User
from tests.belongings import Belongings, belongings
from tests.browser.taken import NOW, asked_for, history
from tests.conftest import Role, person
from tests.running import spec_of

SERVICES = {"imaging": (3, 2), "messages": (2, 2), "records": (4, 4), "appointments": (2, 2)}


def showcase() -> Belongings:
    """Make a company with three clusters: one at work, one behind, one that is still empty."""
    company = Company.objects.create(name="Northside Clinic")
    olive = person("olive@northside.example", company, Role.OWNER)
    User.objects.filter(pk=olive.pk).update(name="Olive Marsh")
    person("audrey@northside.example", company, Role.AUDITOR)
    ours = belongings(company, "portal", olive)
    named(ours)
    nodes = more_nodes(ours)
    for name, (wanted, running) in SERVICES.items():
        service(ours.cluster, nodes, name, wanted, running)
    drifted(ours.cluster, "messages")
    way_in(ours)
    history(ours.cluster, Repository.objects.get(cluster=ours.cluster), until=NOW)
    asked_for(ours)
    work(ours, olive)
    staging = cluster_of(company, "Staging", "staging")
    repository = Repository.objects.create(
        cluster=staging, folder="staging", password="of-staging", size_bytes=6 * 10**9
    )
    node = node_of(staging, "stage-1", Node.Role.MANAGER, 40)
    service(staging, [node], "portal", 1, 1)
    history(staging, repository, until=NOW - 4 * HOUR)
    cluster_of(company, "Training", "training", swarm_id="")
    return ours


def named(ours: Belongings) -> None:
    """Give the one of everything the names that people would give."""
    Cluster.objects.filter(pk=ours.cluster.pk).update(
        name="Production", slug="production", observed_at=NOW
    )
    Node.objects.filter(pk=ours.node.pk).update(
        name="ward-1",
        address="192.0.2.11",
        is_leader=True,
        cpus=8,
        memory_bytes=32 << 30,
        engine_version="27.5.1",
        api_version="1.47",
        kernel="6.1.0-28-amd64",
        has_esp=True,
        has_ipvs=True,
    )
    Service.objects.filter(pk=ours.service.pk).update(name="portal")
    Volume.objects.filter(pk=ours.volume.pk).update(name="portal-data", size_bytes=4 << 30)
    Config.objects.filter(pk=ours.config.pk).update(name="portal-settings")
    Secret.objects.filter(pk=ours.secret.pk).update(name="portal-key")
    Network.objects.create(cluster=ours.cluster, name="internal", engine_id="internal-net")
    for row in (ours.cluster, ours.node, ours.service, ours.volume, ours.config, ours.secret):
        row.refresh_from_db()
    for cached in (ours.node, ours.service, ours.volume, ours.config, ours.secret, ours.registry):
        cached.refresh_from_db()


def cluster_of(company: Company, name: str, slug: str, *, swarm_id: str | None = None) -> Cluster:
    """Make a cluster that was looked at just now."""
    swarm_id = f"swarm-{slug}" if swarm_id is None else swarm_id
    return Cluster.objects.create(
        company=company, name=name, slug=slug, swarm_id=swarm_id, observed_at=NOW
    )


def node_of(cluster: Cluster, name: str, role: str, number: int) -> Node:
    """Make a node that is ready."""
    return Node.objects.create(
        cluster=cluster,
        name=name,
        role=role,
        provider=Node.Provider.ATTACH,
        endpoint_url=f"unix:///nonexistent/{name}.sock",
        address=f"192.0.2.{number}",
        swarm_node_id=f"swarm-{name}",
        swarm_state="ready",
        availability="active",
        seen_at=NOW,
        cpus=8,
        memory_bytes=32 << 30,
        engine_version="27.5.1",
        api_version="1.47",
        has_esp=True,
        has_ipvs=True,
    )


def more_nodes(ours: Belongings) -> list[Node]:
    """Add two managers and two workers, one of which is down."""
    rows = [
        node_of(ours.cluster, "ward-2", Node.Role.MANAGER, 12),
        node_of(ours.cluster, "ward-3", Node.Role.MANAGER, 13),
        node_of(ours.cluster, "lab-1", Node.Role.WORKER, 21),
        node_of(ours.cluster, "lab-2", Node.Role.WORKER, 22),
    ]
    Node.objects.filter(pk=rows[-1].pk).update(
        swarm_state="down", last_error="No answer within 5 seconds."
    )
    return [ours.node, *rows[:-1]]


def service(cluster: Cluster, nodes: list[Node], name: str, wanted: int, running: int) -> Service:
    """Make a service with its tasks, spread over nodes."""
    image = f"registry.example.com/clinic/{name}:2.3"
    spec = spec_of(name, image=image, replicas=wanted, networks=["internal"])
    found = Service.objects.create(
        cluster=cluster,
        name=name,
        spec=spec,
        applied=spec,
        applied_generation=1,
        readback=spec,
        observed=spec,
        observed_version=7,
        engine_id=f"id-of-{name}",
        running=running,
        desired=wanted,
    )
    for slot in range(1, wanted + 1):
        runs = slot <= running
        Task.objects.create(
            cluster=cluster,
            service=found,
            node=nodes[(found.pk + slot) % len(nodes)],
            engine_id=f"{name}-{slot}",
            slot=slot,
            state="running" if runs else "preparing",
            desired_state="running",
            container_id=f"container-{name}-{slot}",
            image=spec["TaskTemplate"]["ContainerSpec"]["Image"],
            since=NOW - timedelta(hours=slot),
        )
    return found


def drifted(cluster: Cluster, name: str) -> None:
    """Let somebody have changed a service's image outside the console."""
    row = Service.objects.get(cluster=cluster, name=name)
    found: dict[str, Any] = deepcopy(row.readback or {})
    found["TaskTemplate"]["ContainerSpec"]["Image"] = "registry.example.com/tried:9"
    row.observed = found
    row.save()


def way_in(ours: Belongings) -> None:
    """Publish services under domains, of which two want a look."""
    LoadBalancer.objects.create(
        cluster=ours.cluster,
        node=ours.node,
        address="203.0.113.10",
        email="operations@northside.example",
        acme_directory="https://acme-v02.api.letsencrypt.org/directory",
        deployed_at=NOW,
        domains_checked_at=NOW,
    )
    well = {
        "checked_at": NOW,
        "dns_addresses": ["203.0.113.10"],
        "issuer": "Let's Encrypt R11",
        "not_after": NOW + timedelta(days=61),
        "status_code": 200,
        "latency_ms": 48,
        "tls_version": "TLSv1.3",
    }
    domains: dict[str, dict[str, object]] = {
        "portal.northside.example": well,
        "records.northside.example": well | {"not_after": NOW + timedelta(days=6)},
        "images.northside.example": {
            "checked_at": NOW,
            "dns_addresses": ["198.51.100.7"],
            "problem": "The domain leads to 198.51.100.7, not to the load balancer.",
        },
        "new.northside.example": {},
    }
    for domain, values in domains.items():
        DomainMapping.objects.create(service=ours.service, domain=domain, port=8080, **values)


def work(ours: Belongings, olive: User) -> None:
    """Let two things run, and two have ended."""
    Operation.objects.filter(pk=ours.operation.pk).update(
        target_name="portal",
        state="running",
        step=1,
        percentage=62,
        started_at=NOW - timedelta(seconds=24),
    )
    of_service = {
        "kind": "service.apply",
        "title": "Deploy",
        "target_kind": "service",
        "target_id": ours.service.pk,
        "steps": ["Tell the swarm", "Wait for the tasks", "Look at its domains"],
    }
    rows: list[dict[str, object]] = [
        of_service
        | {
            "target_name": "records",
            "state": "done",
            "step": 3,
            "percentage": 100,
            "ended_at": NOW,
            "log": "The image is there.\nAll 4 tasks run.",
        },
        of_service
        | {
            "target_name": "imaging",
            "state": "failed",
            "step": 1,
            "percentage": 50,
            "ended_at": NOW,
            "error": "2 of 3 tasks run; the third exited with code 137.",
            "log": "The image is there.",
        },
        {
            "kind": "snapshot.take",
            "title": "Take snapshot",
            "target_kind": "cluster",
            "target_id": ours.cluster.pk,
            "target_name": "Production",
            "steps": ["Bring the agents up to date", "Capture on every node", "Take it up"],
            "state": "running",
            "step": 1,
            "percentage": 38,
            "detail": "Reading the volume portal-data.",
        },
    ]
    values = {
        "company": ours.company,
        "cluster": ours.cluster,
        "requested_by": olive,
        "deadline": NOW + HOUR,
        "started_at": NOW - timedelta(minutes=1),
    }
    for row in rows:
        Operation.objects.create(**(values | row))
