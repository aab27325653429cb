"""Make configs, secrets, volumes and registries so on the Engines as the rows say."""

import base64
import json
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from clusters import engine as engines
from clusters.actions.objects import services_pulled_from, services_that_use
from clusters.actions.services import repoint
from clusters.gateway import on_manager, on_node
from clusters.models import Config, Registry, Secret, Service, Volume
from clusters.tasks.applying import apply, converged
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register

MODELS: dict[str, type[Config] | type[Secret]] = {"config": Config, "secret": Secret}
# The swarm removes a deleted service's containers some seconds after they have stopped.
CONTAINERS_GO_WITHIN = timedelta(seconds=20)
# A snapshot's job mounts every secret for some seconds; a killed agent's, until the next begins.
HELD_FOR_A_MOMENT = timedelta(minutes=2)


def item_of(operation: Operation) -> Config | Secret:
    """Return the operation's config or secret as it is now."""
    model = MODELS[operation.target_kind]
    return model.objects.select_related("cluster").get(pk=operation.target_id)


def create_on_engine(operation: Operation) -> Waiting | None:
    """Create the object; a second attempt finds the first one's by its label."""
    item = item_of(operation)
    if item.engine_id:
        return None
    kind = operation.target_kind
    labels = {"medstack.row": str(item.pk), "medstack.name": item.name}
    with on_manager(item.cluster) as manager:
        found = [
            other
            for other in (manager.secrets() if kind == "secret" else manager.configs())
            if other["Spec"]["Name"] == item.engine_name
        ]
        if found and (found[0]["Spec"].get("Labels") or {}).get("medstack.row") != str(item.pk):
            raise Failure(f"A {kind} named “{item.engine_name}” exists already.")
        if found:
            engine_id = found[0]["ID"]
        elif isinstance(item, Secret):
            value = base64.b64decode(item.pending_value)
            engine_id = manager.secret_create(item.engine_name, value, labels)
        else:
            engine_id = manager.config_create(item.engine_name, bytes(item.data), labels)
    values: dict[str, Any] = {"engine_id": engine_id}
    if isinstance(item, Secret):
        values["pending_value"] = ""
    type(item).objects.filter(pk=item.pk).update(**values)
    return None


def undo_version(operation: Operation) -> None:
    """Leave nothing half-done: a version that was never created gives way to the former one."""
    item = item_of(operation)
    model = type(item)
    if isinstance(item, Secret):
        Secret.objects.filter(pk=item.pk).update(pending_value="")
    if item.engine_id:
        return
    model.objects.filter(pk=item.pk).update(removed_at=timezone.now(), is_current=False)
    if former := operation.intent.get("replaces"):
        model.objects.filter(pk=former, removed_at=None).update(is_current=True)


def repoint_services(operation: Operation) -> Waiting | None:
    """Let every service that uses the former version use this one."""
    item, model = item_of(operation), MODELS[operation.target_kind]
    former = model.objects.get(pk=operation.intent["replaces"])
    moved = operation.intent.setdefault("services", [])
    for service in services_that_use(former):
        repoint(service, operation.target_kind, former.engine_name, item.engine_name)
        if service.pk not in moved:
            moved.append(service.pk)
            note(operation, f"{service.name} uses {item.engine_name} from now on.")
    return None


def update_services(operation: Operation) -> Waiting | None:
    """Tell the Engine of every changed service, and wait until each runs the change."""
    pending = []
    for service in Service.objects.present().filter(pk__in=operation.intent.get("services", [])):
        apply(service)
        service.refresh_from_db()
        waiting = converged(service)
        if waiting:
            pending.append(f"{service.name}: {waiting.detail}")
    return Waiting("; ".join(pending)) if pending else None


def remove_former(operation: Operation) -> Waiting | None:
    """Remove former versions that nothing uses any more."""
    item, model = item_of(operation), MODELS[operation.target_kind]
    former = model.objects.present().filter(
        cluster=item.cluster, name=item.name, is_current=False, version__lt=item.version
    )
    for version in former:
        if users := services_that_use(version):
            note(operation, f"{version} stays: {', '.join(s.name for s in users)} use it.")
            continue
        try:
            remove_from_engine(version)
        except engines.Refused as error:
            if waiting := until_it_is_free(operation, error):
                return waiting
            # What was asked for is done: every service of ours has the new value.
            note(operation, f"{version} stays until the next change: {error}")
    return None


def until_it_is_free(operation: Operation, error: engines.Refused) -> Waiting | None:
    """Wait for whatever holds a secret for a moment only, as the job of a snapshot does."""
    now = timezone.now()
    since = operation.intent.setdefault("refused_since", now.isoformat())
    if now - datetime.fromisoformat(since) < HELD_FOR_A_MOMENT:
        return Waiting(str(error))
    return None


