"""Capture the volumes of this agent's own node, in containers beside the agent."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from secrets import token_hex

from backups import restic
from backups.agent.commands import CommandFailed, commands_around
from backups.agent.freezing import (
    CAPTURE,
    FROZE,
    OWNER,
    discard,
    frozen,
    own_container,
    using,
)
from backups.agent.messages import Job, Json, heard, say
from backups.agent.policy import Handling, Policy
from backups.agent.tags import FORM, path_of
from backups.canonical import typed
from backups.parts import VolumePart
from clusters import engine as engines

Tell = Callable[[str], None]
# A label of volumes that are no data: caches, scratch of drills.
NEVER = "medstack.backup"
CACHE = "medstack-agent-cache"
# The label of a volume that was not there and that Docker made for the capture that mounts it.
MADE = "medstack.made-for"
ANONYMOUS = "com.docker.volume.anonymous"
PASSWORD = re.compile(r"((?:^|[,;\s])\w*(?:pass|password|secret|token)=)[^,;\s]*", re.IGNORECASE)
# So long nothing may move before a capture is given up: the next hour has to begin.
STALLED = 1800.0
# All that a capture may have said before we listened.
LINES = 10_000
# So long a service has to stop before its volume is given up for this time.
STANDS_STILL, LOOK = 120.0, 0.5
STILL_USED = "something uses it still: what is to be stopped for it did not stop in 2 minutes."
USED_AGAIN = "something used it again before it was read; freeze it, or dump it by a command."
GONE = "it is gone: Docker would have made an empty one in its place."


@dataclass(frozen=True)
class Seen:
    """A volume as its node listed it."""

    name: str
    is_plain: bool
    spec: Json = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a capture happens, and for which snapshot."""

    engine: engines.Engine
    repository: restic.Repository = field(repr=False)
    cluster: str
    node: str
    due: datetime
    policy: Policy
    tell: Tell = print


def listed(engine: engines.Engine) -> list[Seen]:
    """Return the node's named volumes: what nobody named is never backed up."""
    found = []
    for one in engine.volumes():
        labels = one.get("Labels") or {}
        anonymous = ANONYMOUS in labels or is_hexadecimal(one["Name"])
        if anonymous or labels.get(NEVER) == "never" or one["Name"] == CACHE:
            continue
        plain = one.get("Driver") == "local" and not one.get("Options")
        found.append(Seen(one["Name"], plain, spec_of(one)))
    return sorted(found, key=lambda one: one.name)


def spec_of(volume: Json) -> Json:
    """Return how a volume was made; a share's password is left out, for manifests are shown."""
    options = {
        name: PASSWORD.sub(r"\1***", str(value))
        for name, value in (volume.get("Options") or {}).items()
    }
    labels = dict(volume.get("Labels") or {})
    return {"Driver": str(volume.get("Driver", "local")), "Options": options, "Labels": labels}


def is_hexadecimal(name: str) -> bool:
    """Say whether a name is one that the Engine makes up; older ones label nothing."""
    return len(name) == 64 and all(letter in "0123456789abcdef" for letter in name)


def capture_all(setting: Setting, volumes: Sequence[Seen]) -> list[VolumePart]:
    """Capture a node's volumes, and say what became of each; one that fails stops no other."""
    parts, plain, apart = [], [], []
    for one in volumes:
        handling = setting.policy.handling(setting.node, one.name)
        if handling.excluded:
            parts.append(excluded(setting.node, one.name, handling.excluded))
        elif one.is_plain and handling.is_plain:
            plain.append(one)
        else:
            apart.append((one, handling))
    if plain:
        parts += together(setting, plain)
    for one, handling in apart:
        parts += alone(setting, one, handling)
    specs = {one.name: one.spec for one in volumes}
    return [replace(part, spec=specs[part.volume]) for part in parts]


def together(setting: Setting, volumes: Sequence[Seen]) -> list[VolumePart]:
    """Capture several volumes in one container; where it cannot start, each in its own."""
    try:
        return in_container(setting, "all", volumes)
    except engines.EngineError as error:
        if len(volumes) == 1:
            return [failed(setting.node, volumes[0].name, str(error))]
    return [part for one in volumes for part in alone(setting, one, Handling())]


def alone(setting: Setting, one: Seen, handling: Handling) -> list[VolumePart]:
    """Capture one volume in a container of its own, with what has to happen around it."""
    try:
        # A killed agent's capture of this very hour may still keep them frozen.
        discard(setting.engine, container_of(setting, one.name))
        if handling.stop:
            return unused(setting, one)
        users = using(setting.engine, one.name)
        with commands_around(setting.engine, users, handling):
            frozen = users if handling.freeze else []
            return in_container(setting, one.name, [one], freeze=frozen)
    except (engines.EngineError, CommandFailed) as error:
        return [failed(setting.node, one.name, str(error))]


def unused(setting: Setting, one: Seen) -> list[VolumePart]:
    """Capture a volume that nothing uses from beginning to end: a manager's agent sees to that."""
    until = time.monotonic() + STANDS_STILL
    while using(setting.engine, one.name):
        if time.monotonic() > until:
            return [failed(setting.node, one.name, STILL_USED)]
        time.sleep(LOOK)
    parts = in_container(setting, one.name, [one])
    if not using(setting.engine, one.name):
        return parts
    return [
        replace(part, state="failed", reason=USED_AGAIN) if part.state == "captured" else part
        for part in parts
    ]


