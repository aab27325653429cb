"""Make the swarm's service what its row wants, whatever happened in between."""

from typing import Any

from clusters import engine as engines
from clusters import spec as specs
from clusters.actions.objects import pulled_with
from clusters.convergence import newest_error, verdict
from clusters.drift import Change, changes, meaningful, overlaps, patch
from clusters.gateway import on_manager
from clusters.models import Node, Service
from medstack.failures import Failure, Transient
from medstack.operations import Waiting

Json = dict[str, Any]


class NameTaken(Failure):
    """Refuse to create a service where a stranger's has the name."""


def apply(
    service: Service, *, resend: bool = False, refresh: bool = False, overwrite: bool = False
) -> None:
    """Make the swarm's service what the row wants. Safe to run any number of times.

    Only what the row changed since the last apply is sent, on top of what the swarm has now; where
    somebody changed the same thing outside the console, nothing is overwritten unless asked for.
    """
    service.refresh_from_db()
    undrifted: list[Change] = []
    with on_manager(service.cluster, timeout=20) as manager:
        live = find(manager, service)
        auth = auth_for(service)
        if live is None:
            wanted = wanted_spec(manager, service, auth, refresh=refresh)
            engine_id = manager.service_create(wanted, auth)
        else:
            engine_id = live["ID"]
            if generation_of(live["Spec"]) >= service.generation and not resend:
                if service.applied_generation < service.generation:
                    # An attempt that was cut short told the swarm, and could not tell the row.
                    save_applied(service, live, as_told(manager, service, live))
                return
            wanted = wanted_spec(manager, service, auth, refresh=refresh)
            # What the swarm undid by itself is nobody's drift; it is wanted all the same.
            base = service.readback if rolled_back(service, live) else None
            base = base or live["Spec"]
            sent = merged(service, base, wanted, overwrite=overwrite)
            if not overwrite and generation_of(base) <= service.applied_generation:
                undrifted = meaningful(changes(base, service.readback or base))
            manager.service_update(engine_id, live["Version"]["Index"], sent, auth)
        back = manager.service(engine_id)
        if generation_of(back["Spec"]) < service.generation:
            # The Engine may answer a read with the state before our write for a moment.
            raise Transient("The swarm has not taken up the change yet.")
        # What others changed meanwhile stays as it is, and stays visible as their drift.
        save_applied(service, back, wanted, readback=patch(back["Spec"], undrifted))


def find(manager: engines.Engine, service: Service) -> Json | None:
    """Return the live service, by its id or, after a killed attempt, by its name and our label."""
    try:
        live: Json = manager.service(service.engine_id or service.name)
    except engines.NotFound:
        return None
    owner = (live["Spec"].get("Labels") or {}).get(specs.SERVICE_LABEL)
    if service.engine_id or owner == str(service.pk):
        return live
    raise NameTaken(f"A service named “{service.name}” exists already on the swarm.")


def wanted_spec(
    manager: engines.Engine,
    service: Service,
    auth: engines.RegistryAuth | None,
    *,
    refresh: bool,
) -> Json:
    """Return the wanted spec in the Engine's terms: ids for names, a digest for the tag."""
    cluster = service.cluster
    nodes = Node.objects.present().filter(cluster=cluster)
    ipvs = not nodes.filter(has_ipvs=False).exists()
    spec = specs.resolve(
        specs.endpoint_mode(service.spec, ipvs=ipvs),
        generation=service.generation,
        secrets={s.engine_name: s.engine_id for s in cluster.secrets.present() if s.engine_id},
        configs={c.engine_name: c.engine_id for c in cluster.configs.present() if c.engine_id},
        # Asked for, not read from rows: the network may be a moment old.
        networks={network["Name"]: network["Id"] for network in manager.networks()},
    )
    spec["Labels"][specs.SERVICE_LABEL] = str(service.pk)
    return specs.with_image(spec, image_with_digest(manager, service, auth, refresh=refresh))


def as_told(manager: engines.Engine, service: Service, live: Json) -> Json:
    """Return what an attempt that was cut short must have sent: the next change starts from it."""
    wanted = wanted_spec(manager, service, auth_for(service), refresh=False)
    image = str(live["Spec"]["TaskTemplate"]["ContainerSpec"].get("Image", ""))
    is_same = image.partition("@")[0] == service.image
    return specs.with_image(wanted, image) if is_same else wanted


