"""Say what a service's spec means, in words for people. Pure: a spec in, words out."""

from typing import Any

from clusters.models import Service
from clusters.spec.read import initial_endpoint
from clusters.spec.text import format_bytes, format_command, format_duration

Json = dict[str, Any]
MODES = {
    "Replicated": "Replicated",
    "Global": "Global: one task on every node",
    "ReplicatedJob": "Job",
    "GlobalJob": "Global job: once on every node",
}
ENDPOINT_MODES = {
    "vip": "Virtual IP",
    "dnsrr": "DNS round robin",
    "auto": "Automatic (virtual IP, or DNS round robin)",
}
ORDERS = {"stop-first": "stop first", "start-first": "start first", "": "stop first"}
CONDITIONS = {"any": "Always", "on-failure": "On failure", "none": "Never", "": "Always"}


def facts(spec: Json, service: Service, networks: dict[str, str]) -> list[Json]:
    """Return the names and values of the facts table."""
    template = spec.get("TaskTemplate") or {}
    container = template.get("ContainerSpec") or {}
    rows = [
        ("Digest", service.image_digest or "Not known yet", bool(service.image_digest)),
        ("Mode", mode(service), False),
        ("Command", format_command(container.get("Command") or []), True),
        ("Arguments", format_command(container.get("Args") or []), True),
        ("Networks", ", ".join(network_names(spec, networks)) or "None", False),
        ("Endpoint", endpoint(spec), False),
        ("Placement", constraints(template.get("Placement") or {}), False),
        ("Resources", resources(template.get("Resources") or {}), False),
        ("Update", strategy(spec.get("UpdateConfig")), False),
        ("Rollback", strategy(spec.get("RollbackConfig")), False),
        ("Restart", restart(template.get("RestartPolicy") or {}), False),
        ("Security", security(container), False),
        ("Created", f"{service.created_at:%Y-%m-%d %H:%M} UTC", False),
        ("Origin", "Made outside the console" if service.is_external else "", False),
    ]
    return [{"label": label, "value": value, "mono": mono} for label, value, mono in rows if value]


def mode(service: Service) -> str:
    """Return the mode with its number."""
    if service.replicas is None:
        return MODES.get(service.mode, service.mode)
    return f"Replicated, {plural(service.replicas, 'replica')}"


def endpoint(spec: Json) -> str:
    """Return how other services reach this one, and which ports are open to the outside."""
    part = spec.get("EndpointSpec") or {}
    kind = initial_endpoint(spec)
    ports = [
        f"{port.get('PublishedPort', 'any')}→{port.get('TargetPort')}/{port.get('Protocol', 'tcp')}"
        for port in part.get("Ports") or []
    ]
    return ", ".join([ENDPOINT_MODES.get(kind, kind), *ports])


def network_names(spec: Json, networks: dict[str, str]) -> list[str]:
    """Return the names of the service's networks; one made outside the console names ids."""
    template = spec.get("TaskTemplate") or {}
    targets = [
        part.get("Target", "") for part in template.get("Networks") or spec.get("Networks") or []
    ]
    return [networks.get(target, target) for target in targets]


def constraints(placement: Json) -> str:
    """Return where tasks may run."""
    return "; ".join(placement.get("Constraints") or []) or "Any node"


def resources(part: Json) -> str:
    """Return what the tasks may use, and what is kept for them."""
    found = []
    for key, title in (("Limits", "At most"), ("Reservations", "Reserved")):
        amounts = part.get(key) or {}
        said = [f"{amounts['NanoCPUs'] / 1e9:g} CPUs"] if amounts.get("NanoCPUs") else []
        said += [format_bytes(amounts["MemoryBytes"])] if amounts.get("MemoryBytes") else []
        if said:
            found.append(f"{title} {' and '.join(said)}")
    return "; ".join(found) or "No limits"


