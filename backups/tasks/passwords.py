"""Give a repository another password, so that no former sheet opens it any more."""

from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from backups import agent_service, opening, restic
from backups.models import Protection, Repository
from backups.restic import keys
from backups.tasks import agents
from backups.tasks.repository import row_of
from clusters import engine as engines
from clusters.actions.nodes import record
from clusters.gateway import on_manager
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Kind, Step, Waiting, note, register

# So many seconds the agents have to start with the new password, before the former ones end.
PATIENCE = 60


def let_in(operation: Operation) -> Waiting | None:
    """Let the new password open the repository, too."""
    row = row_of(operation)
    repository = opening.for_console(row)
    if row.next_password:
        try:
            restic.exists(replace(repository, password=row.next_password))
        except restic.WrongPassword:
            restic.add_password(repository, row.next_password)
        if row.kind == Repository.Kind.EMBEDDED:
            keys.ease(opening.folder(row), row.next_password)
    return None


@transaction.atomic
def take(operation: Operation) -> Waiting | None:
    """Use the new password from now on; nobody has its sheet yet."""
    row = Repository.objects.select_for_update().get(pk=operation.target_id)
    if row.next_password:
        Repository.objects.filter(pk=row.pk).update(
            password=row.next_password,
            next_password="",
            sheet_downloaded_at=None,
            sheet_downloaded_by=None,
        )
        record("repository.password_changed", row, row.cluster, by=SYSTEM)
        # Also where the next step cannot tell the agents.
        Protection.objects.filter(cluster=row.cluster).update(applied_at=None)
    return None


def tell_agents(operation: Operation) -> Waiting | None:
    """Give the agents the new password, and wait a little until they have started with it."""
    cluster = row_of(operation).cluster
    if not cluster.swarm_id:
        return None
    for name, problem in agents.install(cluster).items():
        note(operation, f"{name}: {problem}")
    began = operation.intent.setdefault("told", timezone.now().timestamp())
    if timezone.now().timestamp() - float(began) > PATIENCE:
        note(operation, "Not every agent has started with it yet; those follow by themselves.")
        return None
    with on_manager(cluster, timeout=20) as manager:
        if have_started(manager):
            return None
    return Waiting("The agents start with it.", again_in=1)


def have_started(manager: engines.Engine) -> bool:
    """Say whether every agent that should run does so with the credentials of its service."""
    live = agents.found_service(manager)
    if live is None:
        return True
    wanted = credentials_of(live["Spec"]["TaskTemplate"])
    wishes = {"service": [agent_service.NAME], "desired-state": ["running"]}
    return all(
        task["Status"]["State"] == "running" and credentials_of(task["Spec"]) == wanted
        for task in manager.tasks(filters=wishes)
    )


def credentials_of(template: agents.Json) -> list[str]:
    """Return the names of the Swarm secrets that a task mounts."""
    return [str(one["SecretName"]) for one in template["ContainerSpec"].get("Secrets") or []]


def shut_out(operation: Operation) -> Waiting | None:
    """Let no other password open the repository any more; who works with one is waited for."""
    repository = opening.for_console(row_of(operation))
    restic.unlock(repository)
    restic.remove_other_keys(repository)
    return None


register.add(
    "repository.password",
    Kind(
        "Change repository's password",
        (
            Step("Let the new one in", let_in),
            Step("Use it", take),
            Step("Tell the agents", tell_agents),
            Step("Shut the former ones out", shut_out),
        ),
        within=timedelta(hours=2),
    ),
)
