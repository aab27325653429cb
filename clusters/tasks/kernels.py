"""Find out what the nodes' kernels can do, and again when a node has started with another one."""

from clusters import engine, kernel
from clusters.gateway import on_node
from clusters.models import Node
from medstack.models import Operation
from medstack.operations import Waiting, note


def look_at_kernel(operation: Operation) -> Waiting | None:
    """Note whether the kernel can encrypt overlays and answer on virtual IPs."""
    found = look_at(Node.objects.get(pk=operation.target_id))
    if found is None:
        note(operation, "The kernel's configuration is not to be found on this node.")
        return None
    for able, lack in ((found.esp, "ESP"), (found.ipvs, "IPVS")):
        if not able:
            note(operation, f"The kernel has no {lack}; the node's page says what that means.")
    return None


def look_at(node: Node) -> kernel.Abilities | None:
    """Save what the node's present kernel can do, or that nobody can tell."""
    with on_node(node, timeout=30) as connection:
        release = str(connection.info().get("KernelVersion", ""))
        found = kernel.of_node(connection, release)
    Node.objects.filter(pk=node.pk).update(
        has_esp=found.esp if found else None,
        has_ipvs=found.ipvs if found else None,
        abilities_kernel=release,
    )
    return found


def look_again(pk: int) -> None:
    """Look at a node's kernel if it is another one than was looked at. Safe to run many times."""
    node = Node.objects.present().filter(pk=pk).first()
    if node is None or not node.has_new_kernel:
        return
    try:
        look_at(node)
    except engine.EngineError:
        # The next refresh finds that it is still to be done.
        return