def in_container(
    setting: Setting, name: str, volumes: Sequence[Seen], *, freeze: Sequence[str] = ()
) -> list[VolumePart]:
    """Run one capture container to its end; raise EngineError where it cannot be started."""
    engine = setting.engine
    container = container_of(setting, name)
    discard(engine, container)
    mark = token_hex(8)
    created = engine.container_create(container, body(setting, volumes, freeze, mark))
    try:
        gone = made_anew(engine, volumes, mark)
        if not gone:
            with frozen(engine, freeze):
                said = run(setting, created, volumes)
            return [
                said.get(one.name) or failed(setting.node, one.name, "its capture was killed.")
                for one in volumes
            ]
    finally:
        # Where it still runs it was cancelled, and restic removes its lock.
        engine.container_stop(created, seconds=5)
        engine.container_remove(created)
    for one in gone:
        # At once, before anybody fills it.
        with suppress(engines.EngineError):
            engine.volume_remove(one)
    parts = [failed(setting.node, one, GONE) for one in sorted(gone)]
    present = [one for one in volumes if one.name not in gone]
    return parts + (in_container(setting, name, present, freeze=freeze) if present else [])


def container_of(setting: Setting, name: str) -> str:
    """Return the name of a capture's container."""
    return f"medstack-capture-{setting.due:{FORM}}-{name}"


def body(setting: Setting, volumes: Iterable[Seen], freeze: Sequence[str], mark: str) -> Json:
    """Return the container that captures some volumes, mounted read-only.

    A volume that Docker has to make for it carries the mark; one that was there does not.
    """
    mounts = [
        {
            "Type": "volume",
            "Source": one.name,
            "Target": path_of(one.name),
            "ReadOnly": True,
            "VolumeOptions": {"Labels": {MADE: mark}},
        }
        for one in volumes
    ]
    return {
        "Image": setting.policy.image,
        "Cmd": ["job"],
        "OpenStdin": True,
        "StdinOnce": True,
        # Without a host name of its own choice: two captures that share one would take each
        # other's locks for those of dead processes, and pruning would delete what they add.
        "Labels": {
            "medstack.managed": "true",
            CAPTURE: f"{setting.due:{FORM}}",
            FROZE: ",".join(freeze),
            OWNER: own_container(),
        },
        "HostConfig": {
            "Mounts": [cache_mount(), *mounts],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "20m"}},
            "SecurityOpt": ["no-new-privileges"],
            "Init": True,
        },
    }


def cache_mount() -> Json:
    """Return the mount of restic's cache; it is made with the label that keeps it from backups."""
    labels = {"medstack.managed": "true", NEVER: "never"}
    return {
        "Type": "volume",
        "Source": CACHE,
        "Target": "/cache",
        "VolumeOptions": {"Labels": labels},
    }


def made_anew(engine: engines.Engine, volumes: Iterable[Seen], mark: str) -> set[str]:
    """Return the volumes that Docker has made for this very capture, empty.

    Not by their time: Docker 20.10 gives that of the last change in a volume's own folder.
    """
    gone = set()
    for one in volumes:
        try:
            if (engine.volume(one.name).get("Labels") or {}).get(MADE) == mark:
                gone.add(one.name)
        except engines.NotFound:
            gone.add(one.name)
    return gone


def run(setting: Setting, container: str, volumes: Sequence[Seen]) -> dict[str, VolumePart]:
    """Start a capture and follow it; return the parts that it told of before it ended."""
    engine = setting.engine
    values = {
        "due": setting.due.isoformat(),
        "node": setting.node,
        "volumes": [one.name for one in volumes],
    }
    job = Job(kind="capture", cluster=setting.cluster, repository=setting.repository, values=values)
    engine.container_start(container, job.encode())
    parts: dict[str, VolumePart] = {}
    moved, last = time.monotonic(), (0, 0)
    with engine.container_logs(container, tail=LINES, follow=True, heartbeat=1) as lines:
        for line in lines:
            said = heard(line.text) if line else {"say": ""}
            if time.monotonic() - moved > STALLED:
                setting.tell(say("note", text="Nothing moved for too long; it is given up."))
                break
            if said["say"] == "progress":
                here = int(said.get("bytes", 0)), int(said.get("total_bytes", 0))
                if here != last:
                    moved, last = time.monotonic(), here
                setting.tell(say("progress", **{k: v for k, v in said.items() if k != "say"}))
            elif said["say"] == "volume":
                part = typed(VolumePart, said["part"], "a volume")
                parts[part.volume] = part
            elif said["say"] == "note":
                setting.tell(say("note", text=said["text"]))
    return parts


def excluded(node: str, volume: str, reason: str) -> VolumePart:
    """Return the part of a volume that an operator excluded."""
    return VolumePart(node=node, volume=volume, state="excluded", reason=reason)


def failed(node: str, volume: str, reason: str) -> VolumePart:
    """Return the part of a volume that could not be captured."""
    return VolumePart(node=node, volume=volume, state="failed", reason=reason)
