"""Every write that restoring an environment makes to the console's own rows."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from backups.models import Restore, Snapshot, VolumePolicy
from backups.parts import VolumePart
from backups.planned import Plan
from backups.target import Case, case_of
from backups.wanted import Place
from clusters.actions import services as service_actions
from clusters.actions.nodes import record
from clusters.actions.objects import start
from clusters.ingress.certificates import read_chain
from clusters.ingress.routes import of_labels
from clusters.models import Certificate, Cluster, Config, Secret, Service
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import Actor

Json = dict[str, Any]
NAME_LABEL, ROW_LABEL = "medstack.name", "medstack.row"


class NotAccepted(Failure):
    """Refuse to restore while warnings are not accepted."""


def restore_environment(
    snapshot: Snapshot,
    cluster: Cluster,
    nodes: Mapping[str, str],
    *,
    address: str,
    accepted: bool,
    by: Actor,
) -> Operation:
    """Restore a snapshot's environment onto a cluster; `nodes` are old names and new ones."""
    # Engines are asked before the transaction begins: nobody else could write meanwhile.
    case = case_of(snapshot, cluster, nodes)
    refuse(case.plan, accepted=accepted)
    chosen = {"nodes": dict(nodes), "address": address, **volumes_of(case)}
    return begin(snapshot, cluster, case, chosen, by=by)


@transaction.atomic
def begin(
    snapshot: Snapshot, cluster: Cluster, case: Case, chosen: Json, *, by: Actor
) -> Operation:
    """Begin a restore whose plan stands."""
    row = Restore.objects.create(
        mode=Restore.Mode.ENVIRONMENT,
        cluster=cluster,
        snapshot=snapshot,
        plan={**chosen, **case.plan.plain()},
        expected={
            "files": sum(one.part.files for one in case.wanted.volumes if one.has_data),
            "bytes": sum(one.part.bytes for one in case.wanted.volumes if one.has_data),
        },
        result={"volumes": counted_before(case, snapshot, cluster)},
        requested_by=by.user,
        requested_by_name=by.name,
    )
    after = {
        "snapshot": str(snapshot),
        "of": snapshot.cluster.name,
        "nodes": chosen["nodes"],
        "accepted": list(case.plan.warnings),
    }
    record("restore.requested", row, cluster, by=by, after=after)
    operation = start(
        "environment.restore", row, cluster, by=by, exclusive=f"environment:{cluster.pk}"
    )
    Restore.objects.filter(pk=row.pk).update(operation=operation)
    return operation


def volumes_of(case: Case) -> Json:
    """Return which volumes stay as they are, and which are cleared: another restore broke off."""
    target = case.target
    there = target.volumes - target.begun
    return {
        "left": sorted(v.key for v in case.wanted.volumes if v.key in target.filled | there),
        "clear": sorted(target.begun - target.filled),
    }


def counted_before(case: Case, snapshot: Snapshot, cluster: Cluster) -> Json:
    """Return what former restores counted in the volumes that they have brought back already."""
    rows = Restore.objects.filter(
        mode=Restore.Mode.ENVIRONMENT, snapshot=snapshot, cluster=cluster
    ).order_by("pk")
    found = {key: one for row in rows for key, one in row.result.get("volumes", {}).items()}
    return {key: one for key, one in found.items() if key in case.target.filled}


def refuse(plan: Plan, *, accepted: bool) -> None:
    """Refuse a plan with conflicts, or with warnings that nobody accepted."""
    if plan.conflicts:
        words = " ".join(
            f"{one.kind.capitalize()} {one.name}: {one.detail}" for one in plan.conflicts
        )
        raise Failure(f"Nothing is restored before these conflicts are solved. {words}")
    if plan.warnings and not accepted:
        raise NotAccepted("Not everything comes back: accept the warnings first.")


def logical(spec: Json) -> tuple[str, int]:
    """Return the name that people know a config or secret by, and its version."""
    name = str(spec["Name"])
    base = str((spec.get("Labels") or {}).get(NAME_LABEL, ""))
    if base and name == base:
        return base, 1
    if base and (match := re.fullmatch(rf"{re.escape(base)}-v([1-9][0-9]*)", name)):
        return base, int(match[1])
    return name, 1


