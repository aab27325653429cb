"""Make the load balancer so on the swarm as its row says, or take it away."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.utils import timezone

from clusters import engine as engines
from clusters.gateway import on_manager, on_node
from clusters.ingress import balancer, dns_challenge
from clusters.models import Certificate, Cluster, LoadBalancer, Secret, Service
from clusters.tasks.applying import apply, converged
from clusters.tasks.objects import remove_from_engine
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]


def row_of(operation: Operation) -> LoadBalancer:
    """Return the operation's load balancer as it is now."""
    rows = LoadBalancer.objects.select_related("cluster__company", "node")
    return rows.get(pk=operation.target_id)


def prepare(operation: Operation) -> Waiting | None:
    """Create the private network and the volume that keeps the certificates."""
    row = row_of(operation)
    options = {} if row.cluster.lab_plain_network else {"encrypted": ""}
    with on_manager(row.cluster) as manager:
        if balancer.PRIVATE_NETWORK not in {net["Name"] for net in manager.networks()}:
            manager.network_create(
                {
                    "Name": balancer.PRIVATE_NETWORK,
                    "Driver": "overlay",
                    "Internal": True,
                    "CheckDuplicate": True,
                    "Options": options,
                    "Labels": {"medstack.managed": "true"},
                }
            )
    with on_node(row.node) as engine:
        engine.volume_create(
            {
                "Name": balancer.CERTIFICATES,
                "Driver": "local",
                "Labels": {"medstack.managed": "true"},
            }
        )
    return None


def config_named(manager: engines.Engine, cluster: Cluster, kind: str, data: bytes) -> str:
    """Return the name of the config with this content, made if there is none.

    The name follows from the content, so a second attempt finds the first one's.
    """
    name = f"loadbalancer-{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
    present = {item["Spec"]["Name"]: item["ID"] for item in manager.configs()}
    engine_id = present.get(name) or manager.config_create(
        name, data, {"medstack.managed": "true", "medstack.name": f"loadbalancer-{kind}"}
    )
    cluster.configs.update_or_create(
        name=name,
        removed_at=None,
        defaults={"engine_id": engine_id, "data": data, "size_bytes": len(data)},
    )
    return name


def uploaded_of(cluster: Cluster) -> list[balancer.Uploaded]:
    """Return the uploaded certificates whose objects are on the swarm."""
    ready_secrets = {s.engine_name for s in cluster.secrets.present() if s.engine_id}
    ready_configs = {c.engine_name for c in cluster.configs.present() if c.engine_id}
    return [
        balancer.Uploaded(config=certificate.config_name, secret=certificate.secret_name)
        for certificate in Certificate.objects.filter(cluster=cluster)
        if certificate.config_name in ready_configs and certificate.secret_name in ready_secrets
    ]


def dns_secrets_of(row: LoadBalancer) -> dict[str, str]:
    """Return which secret on the swarm holds each of the DNS provider's credentials."""
    ready = {s.name: s.engine_name for s in row.cluster.secrets.current() if s.engine_id}
    names = {variable: dns_challenge.secret_name(variable) for variable in row.dns_variables}
    return {variable: ready[name] for variable, name in names.items() if name in ready}


def want_services(operation: Operation) -> Waiting | None:
    """Write what both services have to be, from the row as it is now."""
    row = row_of(operation)
    cluster, node_id = row.cluster, row.node.swarm_node_id
    certificates = Certificate.objects.filter(cluster=cluster).count()
    uploaded = uploaded_of(cluster)
    if len(uploaded) < certificates:
        return Waiting("The uploaded certificates are being created on the swarm.")
    dns_secrets = dns_secrets_of(row)
    if len(dns_secrets) < len(row.dns_variables):
        return Waiting("The DNS provider's credentials are being created on the swarm.")
    with on_manager(cluster) as manager:
        rules = config_named(manager, cluster, "socket", balancer.SOCKET_RULES.encode())
        options = balancer.dynamic(row.settings, uploaded)
        dynamic = config_named(manager, cluster, "options", options)
        ca = ""
        if row.acme_ca:
            ca = config_named(manager, cluster, "acme-ca", row.acme_ca.encode())
    specs = (
        balancer.socket_spec(row.settings, node_id, rules_config=rules),
        balancer.traefik_spec(
            row.settings,
            node_id,
            dynamic_config=dynamic,
            ca_config=ca,
            uploaded=uploaded,
            dns_secrets=dns_secrets,
        ),
    )
    for wanted in specs:
        save_managed(cluster, wanted)
    return None


def save_managed(cluster: Cluster, spec: Json) -> None:
    """Save the wanted spec of one of the console's own services."""
    service, created = Service.objects.get_or_create(
        cluster=cluster,
        name=spec["Name"],
        deleted_at=None,
        defaults={"spec": spec, "is_managed": True},
    )
    if not created and service.spec != spec:
        Service.objects.filter(pk=service.pk).update(
            spec=spec,
            previous_spec=service.spec,
            generation=service.generation + 1,
            is_managed=True,
        )