def strategy(part: Json | None) -> str:
    """Return how an update or a rollback goes on, in one line."""
    if not part:
        return "The Engine's own: one task at a time, pause on failure"
    at_once = part.get("Parallelism", 1)
    order = part.get("Order", "")
    said = [
        f"{'All tasks' if at_once == 0 else plural(at_once, 'task')} at a time",
        ORDERS.get(order, order),
        f"{format_duration(part.get('Delay', 0))} between",
        f"watched for {format_duration(part.get('Monitor', 0))}" if part.get("Monitor") else "",
        f"{part.get('FailureAction') or 'pause'} on failure",
        f"when more than {part['MaxFailureRatio']:.0%} fail" if part.get("MaxFailureRatio") else "",
    ]
    return ", ".join(word for word in said if word)


def restart(part: Json) -> str:
    """Return when a task that ends is replaced."""
    condition = part.get("Condition", "")
    said = [str(CONDITIONS.get(condition, condition))]
    if part.get("Delay"):
        said.append(f"after {format_duration(part['Delay'])}")
    if part.get("MaxAttempts"):
        said.append(f"at most {plural(part['MaxAttempts'], 'time')}")
    return ", ".join(said)


def security(container: Json) -> str:
    """Return what the containers are not allowed to do."""
    said = ["read-only root"] if container.get("ReadOnly") else []
    said += ["init process"] if container.get("Init") else []
    if (container.get("Privileges") or {}).get("NoNewPrivileges"):
        said.append("no new privileges")
    if dropped := container.get("CapabilityDrop"):
        said.append(f"without {', '.join(dropped)}")
    return ", ".join(said).capitalize()


def mounts(spec: Json) -> list[Json]:
    """Return what is mounted where."""
    return [
        {
            "source": mount.get("Source") or "—",
            "target": mount.get("Target", ""),
            "type": mount.get("Type", "volume"),
            "access": "Read only" if mount.get("ReadOnly") else "Read and write",
        }
        for mount in container_of(spec).get("Mounts") or []
    ]


def files(spec: Json, kind: str) -> list[Json]:
    """Return the configs or secrets that are mounted: their names only, never what is in them."""
    rows = []
    for reference in container_of(spec).get(f"{kind}s") or []:
        file = reference.get("File") or {}
        rows.append(
            {
                "name": reference.get(f"{kind}Name", ""),
                "target": file.get("Name", ""),
                "owner": f"{file.get('UID', '0')}:{file.get('GID', '0')}",
                "mode": f"{file.get('Mode', 0o444):04o}",
            }
        )
    return rows


def environment(spec: Json) -> list[tuple[str, str]]:
    """Return the environment; the spec comes with its secret-looking values masked."""
    lines = (line.partition("=") for line in container_of(spec).get("Env") or [])
    return [(name, value) for name, _, value in lines]


def health(spec: Json) -> list[Json]:
    """Return the health check's facts."""
    check = container_of(spec).get("Healthcheck") or {}
    test = check.get("Test") or []
    if not test:
        return []
    if test == ["NONE"]:
        return [{"label": "Test", "value": "Switched off"}]
    # A shell's command line is one word to the Engine; quoting it would change how it reads.
    command = " ".join(test[1:]) if test[0] == "CMD-SHELL" else format_command(test[1:])
    rows: list[Json] = [{"label": "Test", "value": command, "mono": True}]
    for key, label in (("Interval", "Every"), ("Timeout", "Time-out"), ("StartPeriod", "Grace")):
        if check.get(key):
            rows.append({"label": label, "value": format_duration(check[key])})
    if check.get("Retries"):
        rows.append({"label": "Unhealthy after", "value": plural(check["Retries"], "failure")})
    return rows


def container_of(spec: Json) -> Json:
    """Return the container's part of a spec."""
    template: Json = spec.get("TaskTemplate") or {}
    part: Json = template.get("ContainerSpec") or {}
    return part


def plural(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