@transaction.atomic
def restored_version(
    model: type[Config] | type[Secret],
    cluster: Cluster,
    spec: Json,
    *,
    is_newest: bool,
    by: Actor,
) -> Config | Secret:
    """Return the row of a config or secret that comes back, made before the Engine's object is.

    A look at the cluster would take an object without a row for a stranger's.
    """
    name, version = logical(spec)
    rows = model.objects.present().filter(cluster=cluster, name=name)
    if found := rows.filter(version=version).first():
        return found
    row = model(
        cluster=cluster,
        name=name,
        version=version,
        is_current=is_newest and not rows.filter(is_current=True).exists(),
        is_external=NAME_LABEL not in (spec.get("Labels") or {}),
    )
    if isinstance(row, Config):
        row.data = base64.b64decode(spec.get("Data") or "")
        row.size_bytes = len(row.data)
    row.save()
    kind = model._meta.model_name or ""
    record(f"{kind}.restored", row, cluster, by=by, after={"name": name, "version": version})
    return row


@transaction.atomic
def restore_service(cluster: Cluster, spec: Json, *, by: Actor) -> Operation:
    """Create a service, or send it once more; where its domains lead is looked at later."""
    domains = [route.domain for route in of_labels(spec["Name"], spec.get("Labels") or {})]
    row = Service.objects.present().filter(cluster=cluster, name=spec["Name"]).first()
    if row is None:
        return service_actions.create_service(cluster, spec, by=by, postponed=domains)
    return service_actions.change(
        row, lambda _: spec, action="service.restored", by=by, postponed=domains
    )


def forget_digest(service: Service) -> None:
    """Let a service's wanted image be the tag again, of which the digest is what was applied.

    Otherwise nobody could ask the registry what the tag means now.
    """
    image, at, _ = str(service.container.get("Image", "")).partition("@")
    if not at or ":" not in image.rpartition("/")[2]:
        return
    spec = service.spec
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = image
    Service.objects.filter(pk=service.pk, generation=service.generation).update(spec=spec)


@transaction.atomic
def restore_policy(
    cluster: Cluster, part: VolumePart, place: Place, told: Json, *, by: Actor
) -> None:
    """Keep how a volume is backed up, unless somebody has decided about it here already."""
    values = {
        "excluded_reason": part.reason if part.state == "excluded" else "",
        "before_command": str(told.get("before", "")),
        "after_command": str(told.get("after", "")),
        "freeze": bool(told.get("freeze", False)),
        "stop": bool(told.get("stop", False)),
    }
    if not any(values.values()):
        return
    row, created = VolumePolicy.objects.get_or_create(
        cluster=cluster,
        node_name=place.name,
        volume_name=part.volume,
        defaults={**values, "changed_by": by.user},
    )
    if created:
        record("volume_policy.restored", row, cluster, by=by, after={"volume": str(row)})


@transaction.atomic
def restore_certificates(cluster: Cluster, *, by: Actor) -> None:
    """Know uploaded certificates again by their configs and secrets, and no others.

    The load balancer waits for the objects of every certificate that there is.
    """
    for config in Config.objects.current().filter(cluster=cluster, name__startswith="certificate-"):
        key = f"{config.name}-key"
        secret = Secret.objects.current().filter(cluster=cluster, name=key).first()
        name = config.name.removeprefix("certificate-")
        if secret is None:
            continue
        chain = read_chain(bytes(config.data).decode())
        row, created = Certificate.objects.update_or_create(
            cluster=cluster,
            name=name,
            defaults={
                "chain": chain.pem,
                "names": list(chain.names),
                "not_after": chain.not_after,
                "config_name": config.engine_name,
                "secret_name": secret.engine_name,
            },
        )
        if created:
            record("certificate.restored", row, cluster, by=by, after={"names": list(chain.names)})
    secrets = {row.engine_name for row in cluster.secrets.present()}
    for row in Certificate.objects.filter(cluster=cluster).exclude(secret_name__in=secrets):
        record("certificate.forgotten", row, cluster, by=by, before={"names": row.names})
        row.delete()
