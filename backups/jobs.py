"""Let a container on a node do one piece of work for an operation, and follow it to its end.

The container is named after the operation, so that a second attempt finds the first one's. The job
goes to its standard input, which nothing shows; what it prints is the progress.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from backups import image
from backups.agent.messages import Job, heard
from backups.agent.volumes import cache_mount
from clusters import engine as engines
from clusters.gateway import on_node
from clusters.models import Node
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Waiting, note

Json = dict[str, Any]
SOCKET = {"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/var/run/docker.sock"}
MANAGED = {"medstack.managed": "true"}
# The exit code of a job that never heard what to do: its input was lost with the worker.
NO_JOB = 3
LINES = 1000
# A new installation on the same nodes counts its operations from one again: what a former one's
# container of this name said is not about ours.
ASKED = "medstack.asked"


class DamagedBackup(Failure):
    """End the work: the repository does not have what the backup needs."""


def name_of(operation: Operation, name: str = "") -> str:
    """Return the name of an operation's container."""
    return f"medstack-op-{operation.pk}{f'-{name}' if name else ''}"


def follow(
    operation: Operation,
    node: Node,
    job: Job,
    *,
    name: str = "",
    mounts: Sequence[Json] = (),
    docker: bool = False,
) -> Waiting | Json:
    """Start a job unless it runs, and return how far it is, or what it says in the end.

    The container stays until `remove`, so that a step which is run again reads the same end.
    Raise Failure with the job's own reason when it failed.
    """
    container = name_of(operation, name)
    with on_node(node, timeout=20) as engine:
        state = state_of(engine, container)
        if state and not is_ours(engine, container, operation):
            engine.container_remove(container)
            state = {}
        if state.get("ExitCode") == NO_JOB and state.get("Status") == "exited":
            engine.container_remove(container)
            state = {}
        if not state:
            image.ensure_on(engine)
            with suppress(engines.Conflict):
                engine.container_create(container, body(operation, mounts, docker=docker))
        if state.get("Status", "created") == "created":
            # Another worker may have started it between the two calls.
            with suppress(engines.Conflict):
                engine.container_start(container, job.encode())
            return Waiting(f"It starts on {node.name}.", again_in=0.5)
        said = lines_of(engine, container)
        state = state_of(engine, container)
    if state.get("Status") in ("running", "paused"):
        return progress_of(said, node)
    return outcome(operation, said, state, node)


def asked(operation: Operation) -> str:
    """Return when an operation was asked for, as its containers' labels have it."""
    return operation.requested_at.isoformat()


def is_ours(engine: engines.Engine, container: str, operation: Operation) -> bool:
    """Say whether a container is this operation's, not that of another console's."""
    try:
        labels = engine.container(container)["Config"].get("Labels") or {}
    except engines.NotFound:
        return True
    return bool(labels.get(ASKED) == asked(operation))


def state_of(engine: engines.Engine, container: str) -> Json:
    """Return a container's state; empty where there is none."""
    try:
        return dict(engine.container(container)["State"])
    except engines.NotFound:
        return {}


def lines_of(engine: engines.Engine, container: str) -> list[Json]:
    """Return what a container has said last."""
    with engine.container_logs(container, tail=LINES) as lines:
        return [heard(line.text) for line in lines if line]


def body(operation: Operation, mounts: Sequence[Json], *, docker: bool) -> Json:
    """Return the container that does a job."""
    labels = {**MANAGED, "medstack.operation": str(operation.pk), ASKED: asked(operation)}
    return {
        "Image": image.name(),
        "Cmd": ["job"],
        "OpenStdin": True,
        "StdinOnce": True,
        "Labels": labels,
        "HostConfig": {
            "Mounts": [cache_mount(), *([SOCKET] if docker else []), *mounts],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "20m"}},
            "SecurityOpt": ["no-new-privileges"],
            "Init": True,
        },
    }


def progress_of(said: Sequence[Json], node: Node) -> Waiting:
    """Return how far a running job is, in words and as a part of one."""
    for line in reversed(said):
        if line["say"] == "progress":
            percent = float(line.get("percent", 0))
            detail = str(line.get("detail") or sizes(line))
            return Waiting(f"{node.name}: {detail}", fraction=percent / 100, again_in=1)
    return Waiting(f"It runs on {node.name}.", again_in=1)


def sizes(line: Json) -> str:
    """Return progress in megabytes."""
    done, total = (int(line.get(key, 0)) / 1_000_000 for key in ("bytes", "total_bytes"))
    return f"{done:,.0f} of {total:,.0f} MB"


def outcome(operation: Operation, said: Sequence[Json], state: Json, node: Node) -> Json:
    """Return what a job that has ended said; raise Failure when it did not do it."""
    for line in said:
        if line["say"] == "note":
            note(operation, f"{node.name}: {line.get('text', '')}")
    for line in reversed(said):
        if line["say"] == "done":
            return {key: value for key, value in line.items() if key != "say"}
        if line["say"] == "failed":
            kind = DamagedBackup if line.get("damaged") else Failure
            raise kind(f"{node.name}: {line.get('reason', 'It failed.')}")
    code = state.get("ExitCode")
    killed = " It was killed." if code == 137 else ""
    memory = " Its memory was not enough." if state.get("OOMKilled") else ""
    last = next((f" {line['text']}" for line in reversed(said) if line["say"] == "note"), "")
    raise Failure(f"{node.name}: the container ended with code {code}.{killed}{memory}{last}")


def not_as_stored(found: Json, files: int, size: int) -> str:
    """Say how what came back differs from what the manifest counted; empty where it does not."""
    if (found["files"], found["bytes"]) == (files, size):
        return ""
    return (
        f"{found['files']} files with {found['bytes']} bytes came back; the manifest says "
        f"{files} with {size}."
    )


def remove(operation: Operation, node: Node, name: str = "") -> None:
    """Remove an operation's container, running or not; a node that is gone has none."""
    with suppress(engines.EngineError), on_node(node, timeout=20) as engine:
        engine.container_remove(name_of(operation, name))


def cancel(operation: Operation, node: Node, name: str = "") -> None:
    """Ask a job to end."""
    with on_node(node, timeout=20) as engine:
        engine.container_stop(name_of(operation, name), seconds=5)
