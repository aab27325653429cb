"""Bring the volumes back: made on their new nodes, and filled, several at the same time."""

from typing import Any

from backups import jobs
from backups.actions.environment import restore_policy
from backups.agent.messages import Job
from backups.agent.tags import path_of
from backups.tasks.environment_work import Work, ended, keep, newest, together, work_of
from backups.wanted import WantedVolume, environment_of
from clusters.actions.objects import create_volume
from clusters.models import Volume
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import Waiting, note

Json = dict[str, Any]
# More at the same time would only share a node's disk, and its way to the repository.
ON_A_NODE, AT_ONCE = 2, 8


def check_room(operation: Operation) -> Waiting | None:
    """Ask every node whether all that it gets fits, before anything is made."""
    work, waiting = work_of(operation), []
    needed: dict[str, int] = {}
    for volume in pending(work):
        if volume.has_data and is_plain(volume):
            needed[volume.place.name] = needed.get(volume.place.name, 0) + volume.part.bytes
    fitting = operation.intent.setdefault("room", [])
    for name, size in needed.items():
        if name in fitting:
            continue
        node = work.node(name)
        job = Job(
            kind="room",
            cluster=work.cluster.slug,
            repository=work.for_nodes,
            values={"bytes": size},
        )
        seen = jobs.follow(operation, node, job, name="room")
        if isinstance(seen, Waiting):
            waiting.append(seen)
            continue
        jobs.remove(operation, node, "room")
        if seen["free"] < size:
            raise Failure(
                f"{name} has no room: its volumes need {size / 1e6:,.0f} MB, and "
                f"{seen['free'] / 1e6:,.0f} MB are free. Nothing was changed."
            )
        fitting.append(name)
    return together(waiting, len(needed))


def is_plain(volume: WantedVolume) -> bool:
    """Say whether a volume lies on its node's own disk."""
    return volume.driver == "local" and not volume.options


def pending(work: Work) -> list[WantedVolume]:
    """Return the volumes that neither this restore nor one before it has brought back."""
    done = {*work.row.result.get("volumes", {}), *work.row.plan.get("left", [])}
    return [one for one in work.wanted.volumes if one.key not in done]


def restore_volumes(operation: Operation) -> Waiting | None:
    """Carry all volumes on: a bounded number on a node, and in all."""
    work = work_of(operation)
    left, waiting, busy = pending(work), [], dict[str, int]()
    for volume in left:
        here = busy.get(volume.place.name, 0)
        if here >= ON_A_NODE or sum(busy.values()) >= AT_ONCE:
            waiting.append(Waiting(f"{volume.part.volume} follows."))
            continue
        if waits := restore_volume(operation, work, volume):
            waiting.append(waits)
            busy[volume.place.name] = here + 1
    return together(waiting, len(work.wanted.volumes))


def restore_volume(operation: Operation, work: Work, volume: WantedVolume) -> Waiting | None:
    """Carry one volume on: made, filled, and counted."""
    node, part = work.node(volume.place.name), volume.part
    begun = set(work.row.result.get("begun", []))
    # What a former restore began and did not end is cleared; nobody else's data ever is.
    clear = volume.key in work.row.plan.get("clear", [])
    if volume.key not in begun:
        keep(work.row, begun=sorted({*begun, volume.key}))
    row = Volume.objects.filter(node=node, name=part.volume).first()
    last = newest("volume", row.pk, work) if row else None
    is_ours = last is not None and last.requested_at >= operation.requested_at
    if last and (last.is_active or is_ours) and (waits := ended(last, part.volume)):
        return waits
    if row is None or row.gone_at is not None:
        if is_ours:
            raise Failure(f"{part.volume} was removed from {node.name} meanwhile.")
        options, labels = dict(volume.options), dict(volume.labels)
        create_volume(node, part.volume, volume.driver, options, labels, by=work.by)
        return Waiting(f"{part.volume} is being made on {node.name}.")
    restore_policy(work.cluster, part, volume.place, policy_of(work, volume), by=work.by)
    result: Json = {"files": 0, "bytes": 0, "empty": True}
    if volume.has_data:
        seen = jobs.follow(
            operation,
            node,
            job(work, volume, clear=clear),
            name=container(work, volume),
            mounts=[{"Type": "volume", "Source": part.volume, "Target": path_of(part.volume)}],
        )
        if isinstance(seen, Waiting):
            return Waiting(f"{part.volume}: {seen.detail}", seen.fraction, seen.again_in)
        result = {"files": seen["files"], "bytes": seen["bytes"], "seconds": seen["seconds"]}
        note(
            operation,
            f"{part.volume} on {node.name}: {seen['files']} files, {seen['bytes']:,} bytes.",
        )
    keep(work.row, volumes={**work.row.result.get("volumes", {}), volume.key: result})
    jobs.remove(operation, node, container(work, volume))
    return None


def container(work: Work, volume: WantedVolume) -> str:
    """Return what a volume's container is called after its operation."""
    return f"volume-{[one.key for one in work.wanted.volumes].index(volume.key)}"


def job(work: Work, volume: WantedVolume, *, clear: bool) -> Job:
    """Return the job that fills a volume from its backup."""
    part = volume.part
    return Job(
        kind="restore",
        cluster=work.cluster.slug,
        repository=work.for_nodes,
        values={
            "volume": part.volume,
            "snapshot": part.snapshot,
            "tree": part.tree,
            "files": part.files,
            "bytes": part.bytes,
            "clear": clear,
        },
    )


def policy_of(work: Work, volume: WantedVolume) -> Json:
    """Return how the volume was backed up."""
    for one in environment_of(work.manifest).volume_policies:
        if (one.get("node"), one.get("volume")) == volume.part.key:
            return one
    return {}


def tidy(operation: Operation, work: Work) -> None:
    """Leave no container behind."""
    for volume in work.wanted.volumes:
        jobs.remove(operation, work.node(volume.place.name), container(work, volume))
