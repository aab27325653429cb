"""From the form's values to the Engine's service spec."""

from copy import deepcopy
from typing import Any

from clusters.drift import MISSING, Change, changes, patch
from clusters.spec.defaults import (
    ENDPOINT_LABEL,
    MODES,
    STRATEGIES,
    STRATEGY_KEYS,
    is_job,
)
from clusters.spec.mounts import mounts, pin_of, references
from clusters.spec.read import attachments, capability, initial, part
from clusters.spec.text import parse_command

Json = dict[str, Any]


def service_spec(cleaned: Json, base: Json | None = None) -> Json:
    """Return the spec that the form asks for; what the form does not know stays as in the base.

    Only what differs from the base is written, so that saving an unchanged form changes nothing.
    """
    if not base:
        return build(cleaned, {})
    wanted = build(cleaned, base)
    intent = changes(build(initial(base), base), wanted)
    return patch(base, [completed(change, base, wanted) for change in intent])


def completed(change: Change, base: Json, wanted: Json) -> Change:
    """Widen a change to the outermost part that the base lacks.

    The Engine reads a half-written part with zeros: an update strategy with nothing but a delay
    would replace all tasks at once.
    """
    here, there = base, wanted
    for depth, key in enumerate(change.path[:-1], start=1):
        there = part(there, key)
        if not isinstance(here.get(key), dict):
            return Change(change.path[:depth], MISSING, there)
        here = here[key]
    return change


def build(cleaned: Json, base: Json) -> Json:
    """Return all that the form knows of a spec, and what it must carry over in lists."""
    spec: Json = {
        "Name": cleaned["name"],
        "Labels": dict(cleaned["labels"]),
        "TaskTemplate": build_template(cleaned, base),
        "Mode": {MODES[cleaned["mode"]]: build_mode(cleaned)},
        "EndpointSpec": {"Mode": cleaned["endpoint_mode"]},
    }
    if cleaned["endpoint_mode"] == "auto":
        spec["Labels"][ENDPOINT_LABEL] = "auto"
        spec["EndpointSpec"]["Mode"] = "vip"
    if not is_job(cleaned["mode"]):
        for kind, key in STRATEGIES.items():
            spec[key] = {
                theirs: cleaned[f"{kind}_{ours}"] for ours, theirs in STRATEGY_KEYS.items()
            }
    return spec


def build_template(cleaned: Json, base: Json) -> Json:
    """Return the task template: the container and how the swarm runs it."""
    former = part(base, "TaskTemplate")
    template: Json = {
        "ContainerSpec": build_container(cleaned, part(former, "ContainerSpec")),
        "Resources": build_resources(cleaned),
        "RestartPolicy": {
            "Condition": cleaned["restart_condition"],
            "Delay": cleaned["restart_delay"],
            "MaxAttempts": cleaned["restart_max_attempts"],
            "Window": cleaned["restart_window"],
        },
        "Placement": build_placement(cleaned),
        "Networks": build_networks(cleaned["networks"], attachments(base)),
    }
    if cleaned["log_driver"]:
        template["LogDriver"] = {
            "Name": cleaned["log_driver"],
            "Options": dict(cleaned["log_options"]),
        }
    return template


def build_container(cleaned: Json, base: Json) -> Json:
    """Return the container; what is left empty is the image's."""
    container: Json = {
        "Image": cleaned["image"],
        "Labels": dict(cleaned["container_labels"]),
        "Init": cleaned["init"],
        "ReadOnly": cleaned["read_only"],
        "Privileges": {"NoNewPrivileges": cleaned["no_new_privileges"]},
        "StopGracePeriod": cleaned["stop_grace_period"],
        "Secrets": references("secrets", cleaned["secrets"], base.get("Secrets") or []),
        "Configs": references("configs", cleaned["configs"], base.get("Configs") or []),
        "Mounts": mounts(cleaned["volumes"], cleaned["tmpfs"], base.get("Mounts") or []),
    }
    optional = {
        "Command": list(cleaned["command"]),
        "Args": list(cleaned["args"]),
        "Env": list(cleaned["environment"]),
        "Hostname": cleaned["hostname"],
        "Dir": cleaned["working_dir"],
        "User": cleaned["user"],
        "StopSignal": cleaned["stop_signal"],
        "CapabilityDrop": sorted(map(capability, cleaned["capability_drop"])),
        "Healthcheck": build_health(cleaned),
    }
    return container | {key: value for key, value in optional.items() if value}


def build_mode(cleaned: Json) -> Json:
    """Return the counts that belong to the mode."""
    if cleaned["mode"] == "replicated":
        return {"Replicas": cleaned["replicas"]}
    if cleaned["mode"] == "replicated-job":
        return {
            "MaxConcurrent": cleaned["max_concurrent"],
            "TotalCompletions": cleaned["total_completions"],
        }
    return {}


def build_resources(cleaned: Json) -> Json:
    """Return limits and reservations, those that are set."""
    limits = {
        "NanoCPUs": cleaned["cpu_limit"],
        "MemoryBytes": cleaned["memory_limit"],
        "Pids": cleaned["pids_limit"],
    }
    reservations = {
        "NanoCPUs": cleaned["cpu_reservation"],
        "MemoryBytes": cleaned["memory_reservation"],
    }
    return {
        "Limits": {key: value for key, value in limits.items() if value},
        "Reservations": {key: value for key, value in reservations.items() if value},
    }


def build_placement(cleaned: Json) -> Json:
    """Return the placement; a service with volumes runs on the node that holds them."""
    pin = pin_of(cleaned["volumes"])
    placement: Json = {
        "Constraints": [*cleaned["constraints"], *([f"node.id=={pin}"] if pin else [])],
        "Preferences": [{"Spread": {"SpreadDescriptor": one}} for one in cleaned["preferences"]],
    }
    if cleaned["max_replicas"]:
        placement["MaxReplicas"] = cleaned["max_replicas"]
    return placement


def build_networks(names: list[str], former: list[Json]) -> list[Json]:
    """Return the networks by name, each with the aliases and options it had."""
    known = {item["Target"]: item for item in former}
    return [deepcopy(known.get(name, {})) | {"Target": name} for name in sorted(names)]


def build_health(cleaned: Json) -> Json:
    """Return the health check; nothing where the image's holds."""
    mode, command = cleaned["health_mode"], cleaned["health_command"]
    if mode == "image":
        return {}
    if mode == "none":
        return {"Test": ["NONE"]}
    return {
        "Test": ["CMD-SHELL", command] if mode == "shell" else ["CMD", *parse_command(command)],
        "Interval": cleaned["health_interval"],
        "Timeout": cleaned["health_timeout"],
        "Retries": cleaned["health_retries"],
        "StartPeriod": cleaned["health_start_period"],
    }
