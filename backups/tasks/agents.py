"""Put the agents on the swarm as the rows say, and see how they are; level-triggered."""

from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from backups import agent_service, image, opening, policy
from backups.models import Agent, Protection, Repository
from backups.tasks.repository import create_embedded, initialise
from clusters import engine as engines
from clusters.gateway import on_manager
from clusters.models import Cluster, Node, Registry
from medstack.failures import Failure, Transient
from medstack.models import Operation
from medstack.operations import Step, Waiting, note, register
from medstack.queue import enqueue

Json = dict[str, Any]
APPLY = "backups.tasks.agents.apply"
# So many seconds a new node waits for its agent; it is a node without it, too.
AGENT_PATIENCE = 60
EVERY = timedelta(seconds=30)
# Longer than an application can take; a worker that was killed is taken for dead after that.
LONGEST = timedelta(seconds=100)


def enqueue_agents() -> None:
    """Queue a look at the agents of every cluster that has a Docker environment."""
    if not settings.BACKUPS:
        return
    due = timezone.now() - EVERY
    for cluster in Cluster.objects.exclude(swarm_id=""):
        row, _ = Protection.objects.get_or_create(cluster=cluster)
        claimed = Protection.objects.filter(
            Q(applied_at=None) | Q(applied_at__lt=due), pk=row.pk
        ).update(applied_at=timezone.now() + LONGEST)
        if claimed:
            enqueue(APPLY, cluster.pk)


def apply(pk: int) -> None:
    """Make one cluster's agents what they should be. Safe to run any number of times."""
    cluster = Cluster.objects.select_related("company").get(pk=pk)
    row, _ = Protection.objects.get_or_create(cluster=cluster)
    try:
        install(cluster)
        observe(cluster)
        error = ""
    except Failure as failure:
        error = str(failure)
    Protection.objects.filter(pk=row.pk).update(agent_error=error, applied_at=timezone.now())


def install(cluster: Cluster) -> None:
    """Put image, credentials, policy and service on the swarm; change only what differs."""
    repository = Repository.objects.current().filter(cluster=cluster).first()
    if repository is None or repository.initialised_at is None:
        return
    for node in Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id=""):
        if not node.is_silent and image.name() not in node.images:
            image.ensure(node)
    target = asdict(opening.for_nodes(repository))
    access = {"cluster": cluster.slug, "repository": target}
    registries = Registry.objects.filter(cluster=cluster).order_by("address")
    with on_manager(cluster, timeout=30) as manager:
        secret = ensure_secret(manager, "agent", access)
        if registries.exists():
            ensure_secret(manager, "registries", policy.credentials(registries))
        wanted = policy.for_agents(cluster, image.name())
        config = ensure_config(manager, "policy", wanted)
        ensure_config(manager, "environment", policy.environment(cluster))
        spec = agent_service.service(image=image.name(), credentials=secret, policy_config=config)
        ensure_service(manager, spec)
        remove_former(manager, {secret["name"], config["name"]})
    now = timezone.now()
    Protection.objects.filter(cluster=cluster, since=None).update(since=now)
    Protection.objects.filter(cluster=cluster).exclude(ended_at=None).update(
        since=now, ended_at=None
    )
    Protection.objects.filter(cluster=cluster).update(agent_image=image.name())


def ensure_secret(manager: engines.Engine, kind: str, content: Json) -> dict[str, str]:
    """Return the Swarm secret with this content, made if there is none."""
    name, data = agent_service.named(kind, content)
    present = {item["Spec"]["Name"]: item["ID"] for item in manager.secrets()}
    found = present.get(name) or manager.secret_create(name, data, agent_service.labels(kind))
    return {"id": found, "name": name}


def ensure_config(manager: engines.Engine, kind: str, content: Json) -> dict[str, str]:
    """Return the Swarm config with this content, made if there is none."""
    name, data = agent_service.named(kind, content)
    present = {item["Spec"]["Name"]: item["ID"] for item in manager.configs()}
    found = present.get(name) or manager.config_create(name, data, agent_service.labels(kind))
    return {"id": found, "name": name}


