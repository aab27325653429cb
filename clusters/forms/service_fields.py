"""The service form's fields that need nothing of the cluster."""

from typing import Any

from django import forms

from clusters import names
from clusters.forms.fields import (
    CommandField,
    CpuField,
    DurationField,
    EnvironmentField,
    KeyValueField,
    LinesField,
    MemoryField,
)
from clusters.spec.constraints import parse_constraint, parse_preference
from clusters.spec.defaults import DEFAULTS, STRATEGIES

MEGABYTE = 2**20
MILLISECOND = 10**6
MODES = (
    ("replicated", "Replicated: so many tasks, kept running"),
    ("global", "Global: one task on every node, kept running"),
    ("replicated-job", "Job: so many tasks, each runs to its end"),
    ("global-job", "Global job: one task on every node, each runs to its end"),
)
ENDPOINTS = (
    ("auto", "Automatic: as the nodes' kernels allow"),
    ("vip", "Virtual IP"),
    ("dnsrr", "DNS round robin"),
)
HEALTH = (
    ("image", "As the image says"),
    ("shell", "A command, run by a shell in the container"),
    ("exec", "A command, run directly"),
    ("none", "No health check"),
)
CONDITIONS = (("any", "Always"), ("on-failure", "On failure"), ("none", "Never"))
ORDERS = (
    ("stop-first", "Stop first: end the old task, then start the new one"),
    ("start-first", "Start first: start the new task, then end the old one"),
)
PAUSE, CONTINUE = ("pause", "Pause"), ("continue", "Continue")
ACTIONS = {"update": (PAUSE, CONTINUE, ("rollback", "Roll back")), "rollback": (PAUSE, CONTINUE)}
LOG_DRIVERS = ["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"]
# Docker gives a container these; there is no point in dropping others.
CAPABILITIES = [
    "ALL",
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]


def count(label: str, *, least: int = 0, **options: Any) -> forms.IntegerField:
    """Return a field for a number of things."""
    return forms.IntegerField(label=label, min_value=least, max_value=2**31 - 1, **options)


class ContainerFields(forms.Form):
    """What runs, and what it is told."""

    name = forms.CharField(max_length=names.LONGEST_SERVICE)
    registry = forms.ChoiceField(
        required=False,
        help_text="Its address goes before the image's name. Credentials are found by the address.",
    )
    image = forms.CharField(
        max_length=600, help_text="Name and tag, such as nginx:1.27, or with a digest."
    )
    command = CommandField(
        required=False, help_text="Takes the place of the image's entry point. Quote as in a shell."
    )
    args = CommandField(
        required=False,
        label="Arguments",
        help_text="Take the place of the image's command. Quote as in a shell.",
    )
    hostname = forms.CharField(required=False, label="Host name", max_length=255)
    working_dir = forms.CharField(required=False, label="Working directory", max_length=4096)
    user = forms.RegexField(
        r"^[^\s:]+(:[^\s:]+)?$",
        required=False,
        max_length=255,
        help_text="Name or number, with a group after a colon if need be.",
        error_messages={"invalid": "Write USER or USER:GROUP."},
    )
    environment = EnvironmentField(
        required=False,
        key=names.variable,
        label="Variables",
        help_text="One KEY=value per line. In double quotes, \\n is a line break. "
        "Everybody who may see the service sees them; use a secret for what nobody may see.",
    )
    labels = KeyValueField(
        required=False,
        key=names.service_label_key,
        label="Service labels",
        help_text="One key=value per line.",
    )
    container_labels = KeyValueField(
        required=False, key=names.service_label_key, help_text="One key=value per line."
    )