def image_with_digest(
    manager: engines.Engine,
    service: Service,
    auth: engines.RegistryAuth | None,
    *,
    refresh: bool,
) -> str:
    """Return the image with the digest it had at the last apply, or has now if that is asked."""
    image = str(service.container.get("Image", ""))
    applied = specs.uses(service.applied or {}).image
    if "@" in image:
        return image
    if applied.partition("@")[0] == image and not refresh:
        return applied
    try:
        digest = manager.distribution(image, auth)["Descriptor"]["digest"]
    except engines.EngineError as error:
        if refresh:
            raise Failure(f"The registry does not say what “{image}” is now: {error}") from None
        # An image that only the nodes have runs by its tag; a wrong name shows in the tasks.
        return image
    return f"{image}@{digest}"


def merged(service: Service, live: Json, wanted: Json, *, overwrite: bool) -> Json:
    """Return the live spec with the row's changes, refusing to overwrite what others changed."""
    if service.applied is None:
        return wanted
    intent = changes(service.applied, wanted)
    if overwrite:
        return patch(patch(live, changes(live, service.readback or live)), intent)
    unknown = changes(service.readback or live, live)
    if generation_of(live) > service.applied_generation:
        # Our own last write, which its worker has not noted yet or could not note any more:
        # it is no drift, and what it changed becomes what is wanted now.
        return patch(live, [*intent, *overlaps(changes(live, wanted), unknown)])
    drift = meaningful(unknown)
    if clash := overlaps(drift, meaningful(intent)):
        what = "; ".join(str(change) for change in clash)
        raise Failure(
            f"Somebody changed the same settings outside the console: {what}. "
            "Accept or overwrite that drift on the service's page, then try again."
        )
    return patch(live, intent)


def save_applied(
    service: Service, live: Json, wanted: Json, *, readback: Json | None = None
) -> None:
    """Save what was sent and what the Engine made of it, unless a newer one is saved."""
    Service.objects.filter(pk=service.pk, applied_generation__lte=service.generation).update(
        engine_id=live["ID"],
        applied=wanted,
        applied_generation=service.generation,
        readback=readback or live["Spec"],
        observed=live["Spec"],
        observed_version=live["Version"]["Index"],
        is_external=False,
    )


def auth_for(service: Service) -> engines.RegistryAuth | None:
    """Return the credentials for the service's image, read anew for every request."""
    registry = pulled_with(service, list(service.cluster.registries.all()))
    if registry is None:
        return None
    return engines.RegistryAuth(registry.address, registry.username, registry.password)


def generation_of(spec: Json) -> int:
    """Return the generation that a live spec carries; one made outside the console has none."""
    return int((spec.get("Labels") or {}).get(specs.GENERATION_LABEL, 0))


def rolled_back(service: Service, live: Json) -> bool:
    """Say whether the swarm itself went back to the spec before the one that it was told."""
    state = (live.get("UpdateStatus") or {}).get("State", "")
    is_former = generation_of(live["Spec"]) < service.applied_generation
    return state.startswith("rollback") and is_former


def converged(service: Service) -> Waiting | None:
    """Say what is missing until the tasks run the present spec; fail when it cannot be."""
    with on_manager(service.cluster) as manager:
        live = manager.service(service.engine_id)
        tasks = manager.tasks(filters={"service": [service.engine_id]})
        desired = expected_tasks(manager, live)
    if rolled_back(service, live) and live["UpdateStatus"]["State"] == "rollback_completed":
        error = newest_error(tasks)
        raise Failure(f"The update failed and the swarm rolled it back. {error}".strip())
    return verdict(live, tasks, desired)


def expected_tasks(manager: engines.Engine, live: Json) -> int | None:
    """Return how many tasks ought to run; None when the nodes decide it."""
    mode: Json = live["Spec"].get("Mode") or {}
    if "Replicated" in mode:
        return int(mode["Replicated"].get("Replicas", 1))
    if "ReplicatedJob" in mode:
        return int(mode["ReplicatedJob"].get("TotalCompletions", 1))
    status = next(
        (s.get("ServiceStatus") or {} for s in manager.services() if s["ID"] == live["ID"]), {}
    )
    return int(status.get("DesiredTasks", 0))
