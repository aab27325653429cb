"""Stop services while a volume of theirs is read, and start them again whatever becomes of us.

Who stops a service writes into its own labels how many replicas it had and who stopped it, with the
same update: whoever is killed, the next look of any manager's agent finds it there.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass

from backups import restic
from backups.agent.freezing import is_running, own_container
from backups.agent.messages import Json, say
from backups.agent.tags import read, tags
from backups.agent.volumes import Setting
from clusters import engine as engines

STOPPED = "medstack.stopped"
AGENTS = "medstack-agent"
# So long a service stands still at most for the volumes of other nodes.
LONGEST = 600.0
LOOK = 2.0
ATTEMPTS = 5


@dataclass(frozen=True)
class Note:
    """What a stopped service has to be again, and who wanted it stopped."""

    replicas: int
    node: str
    container: str
    until: float


@contextmanager
def halted(setting: Setting, keys: Collection[str], *, by_agents: bool) -> Iterator[None]:
    """Keep the services that use volumes (each "node/volume") stopped, until those were read.

    `by_agents` where each node's agent has to read its own by itself: without one nobody would.
    """
    stopped, waited_for = [], set()
    engine = setting.engine
    try:
        if keys:
            own, until = engine.info()["Swarm"]["NodeID"], time.time() + LONGEST
            users = users_of(setting, keys, by_agents=by_agents)
            for service, used in users.items():
                if stop(setting, service, own, until):
                    stopped.append(service)
                    waited_for |= used
        yield
        elsewhere = {key for key in waited_for if not key.startswith(f"{setting.node}/")}
        wait_for_others(setting, elsewhere)
    finally:
        for service in stopped:
            start(engine, service)


def users_of(setting: Setting, keys: Collection[str], *, by_agents: bool) -> dict[str, set[str]]:
    """Return the services whose tasks use these volumes where somebody is there to read them."""
    engine, found = setting.engine, dict[str, set[str]]()
    running = {"desired-state": ["running"]}
    agents = engine.tasks(filters={"service": [AGENTS], **running}) if by_agents else []
    watched = {task.get("NodeID") for task in agents if task["Status"]["State"] == "running"}
    for task in engine.tasks(filters=running):
        node = setting.policy.node_name(str(task.get("NodeID", "")), "")
        mounts = (task["Spec"].get("ContainerSpec") or {}).get("Mounts") or []
        used = {f"{node}/{mount.get('Source')}" for mount in mounts if mount["Type"] == "volume"}
        is_read = node == setting.node or not by_agents or task.get("NodeID") in watched
        if is_read and used & {*keys}:
            found.setdefault(str(task["ServiceID"]), set()).update(used & {*keys})
    return found


def stop(setting: Setting, service: str, node: str, until: float) -> bool:
    """Stop a service and note in it how it was; say whether it is ours to start again."""

    def stopping(spec: Json) -> Json | None:
        replicated = spec["Mode"].get("Replicated")
        if replicated is None:
            text = f"“{spec['Name']}” runs on every node and cannot be stopped for a backup."
            setting.tell(say("note", text=text))
        if replicated is None or STOPPED in spec["Labels"] or not replicated.get("Replicas", 1):
            return None
        note = Note(int(replicated.get("Replicas", 1)), node, own_container(), until)
        spec["Labels"][STOPPED] = json.dumps(asdict(note))
        spec["Mode"]["Replicated"] = {**replicated, "Replicas": 0}
        return spec

    return changed(setting.engine, service, stopping)


def start(engine: engines.Engine, service: str) -> None:
    """Give a stopped service its replicas back; one that is gone or was started needs nothing."""
    changed(engine, service, lambda spec: started(spec) if STOPPED in spec["Labels"] else None)


def started(spec: Json) -> Json:
    """Return a service's spec as it is when it is not stopped for a backup."""
    labels = dict(spec.get("Labels") or {})
    if STOPPED not in labels:
        return spec
    found = deepcopy(spec)
    replicas = noted(labels.pop(STOPPED)).replicas
    found["Labels"] = labels
    if replicated := found["Mode"].get("Replicated"):
        # Who scaled it meanwhile has decided something else.
        replicated["Replicas"] = replicated.get("Replicas") or replicas
    return found


def noted(text: str) -> Note:
    """Read the label of a stopped service."""
    try:
        return Note(**json.loads(text))
    except (ValueError, TypeError):
        # Somebody wrote into it: one replica now is better than none for ever.
        return Note(1, "", "", 0.0)


def changed(engine: engines.Engine, service: str, change: Callable[[Json], Json | None]) -> bool:
    """Change a service by its present spec; say whether there was something to change."""
    for _ in range(ATTEMPTS):
        try:
            live = engine.service(service)
            spec = {**live["Spec"], "Labels": dict(live["Spec"].get("Labels") or {})}
            if (wanted := change(spec)) is None:
                return False
            engine.service_update(live["ID"], live["Version"]["Index"], wanted)
        except engines.Conflict:
            # Somebody else was quicker: what they made of it is read again.
            continue
        except engines.NotFound:
            return False
        return True
    raise engines.Conflict("A service was changed again and again by somebody else.")


def wait_for_others(setting: Setting, keys: Collection[str]) -> None:
    """Wait until other nodes have read their volumes, or said that they could not."""
    until, left = time.monotonic() + LONGEST, set(keys)
    wanted = [tag for tag in tags("report", setting.due) if not tag.startswith("kind:")]
    while left and time.monotonic() < until:
        with suppress(restic.ResticError):
            for one in restic.snapshots(setting.repository, tags=wanted):
                told = read(one.tags)
                if told and told.kind == "report":
                    left = {key for key in left if not key.startswith(f"{one.host}/")}
                elif told and told.kind == "volume":
                    left.discard(f"{one.host}/{told.volume}")
        if left:
            time.sleep(LOOK)


def sweep(engine: engines.Engine) -> None:
    """Start what a killed agent has left stopped; only a manager can, and only where it is over."""
    try:
        left = engine.services(status=False, filters={"label": [STOPPED]})
    except engines.EngineError:
        return
    for one in left:
        if is_over(engine, noted(one["Spec"]["Labels"][STOPPED])):
            start(engine, str(one["ID"]))


def is_over(engine: engines.Engine, note: Note) -> bool:
    """Say whether nobody reads any more what a service was stopped for."""
    if note.container and engine.info()["Swarm"].get("NodeID") == note.node:
        return not is_running(engine, note.container)
    return time.time() > note.until
