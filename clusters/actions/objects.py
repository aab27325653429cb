"""Every write a person can make to registries, configs, secrets and volumes."""

import base64
import json
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from clusters import spec
from clusters.actions.nodes import record
from clusters.images import InvalidReference, matching_registry, parse
from clusters.models import Cluster, Config, Node, Registry, Secret, Service, Volume
from medstack import operations
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor


def start(
    kind: str,
    target: models.Model,
    cluster: Cluster,
    *,
    by: Actor,
    intent: dict[str, Any] | None = None,
    exclusive: str = "",
) -> Operation:
    """Start an operation on one of a cluster's objects."""
    return operations.start(
        kind,
        target,
        by=by,
        company=cluster.company,
        cluster_id=cluster.pk,
        intent=intent,
        exclusive=exclusive,
    )


@transaction.atomic
def save_registry(registry: Registry, *, by: Actor) -> Operation:
    """Save a registry, test its login, and hand new credentials to the services that use it."""
    is_new = registry.pk is None
    former = Registry.objects.filter(pk=registry.pk).values("address", "username").first()
    registry.rotated_at = None if is_new else timezone.now()
    registry.save()
    record(
        "registry.created" if is_new else "registry.rotated",
        registry,
        registry.cluster,
        by=by,
        before=former,
        after={"address": registry.address, "username": registry.username},
    )
    return start("registry.apply", registry, registry.cluster, by=by)


@transaction.atomic
def test_registry(registry: Registry, *, by: Actor) -> Operation:
    """Log in to a registry once to see whether it lets us in."""
    record("registry.tested", registry, registry.cluster, by=by)
    return start("registry.test", registry, registry.cluster, by=by)


@transaction.atomic
def delete_registry(registry: Registry, *, by: Actor) -> None:
    """Forget a registry and its credentials, unless a service is pulled from it."""
    users = services_pulled_from(registry)
    refuse_while_used(registry.address, users)
    record(
        "registry.deleted", registry, registry.cluster, by=by, before={"address": registry.address}
    )
    registry.delete()


@transaction.atomic
def create_version(
    model: type[Config] | type[Secret], cluster: Cluster, name: str, value: bytes, *, by: Actor
) -> Operation:
    """Create a config or secret, or rotate it when the name exists: a new version takes over."""
    kind = model._meta.model_name or ""
    current = model.objects.current().filter(cluster=cluster, name=name).first()
    version = next_version(model, cluster, name) if current else 1
    if current:
        model.objects.filter(pk=current.pk).update(is_current=False)
    row = model(cluster=cluster, name=name, version=version, size_bytes=len(value))
    if isinstance(row, Secret):
        row.pending_value = base64.b64encode(value).decode()
    else:
        row.data = value
    row.save()
    record(
        f"{kind}.rotated" if current else f"{kind}.created",
        row,
        cluster,
        by=by,
        before={"version": current.version} if current else None,
        after={"name": name, "version": version, "bytes": len(value)},
    )
    return start(
        f"{kind}.rotate" if current else f"{kind}.create",
        row,
        cluster,
        by=by,
        intent={"replaces": current.pk} if current else {},
        exclusive=f"{kind}:{cluster.pk}:{name}",
    )


def next_version(model: type[Config] | type[Secret], cluster: Cluster, name: str) -> int:
    """Return the next version whose Engine name is free, however it came to be taken."""
    rows = model.objects.filter(cluster=cluster)
    taken = {row.engine_name for row in rows.filter(removed_at=None)}
    newest = rows.filter(name=name).aggregate(newest=models.Max("version"))["newest"] or 1
    version = newest + 1
    while f"{name}-v{version}" in taken:
        version += 1
    return version


@transaction.atomic
def delete_version(item: Config | Secret, *, by: Actor) -> Operation:
    """Delete a config or secret with all its versions, unless a service uses one."""
    kind = item._meta.model_name or ""
    versions = type(item).objects.present().filter(cluster=item.cluster, name=item.name)
    users: list[Service] = []
    for version in versions:
        users += services_that_use(version)
    refuse_while_used(item.name, users)
    record(f"{kind}.deleted", item, item.cluster, by=by, before={"name": item.name})
    return start(
        f"{kind}.delete",
        item,
        item.cluster,
        by=by,
        exclusive=f"{kind}:{item.cluster_id}:{item.name}",
    )


@transaction.atomic
def create_volume(
    node: Node,
    name: str,
    driver: str,
    options: dict[str, str],
    labels: dict[str, str],
    *,
    by: Actor,
) -> Operation:
    """Create a volume on one node."""
    now = timezone.now()
    values = {
        "driver": driver,
        "options": json.dumps(options) if options else "",
        "labels": labels,
        "gone_at": None,
        "created_at": now,
        "size_bytes": None,
    }
    volume, _ = Volume.objects.update_or_create(node=node, name=name, defaults=values)
    # A share's options may hold its password; the record names them only.
    after = {"name": name, "node": node.name, "driver": driver, "options": sorted(options)}
    record("volume.created", volume, node.cluster, by=by, after=after)
    return start("volume.create", volume, node.cluster, by=by, exclusive=f"volume:{volume.pk}")


@transaction.atomic
def delete_volume(volume: Volume, *, by: Actor) -> Operation:
    """Delete a volume with its data, unless a service mounts it."""
    refuse_while_used(volume.name, services_that_mount(volume))
    record(
        "volume.deleted",
        volume,
        volume.node.cluster,
        by=by,
        before={"name": volume.name, "node": volume.node.name, "bytes": volume.size_bytes},
    )
    return start(
        "volume.delete", volume, volume.node.cluster, by=by, exclusive=f"volume:{volume.pk}"
    )


def services_that_use(item: Config | Secret) -> list[Service]:
    """Return the services whose wanted spec mounts this version."""
    services = Service.objects.present().filter(cluster=item.cluster)
    kind = "secrets" if isinstance(item, Secret) else "configs"
    return [s for s in services if item.engine_name in getattr(spec.uses(s.spec), kind)]


def services_that_mount(volume: Volume) -> list[Service]:
    """Return the services that mount the volume: pinned to its node, or with a task there."""
    services = Service.objects.present().filter(cluster=volume.node.cluster)
    return [
        service
        for service in services
        if volume.name in spec.uses(service.spec).volumes
        and spec.may_run_on(service.spec, volume.node.swarm_node_id)
    ]


def services_pulled_from(registry: Registry) -> list[Service]:
    """Return the services whose image is pulled with this registry's credentials."""
    registries = list(Registry.objects.filter(cluster=registry.cluster))
    return [
        service
        for service in Service.objects.present().filter(cluster=registry.cluster)
        if pulled_with(service, registries) == registry
    ]


def pulled_with(service: Service, registries: list[Registry]) -> Registry | None:
    """Return the registry whose credentials a service's image is pulled with, if any is."""
    try:
        return matching_registry(parse(service.image), registries)
    except InvalidReference:
        # A service from outside the console may name its image in ways of its own.
        return None


def refuse_while_used(name: str, users: list[Service]) -> None:
    """Refuse to delete what services use, naming them."""
    if users:
        names = ", ".join(sorted({service.name for service in users}))
        raise Failure(f"“{name}” is used by {names}. Change or delete the service first.")
