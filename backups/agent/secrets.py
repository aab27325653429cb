"""Capture the values of all secrets: only a service's own containers ever see them.

A job of the Swarm mounts them all and puts them into the repository itself.
"""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from backups import restic
from backups.agent.freezing import OWNER, is_running, own_container
from backups.agent.patience import patiently
from backups.agent.tags import FORM, SECRETS, tags
from backups.agent.volumes import Setting
from clusters import engine as engines

Json = dict[str, Any]
# The Swarm secret with the repository's credentials is mounted here in every agent.
CREDENTIALS = "medstack-agent"
NAMED = "medstack-secrets-"
LONGEST = 300.0
DONE = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")


def capture(setting: Setting, items: list[Json]) -> str:
    """Put all values into the repository; return the restic snapshot's id, or nothing if none is.

    Raise Refused in the words of the task when it fails.
    """
    readable = [item for item in items if not item["Spec"].get("Driver")]
    if not readable:
        return ""
    engine, name = setting.engine, f"{NAMED}{setting.due:{FORM}}"
    with suppress(engines.NotFound):
        engine.service_remove(name)
    engine.service_create(spec(setting, name, readable))
    try:
        follow(engine, name)
    finally:
        with suppress(engines.EngineError):
            engine.service_remove(name)
    wanted = tags("secrets", setting.due)
    found = patiently(lambda: restic.snapshots(setting.repository, tags=wanted))
    if not found:
        raise engines.Refused("The job that captures the secrets left nothing in the repository.")
    return found[-1].id


def spec(setting: Setting, name: str, items: list[Json]) -> Json:
    """Return the job, on this very node, which is known to have the image."""
    engine = setting.engine
    credentials = newest_credentials(engine)
    mounted = [reference(item, f"{SECRETS}/{item['Spec']['Name']}") for item in items]
    return {
        "Name": name,
        "Labels": {"medstack.managed": "true", OWNER: own_container()},
        "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": setting.policy.image,
                "Args": ["secrets"],
                "Env": [
                    f"MEDSTACK_DUE={setting.due.isoformat()}",
                    f"MEDSTACK_NODE={setting.node}",
                ],
                "Secrets": [reference(credentials, CREDENTIALS), *mounted],
            },
            "RestartPolicy": {"Condition": "none"},
            "Placement": {"Constraints": [on_this_node(engine)]},
        },
    }


def on_this_node(engine: engines.Engine) -> str:
    """Return the constraint that keeps a job on the node of its agent."""
    return f"node.id=={engine.info()['Swarm']['NodeID']}"


def sweep(engine: engines.Engine) -> None:
    """Remove the jobs of agents that were killed; only a manager can.

    Until then no secret that such a job mounts, though it has ended, can be removed.
    """
    try:
        left = engine.services(status=False, filters={"name": [NAMED]})
    except engines.EngineError:
        return
    here = on_this_node(engine) if left else ""
    for one in left:
        owner = (one["Spec"].get("Labels") or {}).get(OWNER, "")
        placement = one["Spec"]["TaskTemplate"].get("Placement") or {}
        if owner and placement.get("Constraints") == [here]:
            is_over = not is_running(engine, owner)
        else:
            made = datetime.fromisoformat(one["CreatedAt"][:19]).replace(tzinfo=UTC)
            is_over = (datetime.now(UTC) - made).total_seconds() > 2 * LONGEST
        if is_over:
            with suppress(engines.NotFound):
                engine.service_remove(one["ID"])


def newest_credentials(engine: engines.Engine) -> Json:
    """Return the Swarm secret that lets agents into the repository."""
    ours = [
        item
        for item in engine.secrets()
        if (item["Spec"].get("Labels") or {}).get("medstack.kind") == "agent"
    ]
    if not ours:
        raise engines.Refused("The agents' credentials are not on the swarm.")
    return max(ours, key=lambda item: str(item["CreatedAt"]))


def reference(item: Json, target: str) -> Json:
    """Return how a container mounts a secret."""
    return {
        "SecretID": item["ID"],
        "SecretName": item["Spec"]["Name"],
        "File": {"Name": target, "UID": "0", "GID": "0", "Mode": 0o400},
    }


def follow(engine: engines.Engine, name: str) -> None:
    """Wait for the job's one task; raise Refused with its words unless it completes."""
    until = time.monotonic() + LONGEST
    state, words = "", ""
    while time.monotonic() < until:
        found = engine.tasks(filters={"service": [name]})
        for task in found:
            status = task["Status"]
            state, words = status["State"], status.get("Err") or status.get("Message", "")
        if state == "complete":
            return
        if state in DONE:
            break
        time.sleep(0.3)
    raise engines.Refused(f"The job that captures the secrets ended as “{state}”: {words}")
