"""What the agents run with on the swarm: their service, its secret and its configs; pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

from backups.agent import environment, policy, secrets
from backups.agent.volumes import cache_mount
from backups.canonical import canonical

Json = dict[str, Any]

NAME = "medstack-agent"
KIND = environment.KIND
SOCKET = "/var/run/docker.sock"
SECOND = 1_000_000_000


def labels(kind: str) -> dict[str, str]:
    """Return the labels by which an object of the agents' is found again."""
    return {"medstack.managed": "true", KIND: kind}


def named(kind: str, content: Json) -> tuple[str, bytes]:
    """Return the name and the bytes of an object; the name follows from the content.

    The digest of a secret gives nothing away: its content holds 256 random bits.
    """
    data = canonical(content)
    return f"{NAME}-{kind}-{hashlib.sha256(data).hexdigest()[:12]}", data


def service(
    *, image: str, credentials: Mapping[str, str], policy_config: Mapping[str, str]
) -> Json:
    """Return the global service; `credentials` and `policy_config` are an id and a name each."""
    secret_file = {"Name": secrets.CREDENTIALS, "UID": "0", "GID": "0", "Mode": 0o400}
    config_file = {"Name": str(policy.FILE), "UID": "0", "GID": "0", "Mode": 0o444}
    socket = {"Type": "bind", "Source": SOCKET, "Target": SOCKET}
    return {
        "Name": NAME,
        "Labels": {"medstack.managed": "true"},
        "Mode": {"Global": {}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image,
                "Args": ["serve"],
                # The same on a node after each restart, so that restic knows its own stale locks.
                "Hostname": "medstack-{{.Node.Hostname}}",
                "Init": True,
                "ReadOnly": True,
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
            "LogDriver": {
                "Name": "json-file",
                "Options": {"max-size": "5m", "max-file": "2"},
            },
        },
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "continue"},
    }


def runs_with(spec: Json) -> Json:
    """Return what of a service decides whether it is the wanted one."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    return {
        "image": container["Image"].partition("@")[0],
        "secrets": sorted(one["SecretName"] for one in container.get("Secrets") or []),
        "configs": sorted(one["ConfigName"] for one in container.get("Configs") or []),
    }
