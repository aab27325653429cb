"""From the Engine's service spec to what the form shows."""

from typing import Any

from clusters.names import RESERVED_LABELS
from clusters.spec.constraints import pinned_node, readable
from clusters.spec.defaults import (
    DEFAULTS,
    ENDPOINT_LABEL,
    HEALTH,
    MODES,
    STRATEGIES,
    STRATEGY,
    STRATEGY_KEYS,
    is_job,
)
from clusters.spec.mounts import reference_rows, tmpfs_rows, volume_rows
from clusters.spec.text import format_command

Json = dict[str, Any]


def initial(spec: Json) -> Json:
    """Return a spec as the form's values; the reverse of `service_spec`."""
    template = part(spec, "TaskTemplate")
    container = part(template, "ContainerSpec")
    values = {
        "name": spec.get("Name", ""),
        "image": container.get("Image", ""),
        "command": list(container.get("Command") or []),
        "args": list(container.get("Args") or []),
        "hostname": container.get("Hostname") or "",
        "working_dir": container.get("Dir") or "",
        "user": container.get("User") or "",
        "environment": list(container.get("Env") or []),
        **initial_mode(part(spec, "Mode")),
        **initial_resources(part(template, "Resources")),
        **initial_placement(part(template, "Placement")),
        "secrets": reference_rows("secrets", container.get("Secrets") or []),
        "configs": reference_rows("configs", container.get("Configs") or []),
        "tmpfs": tmpfs_rows(container.get("Mounts") or []),
        "networks": sorted(network["Target"] for network in attachments(spec)),
        "endpoint_mode": initial_endpoint(spec),
        **initial_health(part(container, "Healthcheck")),
        "read_only": bool(container.get("ReadOnly")),
        "init": bool(container.get("Init")),
        "no_new_privileges": bool(part(container, "Privileges").get("NoNewPrivileges")),
        "capability_drop": sorted(map(capability, container.get("CapabilityDrop") or [])),
        "labels": free_labels(part(spec, "Labels")),
        "container_labels": free_labels(part(container, "Labels")),
        "log_driver": part(template, "LogDriver").get("Name", ""),
        "log_options": dict(part(template, "LogDriver").get("Options") or {}),
        "stop_grace_period": given(container, "StopGracePeriod", DEFAULTS["stop_grace_period"]),
        "stop_signal": container.get("StopSignal") or "",
    }
    values |= initial_restart(template.get("RestartPolicy"), values["mode"])
    for kind, key in STRATEGIES.items():
        values |= initial_strategy(kind, spec.get(key))
    return values | initial_volumes(container.get("Mounts") or [], values["constraints"])


def initial_mode(mode: Json) -> Json:
    """Return the mode and its counts; the counts of other modes are None."""
    name = next((ours for ours, theirs in MODES.items() if theirs in mode), "replicated")
    counts = part(mode, MODES[name])
    values: Json = {"mode": name, "replicas": None, "total_completions": None}
    values["max_concurrent"] = None
    if name == "replicated":
        values["replicas"] = given(counts, "Replicas", 1)
    elif name == "replicated-job":
        values["max_concurrent"] = given(counts, "MaxConcurrent", 1)
        values["total_completions"] = given(counts, "TotalCompletions", values["max_concurrent"])
    return values


def initial_resources(resources: Json) -> Json:
    """Return limits and reservations; the Engine's 0 means that there is none."""
    limits, reservations = part(resources, "Limits"), part(resources, "Reservations")
    return {
        "cpu_limit": limits.get("NanoCPUs") or None,
        "memory_limit": limits.get("MemoryBytes") or None,
        "pids_limit": limits.get("Pids") or None,
        "cpu_reservation": reservations.get("NanoCPUs") or None,
        "memory_reservation": reservations.get("MemoryBytes") or None,
    }


