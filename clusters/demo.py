"""The demo cluster: what it consists of, and the next thing that is missing; level-triggered."""

from collections.abc import Callable
from typing import Any, BinaryIO

from django.db.models import QuerySet
from django.utils import timezone

from clusters import local, spec
from clusters.actions import ingress as ingress_actions
from clusters.actions import nodes as node_actions
from clusters.actions import services as service_actions
from clusters.demo_certificate import signed_for
from clusters.gateway import on_node
from clusters.ingress import balancer
from clusters.ingress.certificates import check_pair
from clusters.ingress.routes import Route, with_routes
from clusters.local.images import demo_image
from clusters.local.ingress_images import caddy_image, traefik_image
from clusters.models import Certificate, Cluster, LoadBalancer, Node, Service
from medstack.models import Company, Operation
from medstack.models.events import SYSTEM

NAME = "Demo"
# A name that no registry can ever have: nobody else can publish it.
IMAGE, TAG = "demo.invalid/visits", "1"
NODES = ("node-1", "node-2")
SERVICES = ("api", "web")
DOMAIN = "app.localhost"


def missing(company: Company) -> str:
    """Do the next thing that is missing, and say what the demo waits for; nothing when it runs."""
    cluster = Cluster.objects.filter(company=company, name=NAME).first()
    if cluster is None:
        node_actions.create_cluster(company, NAME, by=SYSTEM)
        return "The cluster is being created."
    present = Node.objects.present().filter(cluster=cluster)
    names = set(present.values_list("name", flat=True))
    for name in NODES:
        if name not in names:
            create_node(cluster, name)
    joining = [node.name for node in present if not node.is_joined]
    if joining or running(cluster, "node"):
        return f"Engines start and join the swarm: {', '.join(joining) or 'almost done'}."
    for node in present:
        load_images(node)
    if not Certificate.objects.filter(cluster=cluster).exists():
        upload_certificate(cluster)
    if waiting := [*running(cluster, "config"), *running(cluster, "secret")]:
        return f"The certificate is put into the swarm: {', '.join(waiting)}."
    if not LoadBalancer.objects.filter(cluster=cluster).exists():
        deploy_load_balancer(cluster, present.get(name=NODES[0]))
    if running(cluster, "loadbalancer"):
        return "The load balancer starts."
    if not services(cluster).exists():
        for name in SERVICES:
            service_actions.create_service(cluster, demo_spec(cluster, name), by=SYSTEM)
    if waiting := running(cluster, "service"):
        return f"Services start: {', '.join(waiting)}."
    return ""


def create_node(cluster: Cluster, name: str) -> None:
    """Create one of the demo's local nodes; the first is the manager."""
    role = Node.Role.MANAGER if name == NODES[0] else Node.Role.WORKER
    node = Node(cluster=cluster, name=name, provider=Node.Provider.LOCAL, role=role)
    node_actions.create_node(node, by=SYSTEM)


def running(cluster: Cluster, kind: str) -> list[str]:
    """Return what still is worked on."""
    active = Operation.objects.filter(cluster=cluster, target_kind=kind, state__in=Operation.ACTIVE)
    return sorted(set(active.values_list("target_name", flat=True)))


def services(cluster: Cluster) -> QuerySet[Service]:
    """Return the demo's own services."""
    return Service.objects.present().filter(cluster=cluster, name__in=SERVICES)


def load_images(node: Node) -> None:
    """Put the images on a node that it lacks; no registry may be reachable from here."""
    wanted: dict[str, Callable[[], tuple[BinaryIO, list[str]]]] = {f"{IMAGE}:{TAG}": demo_image}
    if node.name == NODES[0]:
        wanted |= {balancer.TRAEFIK_IMAGE: traefik_image, balancer.SOCKET_IMAGE: caddy_image}
    if set(wanted) <= set(node.images):
        return
    with on_node(node, timeout=120) as engine:
        present = {tag for image in engine.images() for tag in image.get("RepoTags") or []}
        for name in set(wanted) - present:
            repository, _, tag = name.rpartition(":")
            archive, changes = wanted[name]()
            with archive:
                engine.image_import(archive, repository, tag, changes)


def upload_certificate(cluster: Cluster) -> None:
    """Give the demo's domain a certificate of an authority of its own."""
    chain, key, _ = signed_for(DOMAIN)
    pair = check_pair(chain, key.decode(), now=timezone.now())
    ingress_actions.upload_certificate(cluster, "demo", pair, key, by=SYSTEM)


def deploy_load_balancer(cluster: Cluster, node: Node) -> None:
    """Deploy the load balancer; it asks no ACME directory, for the certificate is uploaded."""
    chain = Certificate.objects.get(cluster=cluster, name="demo").chain
    row = LoadBalancer(
        cluster=cluster,
        node=node,
        address=node.address or "",
        email="demo@medstack.invalid",
        acme_directory="https://acme.invalid/directory",
        issuer_ca=chain[chain.rindex("-----BEGIN") :],
    )
    ingress_actions.deploy_load_balancer(row, by=SYSTEM)


def door() -> str:
    """Return the address at which the demo's load balancer listens, or nothing."""
    row = LoadBalancer.objects.filter(cluster__name=NAME).exclude(deployed_at=None).first()
    return row.address if row else ""


def demo_spec(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return the spec of one demo service.

    On a kernel without ESP no packet of the encrypted network reaches another node, so the two
    that must talk are kept on the first node; the cluster's page says why.
    """
    together = Node.objects.present().filter(cluster=cluster, has_esp=False).exists()
    wanted = spec.service_spec(
        spec.DEFAULTS
        | {
            "name": name,
            "image": f"{IMAGE}:{TAG}",
            "args": [name],
            "replicas": 1 if name == "api" else 2,
            "networks": ["internal"],
            "constraints": [f"node.hostname=={NODES[0]}"] if together else [],
        }
    )
    if name == "web":
        route = Route(DOMAIN, 8080, health_path="/", uploaded_certificate=True)
        wanted["Labels"] = with_routes(wanted["Labels"], name, [route])
    return wanted


def can_run() -> list[str]:
    """Return the reasons why the demo cannot run on this machine."""
    return local.supported()
