"""Freeze containers while their volume is read, and thaw them whatever becomes of the reader.

What a capture has frozen stands in a label of its own container, written before anything is
frozen: whoever is killed, the next look at the node still finds it.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from clusters import engine as engines

CAPTURE, FROZE, OWNER = "medstack.capture", "medstack.froze", "medstack.owner"
# A capture that was made or has ended a moment ago is still in its owner's hands.
FRESH = 60.0
MOUNTS = Path("/proc/self/mountinfo")


@contextmanager
def frozen(engine: engines.Engine, containers: Sequence[str]) -> Iterator[None]:
    """Keep containers frozen for a while; they are thawed however it ends."""
    try:
        for one in containers:
            # One that has ended in between writes nothing any more.
            with suppress(engines.NotFound, engines.Conflict):
                engine.container_pause(one)
        yield
    finally:
        for one in containers:
            engine.container_unpause(one)


def using(engine: engines.Engine, volume: str) -> list[str]:
    """Return the running containers of this node that mount a volume.

    Our own do not count, nor what somebody else has paused: it is not ours to thaw.
    """
    found = []
    for one in engine.containers():
        ours = CAPTURE in (one.get("Labels") or {})
        mounted = {mount.get("Name") for mount in one.get("Mounts") or []}
        if volume in mounted and not ours and one.get("State") != "paused":
            found.append(str(one["Id"]))
    return found


def sweep(engine: engines.Engine) -> None:
    """Thaw and remove what a killed agent or capture has left behind on this node."""
    for one in engine.containers(all=True, filters={"label": [CAPTURE]}):
        owner = (one.get("Labels") or {}).get(OWNER, "")
        if owner:
            left = not is_running(engine, owner)
        else:
            left = one.get("State") not in ("running", "paused") and not is_fresh(engine, one["Id"])
        if left:
            discard(engine, str(one["Id"]))


def discard(engine: engines.Engine, container: str) -> None:
    """Thaw what a capture has frozen, then remove it; one that is gone had nothing left to do."""
    try:
        labels = engine.container(container)["Config"].get("Labels") or {}
    except engines.NotFound:
        return
    for froze in filter(None, labels.get(FROZE, "").split(",")):
        engine.container_unpause(froze)
    engine.container_stop(container, seconds=5)
    engine.container_remove(container)


def is_running(engine: engines.Engine, container: str) -> bool:
    """Say whether a container is there and runs."""
    try:
        return bool(engine.container(container)["State"]["Running"])
    except engines.NotFound:
        return False


def is_fresh(engine: engines.Engine, container: str) -> bool:
    """Say whether a container was made, or has ended, a moment ago."""
    try:
        shown = engine.container(container)
    except engines.NotFound:
        return False
    ended = shown["State"].get("FinishedAt", "")
    moment = max(shown["Created"], ended)[:19]
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return (datetime.now(UTC) - at).total_seconds() < FRESH


def own_container(mounts: Path = MOUNTS) -> str:
    """Return the id of the container that this program runs in; nothing outside of one."""
    found = re.search(r"/containers/([0-9a-f]{64})/", mounts.read_text())
    return found[1] if found else ""