def remove_from_engine(item: Config | Secret) -> None:
    """Remove one version; one that is gone already is removed, too."""
    with on_manager(item.cluster) as manager:
        try:
            if item.engine_id and isinstance(item, Secret):
                manager.secret_remove(item.engine_id)
            elif item.engine_id:
                manager.config_remove(item.engine_id)
        except engines.NotFound:
            pass
    type(item).objects.filter(pk=item.pk).update(removed_at=timezone.now(), is_current=False)


def delete_all_versions(operation: Operation) -> Waiting | None:
    """Remove all versions; the Engine itself refuses while a service uses one."""
    item = item_of(operation)
    for version in type(item).objects.present().filter(cluster=item.cluster, name=item.name):
        try:
            remove_from_engine(version)
        except engines.Refused as error:
            by_a_snapshot = "medstack-secrets-" in str(error)
            if by_a_snapshot and (waiting := until_it_is_free(operation, error)):
                return waiting
            raise
    return None


def create_volume(operation: Operation) -> Waiting | None:
    """Create the volume on its node; the Engine answers the same for one that exists."""
    volume = Volume.objects.select_related("node__cluster").get(pk=operation.target_id)
    options = json.loads(volume.options or "{}")
    with on_node(volume.node) as engine:
        found = engine.volume_create(
            {
                "Name": volume.name,
                "Driver": volume.driver,
                "DriverOpts": options,
                "Labels": volume.labels,
            }
        )
    if (found.get("Options") or {}) != options:
        # Data for a share that is no share would be lost with the node.
        raise Failure(
            f"{volume.node} has a volume named “{volume.name}” already, which is of another kind."
        )
    Volume.objects.filter(pk=volume.pk).update(observed_at=timezone.now(), gone_at=None)
    return None


def undo_volume(operation: Operation) -> None:
    """Leave no row of a volume that the Engine refused."""
    Volume.objects.filter(pk=operation.target_id, observed_at=None).update(gone_at=timezone.now())


def delete_volume(operation: Operation) -> Waiting | None:
    """Delete the volume from its node; the Engine refuses while a container uses it."""
    volume = Volume.objects.select_related("node__cluster").get(pk=operation.target_id)
    with on_node(volume.node) as engine:
        try:
            engine.volume_remove(volume.name)
        except engines.NotFound:
            pass
        except engines.Conflict as error:
            # Only the container of a service that was deleted just now goes by itself.
            if timezone.now() - operation.requested_at < CONTAINERS_GO_WITHIN:
                return Waiting(str(error))
            raise Failure(str(error)) from None
    Volume.objects.filter(pk=volume.pk).update(gone_at=timezone.now())
    return None


def log_in(operation: Operation) -> Waiting | None:
    """Log in to the registry from a manager, as its services will."""
    registry = Registry.objects.select_related("cluster").get(pk=operation.target_id)
    try:
        with on_manager(registry.cluster, timeout=20) as manager:
            manager.registry_login(
                engines.RegistryAuth(registry.address, registry.username, registry.password)
            )
    except engines.Refused as error:
        Registry.objects.filter(pk=registry.pk).update(
            tested_at=timezone.now(), test_error=str(error)
        )
        raise
    Registry.objects.filter(pk=registry.pk).update(tested_at=timezone.now(), test_error="")
    note(operation, "The registry accepts the credentials.")
    return None


def resend_credentials(operation: Operation) -> Waiting | None:
    """Hand the credentials to every service that is pulled from here; no task is restarted."""
    registry = Registry.objects.select_related("cluster").get(pk=operation.target_id)
    for service in services_pulled_from(registry):
        apply(service, resend=True)
        note(operation, f"{service.name} has the credentials.")
    return None


for kind in MODELS:
    register.add(
        f"{kind}.create",
        Kind(
            f"Create {kind}",
            (Step("Create it on the Engine", create_on_engine),),
            within=timedelta(minutes=3),
            on_failure=undo_version,
        ),
    )
    register.add(
        f"{kind}.rotate",
        Kind(
            f"Rotate {kind}",
            (
                Step("Create the new version", create_on_engine),
                Step("Re-point the services", repoint_services),
                Step("Update the services", update_services),
                Step("Remove the former version", remove_former),
            ),
            on_failure=undo_version,
        ),
    )
    register.add(
        f"{kind}.delete",
        Kind(f"Delete {kind}", (Step("Remove it from the Engine", delete_all_versions),)),
    )
register.add(
    "volume.create",
    Kind(
        "Create volume",
        (Step("Create it on the node", create_volume),),
        within=timedelta(minutes=3),
        on_failure=undo_volume,
    ),
)
register.add(
    "volume.delete",
    Kind("Delete volume", (Step("Delete it from the node", delete_volume),)),
)
register.add(
    "registry.test",
    Kind("Test login to", (Step("Log in", log_in),), within=timedelta(minutes=1)),
)
register.add(
    "registry.apply",
    Kind(
        "Save registry",
        (Step("Log in", log_in), Step("Hand the credentials to its services", resend_credentials)),
        within=timedelta(minutes=3),
    ),
)
