"""Decide from the swarm's own words whether a service is there yet; pure."""

from typing import Any

from medstack.failures import Failure
from medstack.operations import Waiting

Json = dict[str, Any]
FAILED = ("failed", "rejected", "orphaned")
# So many failed attempts of the same spec are no longer a slow start.
FAILURES_TO_GIVE_UP = 4


def verdict(live: Json, tasks: list[Json], desired: int | None) -> Waiting | None:
    """Decide from the swarm's own words whether a service is there yet."""
    template = live["Spec"]["TaskTemplate"]
    current = [task for task in tasks if is_current(task, template)]
    mode = next(iter(live["Spec"].get("Mode") or {"Replicated": {}}))
    if mode.endswith("Job"):
        iteration = (live.get("JobStatus") or {}).get("JobIteration", {}).get("Index", 0)
        current = [
            task
            for task in tasks
            if (task.get("JobIteration") or {}).get("Index", iteration) == iteration
        ]
    good = "complete" if mode.endswith("Job") else "running"
    running = [
        task
        for task in current
        if task["Status"]["State"] == good and task.get("DesiredState") in (good, "complete")
    ]
    failed = [task for task in current if task["Status"]["State"] in FAILED]
    stale = [
        task
        for task in tasks
        if task["Status"]["State"] == "running"
        and (task not in current or task.get("DesiredState") != "running")
    ]
    error = newest_error(failed or tasks)
    update = live.get("UpdateStatus") or {}
    if update.get("State") in ("paused", "rollback_paused"):
        raise Failure(f"The swarm paused the update: {update.get('Message', '')}. {error}".strip())
    wanted = desired if desired is not None else len(current)
    if update.get("State") not in ("updating", "rollback_started"):
        if len(running) >= wanted and (mode.endswith("Job") or not stale):
            return None
        if len(failed) >= FAILURES_TO_GIVE_UP and len(running) < wanted:
            raise Failure(f"The tasks keep failing: {error}")
        policy = template.get("RestartPolicy") or {}
        if failed and len(running) < wanted and policy.get("Condition") == "none":
            raise Failure(f"A task failed, and none is started in its place: {error}")
    detail = f"{len(running)} of {wanted} tasks {'are complete' if good == 'complete' else 'run'}."
    pending = pending_reason(current)
    return Waiting(
        " ".join(part for part in (detail, pending or error) if part),
        len(running) / wanted if wanted else 0.5,
    )


def is_current(task: Json, template: Json) -> bool:
    """Say whether a task runs the present spec, in the way the swarm itself decides it."""
    spec = task["Spec"]
    parts = ("ContainerSpec", "Resources", "ForceUpdate", "LogDriver")
    return all((spec.get(part) or None) == (template.get(part) or None) for part in parts)


def newest_error(tasks: list[Json]) -> str:
    """Return the newest task's error in the Engine's own words."""
    by_age = sorted(tasks, key=lambda task: task["Status"].get("Timestamp", ""), reverse=True)
    return next((task["Status"]["Err"] for task in by_age if task["Status"].get("Err")), "")


def pending_reason(tasks: list[Json]) -> str:
    """Return why a task is not placed, such as a constraint that no node meets."""
    pending = (task["Status"] for task in tasks if task["Status"]["State"] == "pending")
    return next((status["Err"] for status in pending if status.get("Err")), "")
