"""The steps of what can be done to a service."""

from datetime import timedelta
from typing import Any

from clusters import engine as engines
from clusters.actions.services import mark_deleted
from clusters.gateway import on_manager
from clusters.models import Service
from clusters.tasks.applying import NameTaken, apply, auth_for, converged, find, generation_of
from clusters.tasks.domains import problems_of
from medstack.failures import Failure, Transient
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
# How often a new domain is looked at before its trouble is called one.
LOOKS = 8


def service_of(operation: Operation) -> Service:
    """Return the operation's service as it is now."""
    return Service.objects.select_related("cluster__company").get(pk=operation.target_id)


def apply_step(operation: Operation) -> Waiting | None:
    """Tell the swarm what the service's row wants now."""
    service = service_of(operation)
    try:
        apply(
            service,
            refresh=operation.kind == "service.refresh",
            overwrite=operation.kind == "service.overwrite",
        )
    except NameTaken:
        if service.applied is None:
            # Nothing was made: the row gives way to the service that has the name.
            mark_deleted(service)
        raise
    return None


def converge_step(operation: Operation) -> Waiting | None:
    """Wait until the tasks run it."""
    service = service_of(operation)
    if not service.engine_id:
        raise Failure("The service no longer exists on the swarm.")
    return converged(service)


def roll_back_step(operation: Operation) -> Waiting | None:
    """Let the Engine roll back by its rollback strategy, once: a second time would undo it."""
    service, former = service_of(operation), int(operation.intent["from"])
    with on_manager(service.cluster, timeout=20) as manager:
        live = manager.service(service.engine_id)
        previous = generation_of(live.get("PreviousSpec") or {})
        if generation_of(live["Spec"]) == former and previous == former - 1 and previous > 0:
            manager.service_update(
                service.engine_id,
                live["Version"]["Index"],
                live["Spec"],
                auth_for(service),
                rollback=True,
            )
            live = manager.service(service.engine_id)
            if generation_of(live["Spec"]) == former:
                raise Transient("The swarm has not begun the rollback yet.")
            note(operation, "The swarm rolls back to its previous spec.")
    if generation_of(live["Spec"]) == former - 1:
        # What the rollback changed is our own doing, not drift.
        Service.objects.filter(pk=service.pk).update(
            readback=live["Spec"], observed=live["Spec"], applied_generation=former - 1
        )
    return None


def remove_step(operation: Operation) -> Waiting | None:
    """Remove the service from the swarm; one that is gone already is removed, too."""
    service = service_of(operation)
    with on_manager(service.cluster) as manager:
        live = find_to_remove(manager, service)
        if live:
            manager.service_remove(live)
        operation.intent["engine_id"] = live or operation.intent.get("engine_id", "")
    return None


def find_to_remove(manager: engines.Engine, service: Service) -> str:
    """Return the id of the live service that is this row's, or nothing."""
    try:
        live = find(manager, service)
    except Failure as error:
        if isinstance(error, engines.EngineError):
            raise
        return ""
    return live["ID"] if live else ""


def stopped_step(operation: Operation) -> Waiting | None:
    """Wait until its containers have stopped, and keep the row as history."""
    service = service_of(operation)
    engine_id = operation.intent.get("engine_id", "")
    if engine_id:
        with on_manager(service.cluster) as manager:
            # Asked for the tasks of a service that is gone, the Engine only says that it is.
            tasks = [task for task in manager.tasks() if task.get("ServiceID") == engine_id]
        running = [task for task in tasks if task["Status"]["State"] == "running"]
        if running:
            return Waiting(f"{len(running)} containers are stopping.")
    mark_deleted(service)
    return None


def look_at_domains(operation: Operation) -> Waiting | None:
    """See whether the service answers under its domains; what is amiss is a warning, no failure."""
    service = service_of(operation)
    tries = int(operation.intent.get("looks", 0))
    problems = problems_of(service)
    if problems and tries < LOOKS:
        # The certificate and the route take some seconds.
        operation.intent["looks"] = tries + 1
        return Waiting("; ".join(problems), tries / LOOKS, again_in=2)
    for problem in problems:
        note(operation, f"Warning: {problem}")
    return None


TELL, FOLLOW = Step("Tell the swarm", apply_step), Step("Wait for the tasks", converge_step)
LOOK = Step("Look at its domains", look_at_domains)
LONG = timedelta(minutes=30)
for name, title in {
    "service.apply": "Deploy",
    "service.refresh": "Refresh image of",
    "service.overwrite": "Overwrite drift of",
}.items():
    register.add(name, Kind(title, (TELL, FOLLOW, LOOK), within=LONG))
register.add(
    "service.rollback",
    Kind(
        "Roll back",
        (Step("Roll back on the Engine", roll_back_step), FOLLOW, TELL, FOLLOW),
        within=LONG,
    ),
)
register.add(
    "service.delete",
    Kind("Delete", (Step("Remove it", remove_step), Step("Stop its containers", stopped_step))),
)
