"""Read placement constraints as the swarm reads them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

KEYS = (
    "node.id",
    "node.hostname",
    "node.ip",
    "node.role",
    "node.platform.os",
    "node.platform.arch",
)
LABEL_PREFIXES = ("node.labels.", "engine.labels.")
LABEL = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9\-_.]*")
VALUE = re.compile(r"[a-zA-Z0-9:\-_\s.*()?+\[\]\\^$|/]+")


@dataclass(frozen=True)
class Constraint:
    """One condition on the nodes that may run a service's tasks."""

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"

    def allows(self, key: str, value: str) -> bool:
        """Say whether nodes with this value may be chosen; one about another key says nothing."""
        if self.key != key:
            return True
        return (self.value.lower() == value.lower()) == (self.operator == "==")


def parse_constraint(text: str) -> Constraint:
    """Read a constraint such as node.role==worker, or say what is wrong with it."""
    parts = re.split(r"(==|!=)", text, maxsplit=1)
    if len(parts) != 3:
        raise ValueError(f"“{text}”: write key==value or key!=value.")
    key, operator, value = (part.strip() for part in parts)
    is_label = key.startswith(LABEL_PREFIXES)
    if not is_label and key not in KEYS:
        allowed = ", ".join((*KEYS, *(f"{prefix}NAME" for prefix in LABEL_PREFIXES)))
        raise ValueError(f"“{key}” is not something to place by. Use {allowed}.")
    if is_label and not LABEL.fullmatch(key.split(".", 2)[2]):
        raise ValueError(f"“{key}”: a label has letters, digits, points, dashes and underscores.")
    if not VALUE.fullmatch(value):
        raise ValueError(f"“{text}”: the swarm cannot compare with “{value}”.")
    if key == "node.role" and value not in ("manager", "worker"):
        raise ValueError(f"“{text}”: a node's role is manager or worker.")
    if key == "node.ip":
        try:
            ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"“{text}”: “{value}” is not an IP address or range.") from None
    return Constraint(key, operator, value)


def parse_preference(text: str) -> str:
    """Read what to spread tasks over, such as node.labels.zone."""
    bare = re.sub(r"^spread\s*=\s*", "", text.strip())
    name = next((bare[len(p) :] for p in LABEL_PREFIXES if bare.startswith(p)), "")
    if not LABEL.fullmatch(name):
        raise ValueError(f"“{text}”: write a label to spread over, such as node.labels.zone.")
    return bare


def readable(texts: Iterable[str]) -> list[Constraint]:
    """Return the constraints that can be read; the Engine may hold others."""
    found = []
    for text in texts:
        try:
            found.append(parse_constraint(text))
        except ValueError:
            continue
    return found


def pinned_node(texts: Iterable[str]) -> str:
    """Return the id of the one node that the constraints ask for, or nothing."""
    pins = {c.value for c in readable(texts) if c.key == "node.id" and c.operator == "=="}
    return pins.pop() if len(pins) == 1 else ""
