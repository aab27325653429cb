"""Make nodes: start the Engine, bring it into the swarm, label it, give it its network."""

from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

from django.db.models import Q
from django.utils import timezone

from clusters import addresses, host_networks, local
from clusters import engine as engines
from clusters.gateway import on_manager, on_node
from clusters.models import Cluster, Node
from clusters.models.cluster import INTERNAL_NETWORK
from clusters.tasks.kernels import look_at_kernel
from clusters.tasks.observe import observe_node
from medstack.failures import Failure, Transient
from medstack.models import Operation
from medstack.operations import Kind, Step, Waiting, note, register

SWARM_PORT = 2377


def node_of(operation: Operation) -> Node:
    """Return the operation's node as it is now."""
    return Node.objects.select_related("cluster").get(pk=operation.target_id)


def start_engine(operation: Operation) -> Waiting | None:
    """Start the Engine of a local node; an attached one already runs."""
    node = node_of(operation)
    if node.provider == Node.Provider.LOCAL:
        running = local.ensure_running(node.local_name, hostname=node.name)
        Node.objects.filter(pk=node.pk).update(
            endpoint_url=running.endpoint_url, address=running.address
        )
        note(operation, f"The Engine runs at {running.address}.")
        return None
    with on_node(node) as engine:
        version = engine.version()
    note(operation, f"Docker Engine {version.get('Version')} answers.")
    return None


def enter_swarm(operation: Operation) -> Waiting | None:
    """Initialise the swarm on the cluster's first node; join it on every later one."""
    node = node_of(operation)
    cluster = node.cluster
    with on_node(node, timeout=40) as engine:
        swarm = engine.info()["Swarm"]
        state = swarm["LocalNodeState"]
        took = state == "active" and operation.intent.get("adopt")
        if state == "active":
            if not (operation.intent.get("adopt") and takes_over(node, swarm)):
                belongs_here(node, swarm)
        elif state in ("pending", "locked", "error"):
            if state == "pending" and timezone.now() >= operation.deadline:
                give_up(engine)
            return Waiting(f"The Engine's swarm state is “{state}”. {swarm.get('Error', '')}")
        elif claim_first(node):
            initialise(engine, node)
        elif not cluster.swarm_id:
            return Waiting("The cluster's first node is still being initialised.")
        else:
            join(engine, node)
        swarm = engine.info()["Swarm"]
    if swarm["LocalNodeState"] != "active" or not swarm.get("NodeID"):
        return Waiting("The node has not entered the swarm yet.")
    Node.objects.filter(pk=node.pk).update(swarm_node_id=swarm["NodeID"])
    if claim_first(node):
        with on_node(node) as engine:
            found = engine.swarm_inspect()
        # Read back: a worker that was killed after the Engine's answer has noted nothing.
        pool = next(iter(found.get("DefaultAddrPool") or []), "")
        Cluster.objects.filter(pk=cluster.pk).update(swarm_id=found["ID"], address_pool=pool)
        Node.objects.filter(pk=node.pk).update(role=Node.Role.MANAGER)
        note(operation, f"Docker Swarm is {'taken over' if took else 'initialised'}.")
    else:
        rotate_tokens(cluster)
        note(operation, "The node has joined; the join tokens are rotated.")
        warn_of_overlap(operation, node)
    return None


def claim_first(node: Node) -> bool:
    """Say whether this node is the one that initialises the swarm; only one ever wins.

    Of several that are created at once it is the oldest: its form said that it is the manager.
    """
    mine = Q(first_node=node)
    if not Node.objects.present().filter(cluster=node.cluster_id, pk__lt=node.pk).exists():
        mine |= Q(first_node=None, swarm_id="")
    return bool(Cluster.objects.filter(mine, pk=node.cluster_id).update(first_node=node))


def takes_over(node: Node, swarm: dict[str, Any]) -> bool:
    """Make the swarm that an Engine manages the cluster's own, unless another cluster has it."""
    found = (swarm.get("Cluster") or {}).get("ID", "")
    others = Cluster.objects.filter(swarm_id=found).exclude(pk=node.cluster_id)
    if not found or not swarm.get("ControlAvailable") or others.exists():
        return False
    return claim_first(node)


def belongs_here(node: Node, swarm: dict[str, Any]) -> None:
    """Accept a node that is in our swarm already (a second attempt); refuse any other."""
    cluster_id = (swarm.get("Cluster") or {}).get("ID", "")
    ours = node.cluster.swarm_id
    if cluster_id and ours and cluster_id == ours:
        return
    if not ours and Cluster.objects.filter(pk=node.cluster_id, first_node=node).exists():
        # Killed between the Engine's answer and our row: the swarm is the one we made.
        return
    if ours and not cluster_id:
        with on_manager(node.cluster) as manager:
            if any(member["ID"] == swarm.get("NodeID") for member in manager.nodes()):
                return
    raise Failure("This Engine already belongs to another swarm. Let it leave that swarm first.")


def initialise(engine: engines.Engine, node: Node) -> None:
    """Initialise the swarm with an address pool that no network of the host uses."""
    address = node.address or ""
    used = addresses.used_by(engine.info(), engine.networks(), address)
    pool = addresses.free_pool(used + networks_around(node, engine))
    engine.swarm_init(
        advertise_addr=address,
        listen_addr=f"{address}:{SWARM_PORT}",
        default_addr_pool=[str(pool)],
        subnet_size=20,
    )