def initial_placement(placement: Json) -> Json:
    """Return constraints, preferences and the largest number of tasks per node."""
    spreads = (part(one, "Spread") for one in placement.get("Preferences") or [])
    return {
        "constraints": list(placement.get("Constraints") or []),
        "preferences": [one["SpreadDescriptor"] for one in spreads if one],
        "max_replicas": placement.get("MaxReplicas") or None,
    }


def initial_volumes(mounts: list[Json], constraints: list[str]) -> Json:
    """Return the volumes with their node, and the constraints without the pin they make."""
    rows = volume_rows(mounts, constraints)
    if rows and pinned_node(constraints):
        constraints = [text for text in constraints if not is_pin(text)]
    return {"volumes": rows, "constraints": constraints}


def is_pin(text: str) -> bool:
    """Say whether the constraint asks for one node by its id."""
    return any(c.key == "node.id" and c.operator == "==" for c in readable([text]))


def initial_endpoint(spec: Json) -> str:
    """Return how tasks find the service: as decided by the nodes' kernels, vip or dnsrr."""
    if part(spec, "Labels").get(ENDPOINT_LABEL) == "auto":
        return "auto"
    return part(spec, "EndpointSpec").get("Mode") or "vip"


def initial_health(check: Json) -> Json:
    """Return the health check; without a test of its own the image's holds."""
    test = list(check.get("Test") or [])
    if not test:
        return dict(HEALTH)
    if test[0] == "NONE":
        return HEALTH | {"health_mode": "none"}
    is_shell = test[0] == "CMD-SHELL"
    return {
        "health_mode": "shell" if is_shell else "exec",
        "health_command": " ".join(test[1:]) if is_shell else format_command(test[1:]),
        "health_interval": check.get("Interval") or HEALTH["health_interval"],
        "health_timeout": check.get("Timeout") or HEALTH["health_timeout"],
        "health_retries": check.get("Retries") or HEALTH["health_retries"],
        "health_start_period": check.get("StartPeriod") or 0,
    }


def initial_restart(policy: Json | None, mode: str) -> Json:
    """Return the restart policy, or what the Engine does without one."""
    policy = policy or {}
    default = "on-failure" if is_job(mode) else DEFAULTS["restart_condition"]
    return {
        "restart_condition": policy.get("Condition") or default,
        "restart_delay": given(policy, "Delay", DEFAULTS["restart_delay"]),
        "restart_max_attempts": policy.get("MaxAttempts") or 0,
        "restart_window": policy.get("Window") or 0,
    }


def initial_strategy(kind: str, strategy: Json | None) -> Json:
    """Return an update or rollback strategy; in one that exists, a number left out is 0."""
    if strategy is None:
        return {f"{kind}_{key}": value for key, value in STRATEGY.items()}
    values: Json = {f"{kind}_{key}": strategy.get(STRATEGY_KEYS[key]) for key in STRATEGY}
    for key in ("order", "failure_action", "monitor"):
        values[f"{kind}_{key}"] = values[f"{kind}_{key}"] or STRATEGY[key]
    for key in ("parallelism", "delay"):
        values[f"{kind}_{key}"] = values[f"{kind}_{key}"] or 0
    values[f"{kind}_max_failure_ratio"] = float(values[f"{kind}_max_failure_ratio"] or 0)
    return values


def attachments(spec: Json) -> list[Json]:
    """Return the networks of a service; old clients wrote them beside the task template."""
    template = part(spec, "TaskTemplate")
    return list(template.get("Networks") or spec.get("Networks") or [])


def capability(name: str) -> str:
    """Return a capability as the Engine writes it."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def free_labels(labels: Json) -> dict[str, str]:
    """Return the labels that people may write; the console's own are not shown."""
    return {key: text for key, text in labels.items() if not key.startswith(RESERVED_LABELS)}


def part(whole: Json, key: str) -> Json:
    """Return an object inside another; the Engine writes null for an empty one."""
    found = whole.get(key)
    return found if isinstance(found, dict) else {}


def given(whole: Json, key: str, default: Any) -> Any:
    """Return a value that the Engine may leave out or write as null; 0 is a value."""
    found = whole.get(key)
    return default if found is None else found
