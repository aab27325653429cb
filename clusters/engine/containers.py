"""Containers of one node, outside of Swarm: work that the console or the agent starts itself."""

from contextlib import suppress

from clusters.engine.client import Client, Json, path_of
from clusters.engine.errors import Conflict, NotFound, Refused
from clusters.engine.workloads import container


def container_create(client: Client, name: str, body: Json) -> str:
    """Create a container and return its id; Conflict when the name is taken."""
    return str(client.post("/containers/create", body=body, params={"name": name})["Id"])


def container_start(client: Client, container_id: str, stdin: bytes = b"") -> None:
    """Start a container and hand it all of its standard input, which then ends.

    Secrets go this way: `inspect` shows arguments and environment, but no input.
    """
    if not stdin:
        begin(client, container_id)
        return
    path = path_of("/containers/{0}/attach", [container_id])
    # Attached before it starts, so that nothing is read before it is there.
    wire = client.open("POST", f"{path}?stream=1&stdin=1", upgrade=True)
    try:
        begin(client, container_id)
        wire.send(stdin, timeout=client.timeout)
    finally:
        wire.close()


def begin(client: Client, container_id: str) -> None:
    """Start a container; Conflict when it runs already, to which the Engine says no word at all."""
    if container(client, container_id)["State"]["Running"]:
        raise Conflict("The container runs already.")
    client.post("/containers/{0}/start", container_id)


def container_stop(client: Client, container_id: str, *, seconds: int = 10) -> None:
    """Ask a container to end, and end it after so many seconds; one that is gone has ended."""
    path = path_of("/containers/{0}/stop", [container_id])
    with suppress(NotFound):
        if not container(client, container_id)["State"]["Running"]:
            return
        client.send("POST", path, params={"t": seconds}, timeout=client.timeout + seconds)


def container_kill(client: Client, container_id: str) -> None:
    """End a container at once."""
    with suppress(NotFound, Conflict, Refused):
        client.post("/containers/{0}/kill", container_id)


def container_pause(client: Client, container_id: str) -> None:
    """Freeze all processes of a container; its health checks pause, too."""
    client.post("/containers/{0}/pause", container_id)


def container_unpause(client: Client, container_id: str) -> None:
    """Let a frozen container go on; one that is gone or not frozen needs nothing."""
    with suppress(NotFound, Conflict, Refused):
        client.post("/containers/{0}/unpause", container_id)


def container_remove(client: Client, container_id: str) -> None:
    """Remove a container, running or not, with its anonymous volumes."""
    with suppress(NotFound):
        client.delete("/containers/{0}", container_id, force=True, v=True)