def networks_around(node: Node, engine: engines.Engine) -> list[IPv4Network]:
    """Return the networks that the console's machine and the node's host route to."""
    # A local node's host is this machine.
    theirs = host_networks.of_host(engine) if node.provider == Node.Provider.ATTACH else []
    return addresses.of_this_machine() + theirs


def warn_of_overlap(operation: Operation, node: Node) -> None:
    """Say which networks of a later node's host its containers will not reach."""
    pool = node.cluster.address_pool
    if not pool or node.provider != Node.Provider.ATTACH:
        return
    with on_node(node) as engine:
        found = host_networks.of_host(engine)
    for network in host_networks.overlapping(pool, found):
        note(
            operation,
            f"Warning: the host routes to {network}, but the cluster's own networks are in {pool}: "
            "containers on this node cannot reach both.",
        )


def join(engine: engines.Engine, node: Node) -> None:
    """Join through every manager's address; the token is read, used and never kept."""
    managers = Node.objects.reachable_managers(node.cluster)
    remotes = [f"{manager.address}:{SWARM_PORT}" for manager in managers if manager.address]
    with on_manager(node.cluster) as manager:
        token = manager.join_tokens()[node.role.capitalize()]
    try:
        engine.swarm_join(
            remote_addrs=remotes,
            token=token,
            advertise_addr=node.address or "",
            listen_addr=f"{node.address}:{SWARM_PORT}",
        )
    except Transient:
        raise
    except Failure as error:
        if "join token" in str(error).lower():
            # Another join rotated the tokens in between: the next attempt reads the new one.
            raise Transient("The join token was rotated meanwhile; trying again.") from None
        if engine.info()["Swarm"]["LocalNodeState"] != "pending":
            raise
        give_up(engine)
        rotate_tokens(node.cluster)
        raise Failure(
            f"The node does not reach the managers at {', '.join(remotes)}: open port "
            f"{SWARM_PORT}/tcp between the nodes, and 7946/tcp, 7946/udp, 4789/udp and IP protocol "
            "50 (ESP) besides. The Engine has given up joining."
        ) from None


def give_up(engine: engines.Engine) -> None:
    """Let an Engine give up an attempt to join, which it would go on with for ever by itself.

    It would enter the swarm days later, when somebody opens the firewall, as a node of no row.
    """
    with suppress(engines.EngineError):
        engine.swarm_leave(force=True)


def rotate_tokens(cluster: Cluster) -> None:
    """Make the join tokens that were just used worthless."""
    with on_manager(cluster) as manager:
        manager.rotate_join_tokens()


def label(operation: Operation) -> Waiting | None:
    """Label the node with its row and its part in the cluster."""
    node = node_of(operation)
    part = "Manager" if node.role == Node.Role.MANAGER else "Worker"

    def change(spec: dict[str, Any]) -> None:
        own = {"medstack.node": str(node.pk), "medstack.role": part}
        spec["Labels"] = {**(spec.get("Labels") or {}), **own}

    with on_manager(node.cluster) as manager:
        manager.node_update(node.swarm_node_id, change)
    return None


def create_network(operation: Operation) -> Waiting | None:
    """Create the encrypted internal network, once; a second attempt finds it."""
    node = node_of(operation)
    cluster = node.cluster
    with on_manager(cluster) as manager:
        if any(network["Name"] == INTERNAL_NETWORK for network in manager.networks()):
            return None
        manager.network_create(
            {
                "Name": INTERNAL_NETWORK,
                "Driver": "overlay",
                "Attachable": True,
                "CheckDuplicate": True,
                "Options": {} if cluster.lab_plain_network else {"encrypted": ""},
                "Labels": {"medstack.cluster": str(cluster.pk)},
                "IPAM": {"Config": [{"Subnet": str(addresses.first_subnet(cluster.address_pool))}]}
                if cluster.address_pool
                else {},
            }
        )
    note(operation, "The internal network is created.")
    return None


def wait_ready(operation: Operation) -> Waiting | None:
    """Wait until the swarm calls the node ready, and read what it is."""
    node = node_of(operation)
    with on_manager(node.cluster) as manager:
        state = manager.node(node.swarm_node_id)["Status"]["State"]
    if state != "ready":
        return Waiting(f"The swarm says the node is “{state}”.")
    observe_node(node)
    Node.objects.filter(pk=node.pk).update(swarm_state=state, availability="active")
    return None


def discard(operation: Operation) -> None:
    """Leave nothing half-done: a node that never joined is gone, its Engine is swept later."""
    node = node_of(operation)
    if not node.is_joined:
        Cluster.objects.filter(pk=node.cluster_id, first_node=node, swarm_id="").update(
            first_node=None
        )
        Node.objects.filter(pk=node.pk).update(removed_at=timezone.now())


register.add(
    "node.create",
    Kind(
        "Create node",
        (
            Step("Start the Engine", start_engine),
            Step("Enter the swarm", enter_swarm),
            Step("Label the node", label),
            Step("Create the internal network", create_network),
            Step("Wait until it is ready", wait_ready),
            Step("Look at the kernel", look_at_kernel),
        ),
        within=timedelta(minutes=5),
        on_failure=discard,
    ),
)
