"""What a service is unless somebody says otherwise: all of it is written into the spec."""

from typing import Any

Json = dict[str, Any]
SECOND = 10**9

ENDPOINT_LABEL = "medstack.endpoint-mode"
GENERATION_LABEL = "medstack.generation"
SERVICE_LABEL = "medstack.service"

STRATEGY: Json = {
    "order": "stop-first",
    "parallelism": 1,
    "delay": 0,
    "monitor": 5 * SECOND,
    "max_failure_ratio": 0.0,
    "failure_action": "pause",
}
STRATEGY_KEYS = {
    "order": "Order",
    "parallelism": "Parallelism",
    "delay": "Delay",
    "monitor": "Monitor",
    "max_failure_ratio": "MaxFailureRatio",
    "failure_action": "FailureAction",
}
STRATEGIES = {"update": "UpdateConfig", "rollback": "RollbackConfig"}

HEALTH: Json = {
    "health_mode": "image",
    "health_command": "",
    "health_interval": 30 * SECOND,
    "health_timeout": 30 * SECOND,
    "health_retries": 3,
    "health_start_period": 0,
}

DEFAULTS: Json = {
    "name": "",
    "image": "",
    "command": [],
    "args": [],
    "hostname": "",
    "working_dir": "",
    "user": "",
    "environment": [],
    "mode": "replicated",
    "replicas": 1,
    "total_completions": None,
    "max_concurrent": None,
    "cpu_limit": None,
    "memory_limit": None,
    "pids_limit": None,
    "cpu_reservation": None,
    "memory_reservation": None,
    "constraints": [],
    "preferences": [],
    "max_replicas": None,
    "configs": [],
    "secrets": [],
    "volumes": [],
    "tmpfs": [],
    "networks": [],
    "endpoint_mode": "auto",
    **HEALTH,
    "restart_condition": "any",
    "restart_delay": 5 * SECOND,
    "restart_max_attempts": 0,
    "restart_window": 0,
    **{f"{kind}_{key}": value for kind in STRATEGIES for key, value in STRATEGY.items()},
    "read_only": False,
    "init": False,
    "no_new_privileges": False,
    "capability_drop": [],
    "labels": {},
    "container_labels": {},
    "log_driver": "",
    "log_options": {},
    "stop_grace_period": 10 * SECOND,
    "stop_signal": "",
}

MODES = {
    "replicated": "Replicated",
    "global": "Global",
    "replicated-job": "ReplicatedJob",
    "global-job": "GlobalJob",
}


def is_job(mode: str) -> bool:
    """Say whether tasks of this mode end by themselves."""
    return mode.endswith("-job")
