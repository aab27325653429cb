"""Put the agents on the swarm as the rows say, and see how they are; level-triggered."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
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
# What the service mounts, and how long it is left alone although nothing seems to use it.
MOUNTED, YOUNG = ("agent", "policy"), timedelta(seconds=30)


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
        problems = install(cluster)
        observe(cluster)
        error = "\n".join(f"{name}: {problem}" for name, problem in problems.items())
    except Failure as failure:
        error = str(failure)
    Protection.objects.filter(pk=row.pk).update(agent_error=error, applied_at=timezone.now())


def install(cluster: Cluster) -> dict[str, Failure]:
    """Put image, credentials, policy and service on the swarm; change only what differs.

    A node that cannot be prepared keeps no other from its agent: return why, by its name.
    """
    repository = Repository.objects.current().filter(cluster=cluster).first()
    if repository is None or repository.initialised_at is None:
        return {}
    seen = set(Agent.objects.filter(node__cluster=cluster).values_list("node_id", flat=True))
    nodes = joined(cluster)
    # An agent that starts on a new node has to find the node's name in its policy.
    later = [node for node in nodes if seen and node.pk not in seen]
    problems = load_image(node for node in nodes if node not in later)
    with on_manager(cluster, timeout=30) as manager:
        put_on_swarm(manager, cluster, repository)
    problems |= load_image(later)
    now = timezone.now()
    rows = Protection.objects.filter(cluster=cluster)
    rows.filter(since=None).update(since=now)
    rows.exclude(ended_at=None).update(since=now, ended_at=None)
    rows.update(agent_image=image.name())
    return problems


def joined(cluster: Cluster) -> list[Node]:
    """Return the nodes on which an agent should run."""
    return list(Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id=""))


def load_image(nodes: Iterable[Node]) -> dict[str, Failure]:
    """Load the agent's image where it is missing; return why it could not be, by node."""
    problems = {}
    for node in nodes:
        if not node.is_silent and image.name() not in node.images:
            try:
                image.ensure(node)
            except Failure as error:
                problems[node.name] = error
    return problems


def put_on_swarm(manager: engines.Engine, cluster: Cluster, repository: Repository) -> None:
    """Make credentials, policy and service what they should be, and remove the former ones."""
    # Read before the rows: who read older rows loses against who was quicker, never the reverse.
    live = found_service(manager)
    target = asdict(opening.for_nodes(repository))
    access = {"cluster": cluster.slug, "repository": target}
    registries = list(Registry.objects.filter(cluster=cluster).order_by("address"))
    key = repository.password
    secret = ensure_secret(manager, "agent", access, key)
    config = ensure_config(manager, "policy", policy.for_agents(cluster, image.name()), key)
    told = ensure_config(manager, "environment", policy.environment(cluster), key)
    used = {secret["name"], config["name"], told["name"]}
    passwords = ""
    if registries:
        made = ensure_secret(manager, "registries", policy.credentials(registries), key)
        used.add(passwords := made["name"])
    auth = image.auth(registries)
    wanted = agent_service.service(
        image=image.name(),
        credentials=secret,
        policy_config=config,
        pulled_with=passwords if auth else "",
    )
    # Somebody was quicker: the next look finds what is left to do.
    with suppress(engines.Conflict):
        if live is None:
            manager.service_create(wanted, auth)
        elif agent_service.differs(live["Spec"], wanted):
            manager.service_update(live["ID"], live["Version"]["Index"], wanted, auth)
    remove_former(manager, used)


def found_service(manager: engines.Engine) -> Json | None:
    """Return the agents' service as it is on the swarm."""
    try:
        return dict(manager.service(agent_service.NAME))
    except engines.NotFound:
        return None


def ensure_secret(manager: engines.Engine, kind: str, content: Json, key: str) -> dict[str, str]:
    """Return the Swarm secret with this content, made if there is none."""
    name, data = agent_service.named(kind, content, key=key)
    present = {item["Spec"]["Name"]: item["ID"] for item in manager.secrets()}
    found = present.get(name) or manager.secret_create(name, data, agent_service.labels(kind))
    return {"id": found, "name": name}


def ensure_config(manager: engines.Engine, kind: str, content: Json, key: str) -> dict[str, str]:
    """Return the Swarm config with this content, made if there is none."""
    name, data = agent_service.named(kind, content, key=key)
    present = {item["Spec"]["Name"]: item["ID"] for item in manager.configs()}
    found = present.get(name) or manager.config_create(name, data, agent_service.labels(kind))
    return {"id": found, "name": name}


def remove_former(manager: engines.Engine, used: set[str]) -> None:
    """Remove the agents' objects of former versions.

    One that a task which is still ending uses is refused, and goes next time. One that is very
    young may be another worker's, who is about to give it to the service.
    """
    for items, remove in (
        (manager.secrets(), manager.secret_remove),
        (manager.configs(), manager.config_remove),
    ):
        for item in items:
            kind = (item["Spec"].get("Labels") or {}).get(agent_service.KIND)
            is_young = kind in MOUNTED and age(item) < YOUNG
            if kind and item["Spec"]["Name"] not in used and not is_young:
                with suppress(engines.EngineError):
                    remove(item["ID"])


def age(item: Json) -> timedelta:
    """Return how long ago an object was made."""
    return timezone.now() - datetime.fromisoformat(item["CreatedAt"][:19]).replace(tzinfo=UTC)


def observe(cluster: Cluster) -> None:
    """Save the state of each node's agent; a node without one has the reason."""
    with on_manager(cluster, timeout=20) as manager:
        tasks = manager.tasks(filters={"service": [agent_service.NAME]})
    now = timezone.now()
    tasks.sort(key=lambda one: str(one["CreatedAt"]))
    for node in joined(cluster):
        here = [task for task in tasks if task.get("NodeID") == node.swarm_node_id]
        Agent.objects.update_or_create(
            node=node, defaults={**agent_service.seen(here, node.availability), "observed_at": now}
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
        if problem := install(cluster).get(node.name):
            raise problem
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
    rows = Protection.objects.filter(cluster=operation.cluster_id, cluster__swarm_id="")
    rows.filter(ended_at=None).update(ended_at=timezone.now(), agent_error="", look_error="")
    return None


register.extend("node.create", last=Step("Install the backup agent", install_on_node))
register.extend("node.remove", last=Step("Note what is protected", forget_environment))
