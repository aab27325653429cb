"""What the agents run with on the swarm: their service, its secret and its configs; pure."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from backups.agent import environment, policy, secrets
from backups.agent.volumes import cache_mount
from backups.canonical import canonical

Json = dict[str, Any]

NAME = "medstack-agent"
KIND = environment.KIND
SOCKET = "/var/run/docker.sock"
SECOND = 1_000_000_000
PULLED_WITH = "medstack.pulled-with"


def labels(kind: str) -> dict[str, str]:
    """Return the labels by which an object of the agents' is found again."""
    return {"medstack.managed": "true", KIND: kind}


def named(kind: str, content: Json, *, key: str) -> tuple[str, bytes]:
    """Return the name and the bytes of an object; the name follows from the content.

    Names are no secrets: without the key, a registry's short password could be guessed from one.
    """
    data = canonical(content)
    code = hmac.new(key.encode(), data, hashlib.sha256).hexdigest()
    return f"medstack-{kind}-{code[:12]}", data


def service(
    *,
    image: str,
    credentials: Mapping[str, str],
    policy_config: Mapping[str, str],
    pulled_with: str = "",
) -> Json:
    """Return the global service; `credentials` and `policy_config` are an id and a name each.

    `pulled_with` names the registries' credentials: others make it another service, so that they
    reach the swarm.
    """
    secret_file = {"Name": secrets.CREDENTIALS, "UID": "0", "GID": "0", "Mode": 0o400}
    config_file = {"Name": str(policy.FILE), "UID": "0", "GID": "0", "Mode": 0o444}
    socket = {"Type": "bind", "Source": SOCKET, "Target": SOCKET}
    return {
        "Name": NAME,
        "Labels": {"medstack.managed": "true", PULLED_WITH: pulled_with},
        "Mode": {"Global": {}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image,
                "Args": ["serve"],
                # The same on a node after each restart, so that restic knows its own stale locks.
                "Hostname": "medstack-{{.Node.Hostname}}",
                "Init": True,
                "ReadOnly": True,
                # The socket is all that it works with; the captures beside it have their own.
                "CapabilityDrop": ["ALL"],
                "Env": [],
                "Mounts": [socket, cache_mount(), {"Type": "tmpfs", "Target": "/tmp"}],  # noqa: S108
                "Secrets": [
                    {
                        "SecretID": credentials["id"],
                        "SecretName": credentials["name"],
                        "File": secret_file,
                    }
                ],
                "Configs": [
                    {
                        "ConfigID": policy_config["id"],
                        "ConfigName": policy_config["name"],
                        "File": config_file,
                    }
                ],
                "StopGracePeriod": 20 * SECOND,
            },
            "RestartPolicy": {"Condition": "any", "Delay": 5 * SECOND},
            # No limit of memory: restic's grows with the repository, and no backup is worse.
            "Resources": {"Limits": {"Pids": 512}},
            "Placement": {"Constraints": []},
            "LogDriver": {
                "Name": "json-file",
                "Options": {"max-size": "5m", "max-file": "2"},
            },
        },
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "continue"},
    }


def seen(tasks: Sequence[Json], availability: str) -> dict[str, str]:
    """Return state, version and error of a node's agent by its tasks, the oldest first."""
    if not tasks:
        reason = (
            "The node is drained: the swarm runs no agent there, so its volumes are not captured."
            if availability == "drain"
            else "The swarm has not started one here yet."
        )
        return {"state": "missing", "version": "", "error": reason}
    newest = tasks[-1]
    state = str(newest["Status"]["State"])
    errors = [str(task["Status"].get("Err") or "") for task in tasks]
    # One that waits for its next start has failed before: that is what people need to read.
    error = errors[-1] if state == "running" else next(filter(None, reversed(errors)), "")
    running = str(newest["Spec"]["ContainerSpec"].get("Image", "")).partition("@")[0]
    return {"state": state, "version": running.rpartition(":")[2], "error": error}


def differs(live: Json, wanted: Json) -> bool:
    """Say whether a live service is not the wanted one, whoever changed it.

    What the Engine adds by itself does not count.
    """
    image = wanted["TaskTemplate"]["ContainerSpec"]["Image"]
    seen = str(live["TaskTemplate"]["ContainerSpec"].get("Image", ""))
    if image not in (seen, seen.partition("@")[0]):
        return True
    return not covers(without_image(live), without_image(wanted))


def without_image(spec: Json) -> Json:
    """Return a service's spec without its image, to which a swarm may add a digest."""
    template = spec["TaskTemplate"]
    container = {k: v for k, v in template["ContainerSpec"].items() if k != "Image"}
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": container}}


def covers(live: Any, wanted: Any) -> bool:
    """Say whether everything wanted is there; what is wanted empty has to be empty."""
    if isinstance(wanted, dict) and wanted:
        return isinstance(live, dict) and all(covers(live.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list) and wanted:
        return (
            isinstance(live, list) and len(live) == len(wanted) and all(map(covers, live, wanted))
        )
    return bool(live == wanted or (not wanted and not live))
