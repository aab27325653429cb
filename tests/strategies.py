"""What property tests draw from: text, JSON, and what a valid service form hands over."""

from typing import Any

from hypothesis import strategies as st

from clusters.spec import text
from clusters.spec.defaults import DEFAULTS, HEALTH

Json = dict[str, Any]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("abc", max_size=2), JSON, max_size=4)
WORDS = st.text("abcxyz019-", min_size=1, max_size=6)
PRINTED = st.text("aZ0 =\"'\\#$é€/", max_size=12)
ANY_TEXT = st.text("aZ =\"'\\#$é\n\r\t\v\x1c\u2028", max_size=12)
TIMES = st.integers(1, 10**14)
COUNTS = st.none() | st.integers(1, 10**6)
LABELS = st.dictionaries(WORDS.map("team.{}".format), PRINTED, max_size=3)


def rows(kind: str) -> st.SearchStrategy[list[Json]]:
    """Make the form's rows of secrets or configs, each with a path of its own."""
    row = st.fixed_dictionaries(
        {
            "name": WORDS,
            "target": WORDS.map(f"{kind}-{{}}".format),
            "uid": st.integers(0, 9999).map(str),
            "gid": st.integers(0, 9999).map(str),
            "mode": st.integers(0, 0o777),
        }
    )
    return st.lists(row, max_size=3, unique_by=lambda one: str(one["target"]))


@st.composite
def cleaned_values(draw: st.DrawFn) -> Json:
    """Make what the form hands over once it is valid."""
    mode = draw(st.sampled_from(["replicated", "global", "replicated-job", "global-job"]))
    is_job = mode.endswith("-job")
    node = draw(WORDS)
    values = DEFAULTS | {
        "name": draw(WORDS),
        "image": draw(WORDS),
        "command": draw(st.lists(PRINTED, max_size=3)),
        "args": draw(st.lists(PRINTED, max_size=3)),
        "hostname": draw(st.just("") | WORDS),
        "working_dir": draw(st.just("") | WORDS.map("/{}".format)),
        "user": draw(st.just("") | WORDS),
        "environment": draw(st.lists(WORDS.map("{}=1".format), max_size=3)),
        "mode": mode,
        "replicas": draw(st.integers(0, 50)) if mode == "replicated" else None,
        "cpu_limit": draw(COUNTS),
        "memory_limit": draw(COUNTS),
        "pids_limit": draw(COUNTS),
        "cpu_reservation": draw(COUNTS),
        "memory_reservation": draw(COUNTS),
        "constraints": draw(st.lists(WORDS.map("node.labels.a=={}".format), max_size=2)),
        "preferences": draw(st.lists(WORDS.map("node.labels.{}".format), max_size=2)),
        "max_replicas": draw(COUNTS) if mode == "replicated" else None,
        "secrets": draw(rows("secret")),
        "configs": draw(rows("config")),
        "volumes": [
            {"volume": f"{node}/{name}", "path": f"/mnt/{name}", "read_only": draw(st.booleans())}
            for name in draw(st.lists(WORDS, max_size=2, unique=True))
        ],
        "tmpfs": [
            {"path": f"/tmp/{name}", "size": draw(COUNTS)}
            for name in draw(st.lists(WORDS, max_size=2, unique=True))
        ],
        "networks": sorted(draw(st.sets(WORDS, max_size=2))),
        "endpoint_mode": draw(st.sampled_from(["auto", "vip", "dnsrr"])),
        "restart_condition": draw(st.sampled_from(["on-failure", "none"] + ["any"] * (not is_job))),
        "restart_delay": draw(TIMES),
        "restart_max_attempts": draw(st.integers(0, 9)),
        "restart_window": draw(TIMES),
        "read_only": draw(st.booleans()),
        "init": draw(st.booleans()),
        "no_new_privileges": draw(st.booleans()),
        "capability_drop": sorted(draw(st.sets(st.sampled_from(["ALL", "CAP_KILL", "CAP_CHOWN"])))),
        "labels": draw(LABELS),
        "container_labels": draw(LABELS),
        "stop_grace_period": draw(TIMES),
        "stop_signal": draw(st.sampled_from(["", "SIGQUIT"])),
    }
    if mode == "replicated-job":
        values |= {"total_completions": draw(st.integers(1, 9)), "max_concurrent": 2}
    if draw(st.booleans()):
        values |= {"log_driver": "json-file", "log_options": draw(LABELS)}
    return values | draw(health()) | ({} if is_job else draw(strategies()))


@st.composite
def health(draw: st.DrawFn) -> Json:
    """Make a health check."""
    mode = draw(st.sampled_from(["image", "shell", "exec", "none"]))
    if mode in ("image", "none"):
        return HEALTH | {"health_mode": mode}
    words = draw(st.lists(PRINTED, min_size=1, max_size=3))
    return {
        "health_mode": mode,
        "health_command": text.format_command(words),
        "health_interval": draw(TIMES),
        "health_timeout": draw(TIMES),
        "health_retries": draw(st.integers(1, 9)),
        "health_start_period": draw(st.just(0) | TIMES),
    }


@st.composite
def strategies(draw: st.DrawFn) -> Json:
    """Make an update and a rollback strategy."""
    return {
        f"{kind}_{key}": value
        for kind in ("update", "rollback")
        for key, value in {
            "order": draw(st.sampled_from(["stop-first", "start-first"])),
            "parallelism": draw(st.integers(0, 9)),
            "delay": draw(st.just(0) | TIMES),
            "monitor": draw(TIMES),
            "max_failure_ratio": draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
            "failure_action": draw(st.sampled_from(["pause", "continue"])),
        }.items()
    }


CLEANED = cleaned_values()