def ensure_service(manager: engines.Engine, spec: Json) -> None:
    """Create the agents' service, or change it where it runs with something else."""
    try:
        live = manager.service(agent_service.NAME)
    except engines.NotFound:
        with suppress(engines.Conflict):
            manager.service_create(spec)
        return
    if agent_service.runs_with(live["Spec"]) != agent_service.runs_with(spec):
        # Somebody was quicker: the next look finds what is left to do.
        with suppress(engines.Conflict):
            manager.service_update(live["ID"], live["Version"]["Index"], spec)


def remove_former(manager: engines.Engine, used: set[str]) -> None:
    """Remove the agents' objects of former versions, except the newest of each kind.

    One that a task which is still ending uses is refused, and goes next time.
    """
    for items, remove in (
        (manager.secrets(), manager.secret_remove),
        (manager.configs(), manager.config_remove),
    ):
        newest: dict[str, Json] = {}
        ours = [item for item in items if agent_service.KIND in (item["Spec"].get("Labels") or {})]
        for item in ours:
            kind = item["Spec"]["Labels"][agent_service.KIND]
            if kind not in newest or item["CreatedAt"] > newest[kind]["CreatedAt"]:
                newest[kind] = item
        kept = {item["ID"] for item in newest.values()}
        for item in ours:
            if item["ID"] not in kept and item["Spec"]["Name"] not in used:
                with suppress(engines.EngineError):
                    remove(item["ID"])


def observe(cluster: Cluster) -> None:
    """Save the state of each node's agent."""
    nodes = {node.swarm_node_id: node for node in Node.objects.present().filter(cluster=cluster)}
    with on_manager(cluster, timeout=20) as manager:
        tasks = manager.tasks(filters={"service": [agent_service.NAME]})
    newest: dict[str, Json] = {}
    for task in sorted(tasks, key=lambda one: str(one["CreatedAt"])):
        newest[str(task.get("NodeID"))] = task
    for node_id, task in newest.items():
        if node_id not in nodes:
            continue
        status = task["Status"]
        running = task["Spec"]["ContainerSpec"].get("Image", "").partition("@")[0]
        Agent.objects.update_or_create(
            node=nodes[node_id],
            defaults={
                "state": status["State"],
                "error": status.get("Err", ""),
                "version": running.rpartition(":")[2],
                "observed_at": timezone.now(),
            },
        )


def install_on_node(operation: Operation) -> Waiting | None:
    """Wait until the agent runs on a new node; a repository out of reach stops no node."""
    if not settings.BACKUPS:
        note(operation, "Backups are switched off in this installation.")
        return None
    node = Node.objects.select_related("cluster__company").get(pk=operation.target_id)
    cluster = node.cluster
    cluster.refresh_from_db()
    repository = Repository.objects.current().filter(cluster=cluster).first()
    repository = repository or create_embedded(cluster)
    if repository and repository.initialised_at is None:
        initialise(repository.pk)
        repository.refresh_from_db()
    if repository is None or repository.initialised_at is None:
        note(operation, "The repository is not ready; the agent follows as soon as it is.")
        return None
    Protection.objects.get_or_create(cluster=cluster)
    try:
        install(cluster)
        observe(cluster)
    except Failure as error:
        if isinstance(error, Transient) and not is_late(operation):
            raise
        note(operation, f"The agent is not there yet; it is tried again by itself. {error}")
        return None
    agent = Agent.objects.filter(node=node).first()
    if agent and agent.state == "running":
        note(operation, f"The agent runs, version {agent.version}.")
        return None
    state = agent.state if agent else "being created"
    if is_late(operation):
        note(operation, f"The agent is still {state}; the node works without it meanwhile.")
        return None
    return Waiting(f"The agent is {state}.", again_in=1)


def is_late(operation: Operation) -> bool:
    """Say whether a node has waited for its agent long enough."""
    began = operation.intent.setdefault("agent_since", timezone.now().timestamp())
    return timezone.now().timestamp() - float(began) > AGENT_PATIENCE


def forget_environment(operation: Operation) -> Waiting | None:
    """Note that no hour is due any more once the last node was removed on purpose."""
    assert operation.cluster_id
    cluster = Cluster.objects.get(pk=operation.cluster_id)
    if not Node.objects.present().filter(cluster=cluster).exists():
        Protection.objects.filter(cluster=cluster, ended_at=None).update(ended_at=timezone.now())
    return None


register.extend("node.create", last=Step("Install the backup agent", install_on_node))
register.extend("node.remove", last=Step("Note what is protected", forget_environment))
