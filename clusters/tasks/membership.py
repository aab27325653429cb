"""Change a node's part in the swarm, and take it out again."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from clusters import engine as engines
from clusters import local
from clusters.actions.nodes import CONSOLE_LABEL, own_labels, quorum_lost_without
from clusters.actions.services import mark_deleted
from clusters.gateway import on_manager, on_node
from clusters.models import Cluster, LoadBalancer, Network, Node, Service, Task, Volume
from clusters.tasks.nodes import label, node_of
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register


def apply_role(operation: Operation) -> Waiting | None:
    """Set the wanted role; the quorum is looked at again, for it may have changed meanwhile."""
    node, role = node_of(operation), operation.intent["role"]
    with on_manager(node.cluster) as manager:
        if manager.node(node.swarm_node_id)["Spec"]["Role"] == role:
            return None
        if role == Node.Role.WORKER and (reason := quorum_lost_without(node)):
            raise Failure(f"Demoting “{node.name}” would lose the quorum: {reason}")
        manager.node_update(node.swarm_node_id, lambda spec: spec.update(Role=role))
    return None


def wait_role(operation: Operation) -> Waiting | None:
    """Wait until the node acts in its new role, not only is meant to."""
    node, role = node_of(operation), operation.intent["role"]
    with on_manager(node.cluster) as manager:
        member = manager.node(node.swarm_node_id)
    reachable = (member.get("ManagerStatus") or {}).get("Reachability") == "reachable"
    if reachable != (role == Node.Role.MANAGER):
        return Waiting(f"The node is becoming a {role}.")
    Node.objects.filter(pk=node.pk).update(role=role, is_leader=False)
    return None


def apply_availability(operation: Operation) -> Waiting | None:
    """Set the wanted availability."""
    node, availability = node_of(operation), operation.intent["availability"]
    with on_manager(node.cluster) as manager:
        manager.node_update(node.swarm_node_id, lambda spec: spec.update(Availability=availability))
    Node.objects.filter(pk=node.pk).update(availability=availability)
    return None


def wait_drained(operation: Operation) -> Waiting | None:
    """Wait until no task runs on a drained node any more."""
    if operation.intent.get("availability", "drain") != "drain":
        return None
    node = node_of(operation)
    with on_manager(node.cluster) as manager:
        tasks = manager.tasks(filters={"node": [node.swarm_node_id]})
    running = [task for task in tasks if task["Status"]["State"] in ("running", "starting")]
    if running and node.status == "Ready":
        return Waiting(f"{len(running)} task{'s' * (len(running) != 1)} still run on the node.")
    return None


def apply_labels(operation: Operation) -> Waiting | None:
    """Replace the operators' labels, leaving the console's own and what others added meanwhile."""
    node, wanted = node_of(operation), operation.intent["labels"]
    before = operation.intent["before"]

    def change(spec: dict[str, Any]) -> None:
        present = spec.get("Labels") or {}
        added_meanwhile = {k: v for k, v in present.items() if k not in before}
        spec["Labels"] = {**added_meanwhile, **wanted}

    with on_manager(node.cluster) as manager:
        manager.node_update(node.swarm_node_id, change)
        labels = manager.node(node.swarm_node_id)["Spec"].get("Labels") or {}
    Node.objects.filter(pk=node.pk).update(labels=labels)
    note(operation, f"{len(own_labels(labels))} labels are set.")
    return None


def is_last(node: Node) -> bool:
    """Say whether no other node of the cluster is in the swarm."""
    others = Node.objects.present().filter(cluster=node.cluster).exclude(pk=node.pk)
    return not others.exclude(swarm_node_id="").exists()


def ask_engine(operation: Operation) -> Waiting | None:
    """Refuse, before anything is changed, a node that cannot leave by itself."""
    node = node_of(operation)
    if node.endpoint_url and not may_be_struck_off(operation, node):
        try:
            with on_node(node) as engine:
                engine.ping()
        except engines.Unreachable as error:
            raise cannot_leave(error) from None
    return None


def may_be_struck_off(operation: Operation, node: Node) -> bool:
    """Say whether the node may go without its own doing."""
    return operation.intent["force"] or node.provider == Node.Provider.LOCAL


def cannot_leave(error: engines.Unreachable) -> Failure:
    """Return why a silent node is not removed, and what removes it."""
    return Failure(
        f"The Engine does not answer, so it cannot leave by itself ({error}). "
        "Remove it with “even if it does not answer” to strike it off."
    )


def drain(operation: Operation) -> Waiting | None:
    """Move the tasks elsewhere before the node goes; the last node has no elsewhere."""
    node = node_of(operation)
    if not node.is_joined or is_last(node):
        return None
    try:
        with on_manager(node.cluster) as manager:
            manager.node_update(node.swarm_node_id, lambda spec: spec.update(Availability="drain"))
    except engines.NotFound:
        return None
    return wait_drained(operation)


def step_down(operation: Operation) -> Waiting | None:
    """Demote a manager before it leaves, so that the others never count on it."""
    node = node_of(operation)
    if node.role != Node.Role.MANAGER or not node.is_joined or is_last(node):
        return None
    operation.intent["role"] = Node.Role.WORKER
    try:
        return apply_role(operation) or wait_role(operation)
    except engines.NotFound:
        return None


def leave(operation: Operation) -> Waiting | None:
    """Let the node itself leave; one that does not answer can only be struck off."""
    node = node_of(operation)
    if not node.endpoint_url:
        return None
    try:
        with on_node(node, timeout=30) as engine:
            swarm = engine.info()["Swarm"]
            if node.is_joined and swarm.get("NodeID") not in ("", None, node.swarm_node_id):
                note(operation, "The Engine belongs to another swarm by now, and stays in it.")
            elif swarm["LocalNodeState"] != "inactive":
                if is_last(node):
                    refuse_to_end_the_console(engine)
                engine.swarm_leave(force=is_last(node))
    except engines.Unreachable as error:
        if not may_be_struck_off(operation, node):
            raise cannot_leave(error) from None
        note(operation, f"The Engine does not answer ({error}); it is struck off.")
    return None


def refuse_to_end_the_console(engine: engines.Engine) -> None:
    """Keep a swarm alive on which this console, or another one, runs itself."""
    labels = [service["Spec"].get("Labels") or {} for service in engine.services()]
    if any(CONSOLE_LABEL in found for found in labels):
        raise Failure(
            "A console runs on this swarm, and would end with it: the last node cannot leave."
        )


def strike_off(operation: Operation) -> Waiting | None:
    """Remove the node from the swarm's list."""
    node = node_of(operation)
    if not node.is_joined or is_last(node):
        return None
    try:
        with on_manager(node.cluster) as manager:
            state = manager.node(node.swarm_node_id)["Status"]["State"]
            if state != "down" and not operation.intent["force"]:
                return Waiting("The swarm still sees the node; waiting until it has left.")
            manager.node_remove(node.swarm_node_id, force=True)
    except engines.NotFound:
        pass
    return None


