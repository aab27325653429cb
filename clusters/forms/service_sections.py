"""The order in which the service form is drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.forms import BoundField, Form

from clusters.forms.service_rows import Rows
from clusters.spec.defaults import DEFAULTS, STRATEGIES, STRATEGY

Fields = Sequence["str | tuple[str, ...]"]


@dataclass(frozen=True)
class Plan:
    """A section as planned: names of fields (a tuple stands in one line) and of rows."""

    title: str
    description: str
    fields: Fields = ()
    rows: tuple[str, ...] = ()
    optional: bool = True


@dataclass(frozen=True)
class Section:
    """A section as it is drawn."""

    title: str
    description: str
    fields: list["BoundField | tuple[BoundField, ...]"]
    formsets: list[Rows]
    collapsed: bool
    has_errors: bool


def strategy_names(kind: str) -> list[tuple[str, ...]]:
    """Return the names of a strategy's fields, in lines of three."""
    found = [f"{kind}_{key}" for key in STRATEGY]
    return [tuple(found[:3]), tuple(found[3:])]


PLANS = (
    Plan("Image", "", ["name", ("registry", "image")], optional=False),
    Plan(
        "Command",
        "Left empty, all of this is as the image says.",
        ["command", "args", ("hostname", "working_dir", "user")],
    ),
    Plan("Environment", "", ["environment"]),
    Plan(
        "Domain mapping",
        "Publishes the service on the internet through the load balancer, HTTPS only. The domain "
        "must resolve to the load balancer's address.",
        rows=("domains",),
    ),
    Plan(
        "Replicas",
        "A service's mode cannot be changed later.",
        ["mode", ("replicas", "total_completions", "max_concurrent")],
        optional=False,
    ),
    Plan(
        "Resources",
        "A limit is the most that one task gets; a reservation is kept free for it.",
        [("cpu_limit", "cpu_reservation"), ("memory_limit", "memory_reservation"), "pids_limit"],
    ),
    Plan("Placement", "", ["constraints", "preferences", "max_replicas"]),
    Plan(
        "Configs and secrets",
        "Files that the container finds. A secret's file lies in /run/secrets, a config's in /.",
        rows=("configs", "secrets"),
    ),
    Plan(
        "Volumes",
        "A service with a volume runs on the node that holds the volume.",
        rows=("volumes", "tmpfs"),
    ),
    Plan(
        "Networks",
        "Services on one network find each other by name.",
        ["networks", "endpoint_mode"],
    ),
    Plan(
        "Health check",
        "A task that fails it is replaced.",
        [
            "health_mode",
            "health_command",
            ("health_interval", "health_timeout"),
            ("health_retries", "health_start_period"),
        ],
    ),
    Plan(
        "Restart and stop",
        "",
        [
            ("restart_condition", "restart_delay"),
            ("restart_max_attempts", "restart_window"),
            ("stop_grace_period", "stop_signal"),
        ],
    ),
    Plan(
        "Update and rollback",
        "How tasks are replaced when the service changes, and when it is rolled back. Jobs have "
        "neither.",
        [line for kind in STRATEGIES for line in strategy_names(kind)],
    ),
    Plan("Security", "", ["read_only", "init", "no_new_privileges", "capability_drop"]),
    Plan("Labels", "", ["labels", "container_labels"]),
    Plan("Log driver", "", ["log_driver", "log_options"]),
)


def sections(form: Form, rows: dict[str, Rows], start: dict[str, Any]) -> Iterator[Section]:
    """Return the sections; those in which nothing differs from the defaults are collapsed."""
    for plan in PLANS:
        names = [*flat(plan.fields), *plan.rows]
        formsets = [rows[name] for name in plan.rows]
        yield Section(
            title=plan.title,
            description=plan.description,
            fields=[bound(form, one) for one in plan.fields],
            formsets=formsets,
            collapsed=plan.optional and all(is_default(start, name) for name in names),
            has_errors=any(form[name].errors for name in flat(plan.fields))
            or any(formset.is_bound and not formset.is_valid() for formset in formsets),
        )


def bound(form: Form, entry: "str | tuple[str, ...]") -> "BoundField | tuple[BoundField, ...]":
    """Return a field, or the fields of one line."""
    return form[entry] if isinstance(entry, str) else tuple(form[name] for name in entry)


def flat(fields: Fields) -> list[str]:
    """Return the names of all fields."""
    return [name for one in fields for name in ((one,) if isinstance(one, str) else one)]


def is_default(start: dict[str, Any], name: str) -> bool:
    """Say whether a value is what it is if nobody says otherwise."""
    if name == "domains":
        return not start[name]
    if name == "networks":
        return start[name] in ([], ["internal"])
    return bool(start.get(name) == DEFAULTS.get(name))
