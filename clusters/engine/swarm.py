"""The swarm and its nodes."""

import time
from collections.abc import Callable
from typing import Any

from clusters.engine.client import Client, Json
from clusters.engine.errors import Conflict

# Somebody else may change the same object; five lost races in a row are no chance any more.
ATTEMPTS = 5
PAUSE = 0.1


def swarm_inspect(client: Client) -> Json:
    """Return the swarm, without its join tokens."""
    swarm = dict(client.get("/swarm"))
    swarm.pop("JoinTokens", None)
    return swarm


def swarm_init(
    client: Client,
    advertise_addr: str,
    listen_addr: str = "0.0.0.0:2377",
    default_addr_pool: list[str] | None = None,
    subnet_size: int = 20,
    data_path_port: int | None = None,
) -> str:
    """Initialise a swarm; return the id of this node."""
    body: Json = {
        "AdvertiseAddr": advertise_addr,
        "ListenAddr": listen_addr,
        "ForceNewCluster": False,
        "Spec": {},
    }
    if default_addr_pool:
        body |= {"DefaultAddrPool": default_addr_pool, "SubnetSize": subnet_size}
    if data_path_port is not None:
        body["DataPathPort"] = data_path_port
    return str(client.post("/swarm/init", body=body))


def swarm_join(
    client: Client,
    remote_addrs: list[str],
    token: str,
    advertise_addr: str,
    listen_addr: str = "0.0.0.0:2377",
) -> None:
    """Join a swarm; the token shows in no error."""
    body = {
        "RemoteAddrs": remote_addrs,
        "JoinToken": token,
        "AdvertiseAddr": advertise_addr,
        "ListenAddr": listen_addr,
    }
    client.post("/swarm/join", body=body, hide=(token,))


def swarm_leave(client: Client, *, force: bool = False) -> None:
    """Leave the swarm."""
    client.post("/swarm/leave", params={"force": force})


def join_tokens(client: Client) -> dict[str, str]:
    """Return the tokens by which a Worker and a Manager join; never keep or show them."""
    tokens = client.get("/swarm")["JoinTokens"]
    return {"Worker": str(tokens["Worker"]), "Manager": str(tokens["Manager"])}


def rotate_join_tokens(client: Client, *, worker: bool = True, manager: bool = True) -> None:
    """Make the present tokens worthless; the rest of the swarm's settings stays as it is."""

    def rotate() -> None:
        swarm = client.get("/swarm")
        client.post(
            "/swarm/update",
            body=swarm["Spec"],
            params={
                "version": swarm["Version"]["Index"],
                "rotateWorkerToken": worker,
                "rotateManagerToken": manager,
            },
        )

    until_it_fits(client, rotate)


def nodes(client: Client) -> list[Json]:
    """Return the swarm's nodes."""
    return list(client.get("/nodes"))


def node(client: Client, node_id: str) -> Json:
    """Return one node of the swarm."""
    return dict(client.get("/nodes/{0}", node_id))


def node_update(client: Client, node_id: str, change: Callable[[Json], Any]) -> None:
    """Read a node's whole spec, let `change` alter it in place, and write it back."""

    def update() -> None:
        found = node(client, node_id)
        spec = found["Spec"]
        change(spec)
        version = found["Version"]["Index"]
        client.post("/nodes/{0}/update", node_id, body=spec, params={"version": version})

    until_it_fits(client, update)


def node_remove(client: Client, node_id: str, *, force: bool = False) -> None:
    """Strike a node off the swarm's list."""
    client.delete("/nodes/{0}", node_id, force=force)


def until_it_fits(client: Client, write: Callable[[], None]) -> None:
    """Read and write again while others write in between, a few times and within the time-out."""
    give_up = time.monotonic() + client.timeout
    for attempt in range(1, ATTEMPTS + 1):
        try:
            write()
            return
        except Conflict:
            # A read straight after a write may still show the old version for a moment.
            if attempt == ATTEMPTS or time.monotonic() + PAUSE * attempt > give_up:
                raise
            time.sleep(PAUSE * attempt)
