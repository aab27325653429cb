"""What must fit together in a service: each check tells the form what is wrong at which field."""

from collections.abc import Callable, Iterable, Sequence
from signal import Signals
from typing import Any

from django.core.exceptions import ValidationError

from clusters.forms.service_choices import ServiceChoices
from clusters.forms.service_rows import Row, Rows
from clusters.images import InvalidReference, names_host, normal_address, parse
from clusters.spec.constraints import readable
from clusters.spec.defaults import is_job
from clusters.spec.mounts import pin_of
from clusters.spec.text import format_command, parse_command

Cleaned = dict[str, Any]
Refuse = Callable[[str, str], None]

NO_NEW_PRIVILEGES_API = "1.44"

INTERNAL_NETWORK = "internal"


def image_with_registry(image: str, address: str) -> str:
    """Return the image as it is to be pulled: with the registry's address before it if chosen."""
    try:
        parse(image)
    except InvalidReference as error:
        raise ValidationError(str(error)) from None
    if not address or image.startswith(f"{address}/"):
        return image
    if names_host(image) and not image.startswith(f"{normal_address(address)}/"):
        raise ValidationError("The image names a registry already; choose none or leave it out.")
    return image if names_host(image) else f"{address}/{image}"


def signal(value: str) -> str:
    """Return a signal as the Engine writes it."""
    text = value.strip().upper()
    if not text or (text.isascii() and text.isdigit() and 1 <= int(text) <= 64):
        return text
    name = f"SIG{text.removeprefix('SIG')}"
    if name not in Signals.__members__:
        raise ValidationError("Write a signal, such as SIGTERM.")
    return name


def check_mode(cleaned: Cleaned, refuse: Refuse) -> None:
    """Ask for the counts of the mode, and refuse what a job cannot have."""
    mode = cleaned.get("mode", "")
    counts = {
        "replicated": ("replicas",),
        "replicated-job": ("total_completions", "max_concurrent"),
    }.get(mode, ())
    for name in ("replicas", "total_completions", "max_concurrent"):
        if name not in counts:
            cleaned[name] = None
        elif name in cleaned and cleaned[name] is None:
            refuse(name, "Write how many.")
    if is_job(mode) and cleaned.get("restart_condition") == "any":
        refuse("restart_condition", "A job's tasks end: choose on failure or never.")
    if cleaned.get("max_replicas") and mode != "replicated":
        refuse("max_replicas", "Only a replicated service can have a number per node.")


def check_resources(cleaned: Cleaned, refuse: Refuse) -> None:
    """Refuse to reserve more than the limit."""
    for name in ("cpu", "memory"):
        limit, reservation = cleaned.get(f"{name}_limit"), cleaned.get(f"{name}_reservation")
        if limit and reservation and reservation > limit:
            refuse(f"{name}_reservation", "This is more than the limit.")


def check_health(cleaned: Cleaned, refuse: Refuse) -> None:
    """Ask for a health check's command where there is to be one, and only there."""
    if cleaned.get("health_mode") not in ("shell", "exec"):
        cleaned["health_command"] = ""
        return
    command = cleaned.get("health_command", "").strip()
    if not command:
        refuse("health_command", "Write the command that checks the task's health.")
    elif cleaned["health_mode"] == "exec":
        try:
            cleaned["health_command"] = format_command(parse_command(command))
        except ValueError as error:
            refuse("health_command", str(error))


def check_privileges(cleaned: Cleaned, choices: ServiceChoices, refuse: Refuse) -> None:
    """Refuse what older Engines would leave out without a word."""
    if cleaned.get("no_new_privileges") and not choices.has_api(NO_NEW_PRIVILEGES_API):
        now = f"is {choices.api_version}" if choices.api_version else "is not known yet"
        refuse(
            "no_new_privileges",
            f"This needs Engine API {NO_NEW_PRIVILEGES_API} (Docker 25) on every node; the lowest "
            f"in this cluster {now}.",
        )


def check_paths(rows: Iterable[Rows]) -> None:
    """Refuse, at its row, a path in the container that an earlier row takes."""
    taken: set[str] = set()
    for row in (row for formset in rows for row in formset.kept):
        if row.place in taken:
            row.add_error(row.path_field, f"Another row above takes {row.place} already.")
        elif row.place:
            taken.add(row.place)


def check_volumes(volumes: list[Row], cleaned: Cleaned, choices: ServiceChoices) -> None:
    """Refuse volumes of more than one node, and take the pin out of the written constraints."""
    rows = [row for row in volumes if row.cleaned_data.get("volume")]
    first = pin_of([row.cleaned_data for row in rows])
    for row in rows:
        node_id, _, name = row.cleaned_data["volume"].partition("/")
        if node_id != first:
            row.add_error(
                "volume",
                f"“{name}” is on {choices.node_name(node_id)}, the volume above on "
                f"{choices.node_name(first)}. A service runs where its volumes are: on one node.",
            )
    if first:
        constraints = cleaned.get("constraints", [])
        cleaned["constraints"] = [text for text in constraints if text != f"node.id=={first}"]


def check_pin(cleaned: Cleaned, pin: str, choices: ServiceChoices, refuse: Refuse) -> None:
    """Refuse constraints that exclude the node that holds the volumes."""
    name = choices.node_name(pin)
    for constraint in readable(cleaned.get("constraints", [])):
        if not (constraint.allows("node.id", pin) and constraint.allows("node.hostname", name)):
            refuse("constraints", f"The service's volumes are on {name}; {constraint} excludes it.")


def warnings(cleaned: Cleaned, choices: ServiceChoices) -> list[str]:
    """Return what is allowed and may still not be meant."""
    found = []
    pin = pin_of(cleaned["volumes"])
    replicas = cleaned["replicas"] or 0
    if pin and replicas > 1:
        found.append(
            f"All {replicas} tasks run on {choices.node_name(pin)}, where the volume is, and share "
            "its files."
        )
    if cleaned["volumes"] and cleaned["update_order"] == "start-first":
        found.append("During an update the old and the new task use the volume at the same time.")
    ids, hosts = dict(choices.nodes), {name for _, name in choices.nodes}
    for constraint in readable(cleaned["constraints"]):
        known = {"node.id": ids, "node.hostname": hosts}.get(constraint.key)
        if known is not None and constraint.operator == "==" and constraint.value not in known:
            found.append(f"No node of this cluster meets {constraint} now.")
    return found


def check_domains(rows: Sequence[Any], cleaned: dict[str, Any], choices: ServiceChoices) -> None:
    """Refuse domains where nothing could publish them, or that stand here twice."""
    seen: set[str] = set()
    for row in rows:
        domain = row.cleaned_data.get("domain", "")
        if domain and not choices.has_load_balancer:
            row.add_error("domain", "Deploy the load balancer first; without it nothing is mapped.")
        elif domain and INTERNAL_NETWORK not in cleaned.get("networks", []):
            row.add_error("domain", "The service must be on the internal network to be reached.")
        elif domain in seen:
            row.add_error("domain", f"“{domain}” stands here twice.")
        seen.add(domain)