class SchedulingFields(forms.Form):
    """How many tasks, with what, and where."""

    mode = forms.ChoiceField(choices=MODES, label="Mode")
    replicas = count("Replicas", required=False)
    total_completions = count(
        "Tasks to complete", least=1, required=False, help_text="For a job: so many in all."
    )
    max_concurrent = count(
        "At the same time", least=1, required=False, help_text="For a job: so many at most."
    )
    cpu_limit = CpuField(
        required=False, least=MILLISECOND, label="CPU limit", help_text="As in 0.5."
    )
    cpu_reservation = CpuField(required=False, least=MILLISECOND, label="CPU reservation")
    memory_limit = MemoryField(
        required=False, least=6 * MEGABYTE, label="Memory limit", help_text="As in 512M or 1.5G."
    )
    memory_reservation = MemoryField(required=False, least=4 * MEGABYTE, label="Memory reservation")
    pids_limit = count("Process limit", least=1, required=False)
    constraints = LinesField(
        required=False,
        item=parse_constraint,
        help_text="One per line, such as node.role==worker or node.labels.zone!=a. "
        "Nodes must meet all of them.",
    )
    preferences = LinesField(
        required=False,
        item=parse_preference,
        label="Spread over",
        help_text="One label per line, such as node.labels.zone.",
    )
    max_replicas = count("Most tasks per node", least=1, required=False)
    endpoint_mode = forms.ChoiceField(choices=ENDPOINTS, label="Endpoint mode")


class RunningFields(forms.Form):
    """What the swarm does while tasks run, and when they do not."""

    health_mode = forms.ChoiceField(choices=HEALTH, label="Health check")
    health_command = forms.CharField(required=False, label="Check command", max_length=4096)
    health_interval = DurationField(least=MILLISECOND, label="Interval")
    health_timeout = DurationField(least=MILLISECOND, label="Timeout")
    health_retries = count("Retries", least=1)
    health_start_period = DurationField(label="Start period")
    restart_condition = forms.ChoiceField(choices=CONDITIONS, label="Restart")
    restart_delay = DurationField(label="Delay between restarts")
    restart_max_attempts = count("Most attempts", help_text="0 is without end.")
    restart_window = DurationField(
        label="Window", help_text="Attempts are counted within it; 0s is the whole time."
    )
    stop_grace_period = DurationField(
        label="Grace period", help_text="From the stop signal until the task is killed."
    )
    stop_signal = forms.CharField(
        required=False, max_length=20, help_text="Such as SIGQUIT; empty is the image's."
    )
    read_only = forms.BooleanField(required=False, label="Read-only root file system")
    init = forms.BooleanField(required=False, label="Init process that reaps orphans")
    no_new_privileges = forms.BooleanField(
        required=False,
        label="No new privileges",
        help_text="Needs Engine API 1.44 (Docker 25) on every node.",
    )
    capability_drop = forms.MultipleChoiceField(
        required=False, label="Capabilities to drop", help_text="ALL drops every one."
    )
    log_driver = forms.ChoiceField(
        required=False,
        help_text="The console shows the logs of json-file, local and journald.",
    )
    log_options = KeyValueField(
        required=False, label="Options", help_text="One key=value per line, such as max-size=10m."
    )


def strategy_fields(kind: str) -> dict[str, forms.Field]:
    """Return the fields of an update or rollback strategy."""
    title = kind.capitalize()
    return {
        f"{kind}_order": forms.ChoiceField(choices=ORDERS, label=f"{title} order"),
        f"{kind}_parallelism": count(
            f"{title} parallelism", help_text="So many tasks at once; 0 is all."
        ),
        f"{kind}_delay": DurationField(label=f"{title} delay"),
        f"{kind}_monitor": DurationField(
            least=MILLISECOND,
            label=f"{title} monitor",
            help_text="So long each new task is watched for failure.",
        ),
        f"{kind}_max_failure_ratio": forms.FloatField(
            min_value=0, max_value=1, label=f"{title} max failure ratio", help_text="From 0 to 1."
        ),
        f"{kind}_failure_action": forms.ChoiceField(
            choices=ACTIONS[kind], label=f"{title} on failure"
        ),
    }


class ServiceFields(ContainerFields, SchedulingFields, RunningFields):
    """All fields, with what they are if nobody says otherwise."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for kind in STRATEGIES:
            self.fields.update(strategy_fields(kind))
        for name, field in self.fields.items():
            field.initial = DEFAULTS.get(name)
