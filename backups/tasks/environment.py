"""Restore an environment: in the one order in which everything finds what it needs."""

from contextlib import suppress
from datetime import timedelta

from backups.actions.environment import refuse
from backups.models import Outcome
from backups.target import case_of
from backups.tasks.environment_compare import compare, finish
from backups.tasks.environment_services import restore_load_balancer, restore_services
from backups.tasks.environment_swarm import (
    create_configs,
    create_networks,
    create_secrets,
    label_nodes,
    save_registries,
)
from backups.tasks.environment_volumes import check_room, restore_volumes, tidy
from backups.tasks.environment_work import keep, row_of, work_of
from clusters.tasks.refresh import look_at
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register


def check(operation: Operation) -> Waiting | None:
    """Look at the cluster as it is now, and refuse what has come in the way since the plan."""
    row = row_of(operation)
    look_at(row.cluster)
    row.cluster.refresh_from_db()
    case = case_of(row.snapshot, row.cluster, row.plan["nodes"])
    accepted = set(case.plan.warnings) <= set(row.plan["warnings"])
    refuse(case.plan, accepted=accepted)
    for warning in row.plan["warnings"]:
        note(operation, f"Accepted: {warning}")
    return None


def stop(operation: Operation) -> None:
    """Keep that it failed, what is done and what is not; nothing that was made is removed."""
    row = row_of(operation)
    done = operation.steps[: operation.step]
    keep(row, done=done, not_done=operation.steps[operation.step :])
    finish(row, Outcome.FAILED)
    with suppress(Failure):
        tidy(operation, work_of(operation))


register.add(
    "environment.restore",
    Kind(
        "Restore environment",
        (
            Step("Look at the cluster", check),
            Step("Check the room on the nodes", check_room),
            Step("Label the nodes", label_nodes),
            Step("Create the networks", create_networks),
            Step("Save the registries", save_registries),
            Step("Create the secrets", create_secrets),
            Step("Create the configs", create_configs),
            Step("Bring the volumes back", restore_volumes),
            Step("Deploy the services", restore_services),
            Step("Deploy the load balancer", restore_load_balancer),
            Step("Compare with the manifest", compare),
        ),
        within=timedelta(hours=24),
        on_failure=stop,
    ),
)