def forget(operation: Operation) -> Waiting | None:
    """Stop a local Engine, and end the environment with its last node; the history stays."""
    node = node_of(operation)
    if node.provider == Node.Provider.LOCAL:
        local.destroy(node.local_name)
    now = timezone.now()
    last = is_last(node)
    Volume.objects.filter(node=node, gone_at=None).update(gone_at=now)
    Node.objects.filter(pk=node.pk, removed_at=None).update(
        removed_at=now, is_leader=False, ssh_key="", tls_key=""
    )
    if last:
        cluster = node.cluster
        Cluster.objects.filter(pk=cluster.pk).update(
            swarm_id="", first_node=None, address_pool="", observed_error="", strangers=[]
        )
        for service in Service.objects.present().filter(cluster=cluster):
            mark_deleted(service)
        LoadBalancer.objects.filter(cluster=cluster).delete()
        cluster.secrets.present().update(removed_at=now, is_current=False, pending_value="")
        cluster.configs.present().update(removed_at=now, is_current=False)
        Network.objects.filter(cluster=cluster).delete()
        Task.objects.filter(cluster=cluster).delete()
        note(operation, "That was the last node: the Docker environment is deleted.")
    return None


register.add(
    "node.role",
    Kind(
        "Change role of node",
        (
            Step("Tell the swarm", apply_role),
            Step("Wait for the node", wait_role),
            Step("Label the node", label),
        ),
        within=timedelta(minutes=3),
    ),
)
register.add(
    "node.availability",
    Kind(
        "Change availability of node",
        (Step("Tell the swarm", apply_availability), Step("Move the tasks", wait_drained)),
    ),
)
register.add(
    "node.labels",
    Kind("Label node", (Step("Tell the swarm", apply_labels),), within=timedelta(minutes=2)),
)
register.add(
    "node.remove",
    Kind(
        "Remove node",
        (
            Step("Ask its Engine", ask_engine),
            Step("Drain", drain),
            Step("Step down", step_down),
            Step("Leave the swarm", leave),
            Step("Strike it off", strike_off),
            Step("Forget", forget),
        ),
    ),
)
