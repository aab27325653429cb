"""Take a snapshot because somebody asked for one."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from backups import adoption, image, jobs, opening, policy
from backups.agent.messages import Job
from backups.manifest import Manifest, parse
from backups.models import Repository, Snapshot
from backups.schedule import asked_at
from backups.tasks import agents
from clusters.gateway import answering_manager
from clusters.models import Cluster, Node
from clusters.tasks.membership import is_last
from clusters.tasks.nodes import node_of
from medstack.failures import Failure, Transient
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register

Json = dict[str, Any]
# How long a snapshot may take, and how long an obstacle that passes by itself is waited for.
LONGEST, HINDRANCE = timedelta(hours=12), timedelta(seconds=60)


def row_of(operation: Operation) -> Snapshot:
    """Return the operation's snapshot as it is now."""
    rows = Snapshot.objects.select_related("cluster__company")
    return rows.get(pk=operation.target_id)


def nodes_of(cluster: Cluster) -> list[Node]:
    """Return the nodes that take part."""
    joined = Node.objects.present().filter(cluster=cluster).exclude(swarm_node_id="")
    return list(joined.order_by("name"))


def prepare(operation: Operation) -> Waiting | None:
    """Let the swarm hold what only the console knows, as it is now; else as it was last."""
    try:
        for name, problem in agents.install(row_of(operation).cluster).items():
            note(operation, f"{name}: {problem}")
    except Failure as error:
        note(operation, f"The agents could not be brought up to date: {error}")
    return None


def capture(operation: Operation) -> Waiting | None:
    """Let every node take its part at the same time; one that fails stops no other."""
    return capture_on_nodes(operation, row_of(operation))


def capture_on_nodes(operation: Operation, snapshot: Snapshot) -> Waiting | None:
    """Carry the parts of a snapshot on, on all nodes of its cluster."""
    cluster = snapshot.cluster
    repository = Repository.objects.current().get(cluster=cluster)
    ended: Json = operation.intent.setdefault("ended", {})
    manager = str(operation.intent.setdefault("manager", answering_manager(cluster).name))
    nodes, waiting = nodes_of(cluster), []
    for node in nodes:
        if node.name in ended:
            continue
        job = Job(
            kind="snapshot",
            cluster=cluster.slug,
            repository=opening.for_nodes(repository),
            values={
                "due": snapshot.due.isoformat(),
                "trigger": snapshot.trigger,
                "node": node.name,
                "policy": policy.for_agents(cluster, image.name()),
                "environment": node.name == manager,
                "version": image.name().rpartition(":")[2],
            },
        )
        try:
            seen = jobs.follow(operation, node, job, name=node.name, docker=True)
        except Transient as error:
            seen = unreachable(operation, node, str(error))
        except Failure as error:
            note(operation, str(error))
            seen = {"failed": str(error)}
        if isinstance(seen, Waiting):
            waiting.append(seen)
        else:
            ended[node.name] = seen
            jobs.remove(operation, node, node.name)
    if not waiting:
        return None
    share = (len(nodes) - len(waiting) + sum(one.fraction for one in waiting)) / len(nodes)
    return Waiting("; ".join(one.detail for one in waiting), share, again_in=1)


def unreachable(operation: Operation, node: Node, reason: str) -> Waiting | Json:
    """Wait a little for a node that does not answer; then go on without it."""
    first: Json = operation.intent.setdefault("silent", {})
    since = first.setdefault(node.name, timezone.now().timestamp())
    if timezone.now().timestamp() - since < 20:
        return Waiting(f"{node.name} does not answer.", again_in=2)
    note(operation, f"{node.name} did not answer and is left out: {reason}")
    return {"failed": reason}


def collect(operation: Operation) -> Waiting | None:
    """Make the rows of what is in the repository now."""
    return collect_snapshot(operation, row_of(operation))