def follow(operation: Operation, name: str) -> Waiting | None:
    """Tell the swarm of one service and wait until it runs."""
    row = row_of(operation)
    service = Service.objects.present().get(cluster=row.cluster, name=name)
    apply(service)
    service.refresh_from_db()
    return converged(service)


def run_socket(operation: Operation) -> Waiting | None:
    """Start the proxy that reads the Docker socket."""
    return follow(operation, balancer.SOCKET)


def run_traefik(operation: Operation) -> Waiting | None:
    """Start Traefik, and wait until its own health check says that it answers."""
    waiting = follow(operation, balancer.NAME)
    if waiting is None:
        LoadBalancer.objects.filter(pk=operation.target_id).update(deployed_at=timezone.now())
    return waiting


def remove_unused(operation: Operation) -> Waiting | None:
    """Remove the configs and credentials of former settings, which nothing mounts any more."""
    row = row_of(operation)
    remove_credentials(operation, row.cluster, kept=row.dns_variables)
    remove_configs(operation, row.cluster)
    return None


def remove_credentials(operation: Operation, cluster: Cluster, *, kept: Iterable[str]) -> None:
    """Remove the secrets with a DNS provider's credentials that are none any more."""
    names = {dns_challenge.secret_name(variable) for variable in kept}
    former = Secret.objects.present().filter(
        cluster=cluster, name__startswith=dns_challenge.SECRET_PREFIX
    )
    for secret in former.exclude(name__in=names):
        try:
            remove_from_engine(secret)
        except engines.Refused as error:
            note(operation, f"{secret} stays: {error}")


def remove_configs(operation: Operation, cluster: Cluster) -> None:
    """Remove the configs that nothing mounts any more."""
    services = Service.objects.present().filter(cluster=cluster, is_managed=True)
    used = {
        item.get("ConfigName")
        for service in services
        for item in service.container.get("Configs") or []
    }
    with on_manager(cluster) as manager:
        for config in cluster.configs.present().filter(name__startswith="loadbalancer-"):
            if config.name in used:
                continue
            try:
                manager.config_remove(config.engine_id)
            except engines.NotFound:
                pass
            except engines.Refused as error:
                note(operation, f"{config.name} stays: {error}")
                continue
            cluster.configs.filter(pk=config.pk).update(removed_at=timezone.now(), is_current=False)


def remove_services(operation: Operation) -> Waiting | None:
    """Remove both services; the certificates' volume stays."""
    if not LoadBalancer.objects.filter(pk=operation.target_id).exists():
        return None
    row = row_of(operation)
    with on_manager(row.cluster) as manager:
        for service in Service.objects.present().filter(cluster=row.cluster, is_managed=True):
            with suppress(engines.NotFound):
                manager.service_remove(service.engine_id or service.name)
            Service.objects.filter(pk=service.pk).update(
                deleted_at=timezone.now(), engine_id="", running=0
            )
    return None


def remove_rest(operation: Operation) -> Waiting | None:
    """Remove its configs and its network once nothing uses them, and forget the row."""
    if not LoadBalancer.objects.filter(pk=operation.target_id).exists():
        return None
    row = row_of(operation)
    with on_manager(row.cluster) as manager:
        running = [
            task
            for name in (balancer.NAME, balancer.SOCKET)
            for task in manager.tasks(filters={"label": [f"com.docker.swarm.service.name={name}"]})
            if task["Status"]["State"] == "running"
        ]
        if running:
            return Waiting("Its containers are stopping.")
        network = next(
            (n for n in manager.networks() if n["Name"] == balancer.PRIVATE_NETWORK), None
        )
        if network:
            try:
                manager.network_remove(network["Id"])
            except engines.NotFound:
                pass
            except engines.Refused as error:
                # A task that has just ended still holds it for a moment.
                return Waiting(str(error))
            return Waiting("Its private network is being removed.")
    remove_credentials(operation, row.cluster, kept=())
    remove_configs(operation, row.cluster)
    LoadBalancer.objects.filter(pk=row.pk).delete()
    return None


register.add(
    "loadbalancer.deploy",
    Kind(
        "Deploy load balancer",
        (
            Step("Prepare network and volume", prepare),
            Step("Write its configuration", want_services),
            Step("Start the socket proxy", run_socket),
            Step("Start Traefik", run_traefik),
            Step("Remove former configuration", remove_unused),
        ),
    ),
)
register.add(
    "loadbalancer.remove",
    Kind(
        "Remove load balancer",
        (Step("Remove the services", remove_services), Step("Remove the rest", remove_rest)),
    ),
)
