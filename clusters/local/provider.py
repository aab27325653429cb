"""Start, stop and destroy local nodes; every function may be run any number of times."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from clusters.local import daemon, networking, processes
from clusters.local.configuration import LocalNetwork, configured
from clusters.local.locks import held
from clusters.local.node import NAME, LocalNode, Place, give_place, place_of, places
from clusters.local.support import supported
from medstack.failures import Failure

# An Engine gives its containers 15 seconds to end before it ends itself.
GRACE = 30


@dataclass(frozen=True)
class LocalEngine:
    """A running Engine: where the console and where other nodes reach it."""

    endpoint_url: str
    address: str


def ensure_running(
    name: str, *, hostname: str = "", network: LocalNetwork | None = None
) -> LocalEngine:
    """Return the node's Engine, started if need be; an existing node keeps all it was given."""
    if reasons := supported():
        raise Failure(" ".join(reasons))
    node = LocalNode(name, network or configured())
    with held(node.lock):
        with held(node.network.lock):
            networking.ensure_bridge(node.network)
            place = give_place(node, hostname=hostname or name)
        if not is_well(node, place):
            clear(node)
            with held(node.network.lock):
                networking.connect(node, place)
            daemon.start(node, place)
            if not daemon.becomes_ready(node):
                raise Failure(f"The Engine of {name} ended at once. {daemon.last_words(node)}")
    return LocalEngine(f"unix://{node.socket}", str(place.address))


def is_well(node: LocalNode, place: Place) -> bool:
    """Say whether the Engine runs and answers; what it lost of its connection is mended."""
    if processes.engine_process(node) is None:
        return False
    with held(node.network.lock):
        networking.attach(place)
    return daemon.becomes_ready(node)


def is_running(name: str, *, network: LocalNetwork | None = None) -> bool:
    """Say whether the node's Engine is alive."""
    return processes.engine_process(LocalNode(name, network or configured())) is not None


def stop(name: str, *, network: LocalNetwork | None = None) -> None:
    """Stop the node as if it were switched off; its data and address stay."""
    node = LocalNode(name, network or configured())
    if not node.network.root.is_dir():
        return
    with held(node.lock):
        switch_off(node)
        if not node.folder.exists():
            node.lock.unlink(missing_ok=True)


def disconnect(*, network: LocalNetwork | None = None) -> None:
    """Remove the bridge if no Engine runs, and keep the nodes; the next start makes it anew."""
    network = network or configured()
    if supported():
        return
    with held(network.lock):
        nodes = (LocalNode(name, network) for name in places(network))
        if not any(map(processes.engine_process, nodes)):
            networking.remove_bridge(network)
    remove_empty_root(network)


def destroy(name: str, *, network: LocalNetwork | None = None) -> None:
    """Remove the node with its data; the root's last node takes the bridge along."""
    node = LocalNode(name, network or configured())
    if not node.network.root.is_dir():
        return
    with held(node.lock):
        switch_off(node)
        remove_data(node)
        with held(node.network.lock):
            if node.folder.exists():
                shutil.rmtree(node.folder)
            networking.remove_bridge_if_unused(node.network)
        node.lock.unlink(missing_ok=True)
    remove_empty_root(node.network)


def existing(*, network: LocalNetwork | None = None) -> set[str]:
    """Return the names of all that is left of nodes in this root: folders, locks, namespaces."""
    network = network or configured()
    names = set()
    if network.root.is_dir():
        names = {path.name for path in network.root.iterdir() if path.is_dir()}
        # A lock alone is what an attempt leaves that failed before it had a folder.
        names |= {path.name[1:].removesuffix(".lock") for path in network.root.glob(".?*.lock")}
    if processes.NAMESPACES.is_dir() and not networking.stranger_on(network):
        prefix = f"{network.bridge}-"
        found = (path.name for path in processes.NAMESPACES.iterdir())
        names |= {name.removeprefix(prefix) for name in found if name.startswith(prefix)}
    return {name for name in names if NAME.fullmatch(name)}


def sweep(keep: set[str], *, network: LocalNetwork | None = None) -> list[str]:
    """Destroy every node of this root that is not to be kept; return their names."""
    network = network or configured()
    swept = sorted(existing(network=network) - keep)
    if swept:
        # A namespace may have outlived its folder; the locks need the root all the same.
        network.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(partial(destroy, network=network), swept))
    if network.root.is_dir():
        with held(network.lock):
            networking.remove_bridge_if_unused(network)
        remove_empty_root(network)
    return swept


def switch_off(node: LocalNode) -> None:
    """End the Engine politely, then whatever it leaves behind."""
    if process := processes.engine_process(node):
        processes.ask_to_end(process, seconds=GRACE)
    clear(node)


def clear(node: LocalNode) -> None:
    """Leave nothing but the folder, whether the Engine ended well or was killed."""
    if networking.stranger_on(node.network):
        return  # Another root's node of this name has the names that would be ended here.
    processes.end_members(node)
    processes.remove_groups(node)
    with held(node.network.lock):
        networking.disconnect(node, place_of(node))


def remove_data(node: LocalNode, *, seconds: float = 20) -> None:
    """Remove the Engine's data; the kernel lets go of its last mounts a moment after its end."""
    deadline = time.monotonic() + seconds
    while (data := node.folder / "data").exists():
        try:
            shutil.rmtree(data)
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"The data of {node.name} cannot be removed: {error}") from None
            time.sleep(0.2)


def remove_empty_root(network: LocalNetwork) -> None:
    """Remove the root folder behind its last node, unless somebody is just making another."""
    with suppress(OSError), held(network.lock):
        if list(network.root.iterdir()) == [network.lock]:
            network.lock.unlink()
            network.root.rmdir()