def collect_snapshot(operation: Operation, snapshot: Snapshot) -> Waiting | None:
    """Adopt one snapshot, which waits for nobody any more."""
    repository = Repository.objects.current().get(cluster=snapshot.cluster)
    problems = adoption.adopt(snapshot.cluster, repository, final=[snapshot.due])
    snapshot.refresh_from_db()
    if snapshot.state == Snapshot.State.TAKING:
        Snapshot.objects.filter(pk=snapshot.pk).update(
            state=Snapshot.State.FAILED, reasons=problems or ["No node reported."]
        )
        raise Failure("Nothing was stored. " + " ".join(problems))
    for reason in snapshot.reasons:
        note(operation, str(reason))
    if snapshot.state == Snapshot.State.FAILED:
        raise Failure("The snapshot failed. " + " ".join(snapshot.reasons[:3]))
    note(operation, f"The snapshot is {snapshot.state}.")
    return None


def tidy(operation: Operation) -> None:
    """Leave no container behind, and no snapshot that seems to be taken still."""
    for node in nodes_of(Cluster.objects.get(pk=operation.cluster_id or 0)):
        jobs.remove(operation, node, node.name)
    Snapshot.objects.filter(operation=operation, state=Snapshot.State.TAKING).update(
        state=Snapshot.State.FAILED, reasons=["The operation ended before it was stored."]
    )


def take_last(operation: Operation) -> Waiting | None:
    """Take one last snapshot before a cluster's last node goes.

    Where it cannot be taken whole the node stays, unless it is removed by force.
    """
    node = node_of(operation)
    repository = Repository.objects.current().filter(cluster=node.cluster)
    ready = repository.exclude(initialised_at=None).exists()
    if not (node.is_joined and is_last(node) and ready):
        return None
    if node.cluster.company.subscription in policy.STOPPED:
        note(operation, "No last snapshot is taken: the subscription is cancelled.")
        return None
    try:
        if waiting := carry_last_on(operation, node):
            return waiting
    except Failure as error:
        if isinstance(error, Transient) and not is_hindered(operation):
            raise
        tidy(operation)
        if not operation.intent.get("force"):
            raise Failure(
                f"{error} The node stays, for its data would be lost. Repair what is named here "
                "and remove it again, or remove it even so."
            ) from None
        note(operation, f"{error} The node is removed even so.")
    Operation.objects.filter(pk=operation.pk).update(
        deadline=timezone.now() + register.kinds[operation.kind].within
    )
    return None


def carry_last_on(operation: Operation, node: Node) -> Waiting | None:
    """Begin or carry on a last snapshot; raise Failure when it lacks something."""
    row = Snapshot.objects.filter(operation=operation).first()
    if row is None:
        row = Snapshot.objects.create(
            cluster=node.cluster,
            due=asked_at(timezone.now()),
            trigger=Snapshot.Trigger.LAST,
            operation=operation,
        )
        # Volumes need longer than the removal itself.
        operation.deadline = timezone.now() + LONGEST
        Operation.objects.filter(pk=operation.pk).update(deadline=operation.deadline)
    if row.state == Snapshot.State.TAKING:
        waiting = capture_on_nodes(operation, row)
        operation.intent.pop("hindered", None)
        if waiting and timezone.now() + HINDRANCE > operation.deadline:
            raise Failure("The last snapshot took too long.")
        if waiting:
            return waiting
        collect_snapshot(operation, row)
    if lost := lacking(row):
        raise Failure(f"The last snapshot is not whole. {' '.join(lost)}")
    tidy(operation)
    return None


def is_hindered(operation: Operation) -> bool:
    """Say whether what should pass by itself has not done so for a while."""
    began = operation.intent.setdefault("hindered", timezone.now().timestamp())
    return timezone.now().timestamp() - float(began) > HINDRANCE.total_seconds()


def lacking(row: Snapshot) -> list[str]:
    """Return what a snapshot lacks that would be lost with its nodes.

    A secret that can never be restored is no reason: no later snapshot would have it either.
    """
    if not row.manifest:
        return list(row.reasons)
    found = parse(Manifest, row.manifest.encode())
    environment = found.environment
    reasons = list(environment.failures) if environment else ["It holds no environment."]
    failed = [part for part in found.volumes if part.state == "failed"]
    return reasons + [f"{part.volume}: {part.reason}" for part in failed]


register.add(
    "snapshot.take",
    Kind(
        "Take snapshot",
        (
            Step("Bring the agents up to date", prepare),
            Step("Capture on every node", capture),
            Step("Take it up", collect),
        ),
        within=LONGEST,
        on_failure=tidy,
    ),
)
register.extend("node.remove", first=Step("Take a last snapshot", take_last))
