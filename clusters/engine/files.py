"""Read a file of an Engine's host without running anything there."""

import io
import tarfile
from contextlib import suppress

from clusters.engine.client import Client
from clusters.engine.errors import Conflict, NotFound, Refused

MOUNTED = "/medstack/file"


def read_host_file(client: Client, path: str, *, image: str, name: str) -> bytes | None:
    """Return a host's file, or None where there is none.

    A container that is never started has the file mounted read-only; the Engine's archive call
    reads it from there. The container's name is the caller's, so a second attempt replaces it.
    """
    mount = {"Type": "bind", "Source": path, "Target": MOUNTED, "ReadOnly": True}
    body = {"Image": image, "Cmd": ["none"], "HostConfig": {"Mounts": [mount]}}
    remove(client, name)
    try:
        client.post("/containers/create", body=body, params={"name": name})
    except Conflict:
        raise
    except (Refused, NotFound):
        # The Engine refuses to mount what does not exist.
        return None
    try:
        archive = client.send("GET", f"/containers/{name}/archive", params={"path": MOUNTED})
    except NotFound as error:
        if "no such container" in str(error).lower():
            # Somebody who reads at the same time has removed it for a container of his own.
            raise Conflict(str(error)) from None
        return None
    finally:
        remove(client, name)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.next()
        file = tar.extractfile(member) if member else None
        return file.read() if file else None


def remove(client: Client, name: str) -> None:
    """Remove the container, if it is there."""
    with suppress(NotFound):
        client.delete("/containers/{0}", name, force=True)
