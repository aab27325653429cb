"""The parts of a snapshot, and what can never be true of them.

A report is what one agent captured on its node; the leading manager's has the environment as well.
No part ever contains the value of a secret or the credentials of a registry.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from backups.canonical import LATER, BadManifest, Json

VolumeState = Literal["captured", "failed", "excluded"]
# Why a snapshot was taken: because the hour was full, or because of a person's request, the last
# one of a cluster that is deleted, the safety of what a restore is about to overwrite.
Trigger = Literal["hourly", "manual", "last", "safety"]

FORMAT = 1
IDENTITY = re.compile(r"[0-9a-f]{64}")
# Names under which the Engine, a registry or its client hands over what must stay secret.
VALUES = {"data"}
CREDENTIALS = {"password", "auth", "identitytoken", "registrytoken", "x-registry-auth"}


class VolumeKey(NamedTuple):
    """One volume of one node: a volume's name alone says nothing about where its data is."""

    node: str
    volume: str

    def __str__(self) -> str:
        return f'Volume "{self.volume}" of node "{self.node}"'


@dataclass(frozen=True, kw_only=True)
class Secret:
    """One Swarm secret: what is known about it, never its value."""

    name: str
    restorable: bool
    reason: str = ""
    spec: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        what = f'Secret "{self.name}"'
        require(bool(self.name), "A secret has no name.")
        require(self.restorable == (not self.reason), f"{what}: only a lost value has a reason.")
        require(not _fields(self.spec) & VALUES, f"{what} carries its value.")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The objects of the whole cluster, as the Engine's own JSON; failures in plain words.

    `secrets_snapshot` is the restic snapshot that holds the secrets' values, encrypted.
    """

    services: tuple[Json, ...] = ()
    configs: tuple[Json, ...] = ()
    secrets: tuple[Secret, ...] = ()
    registries: tuple[Json, ...] = ()
    networks: tuple[Json, ...] = ()
    node_labels: tuple[Json, ...] = ()
    domain_mappings: tuple[Json, ...] = ()
    failures: tuple[str, ...] = ()
    secrets_snapshot: str = field(default="", metadata=LATER)
    load_balancer: Json = field(default_factory=dict, metadata=LATER)
    nodes: tuple[Json, ...] = field(default=(), metadata=LATER)
    volume_policies: tuple[Json, ...] = field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        refuse_twice((f'Secret "{secret.name}"' for secret in self.secrets), "the environment")
        require(all(self.failures), "A failure of the environment has no reason.")
        for registry in self.registries:
            require(not _fields(registry) & CREDENTIALS, "A registry carries its credentials.")
        for other in (self.load_balancer, *self.nodes):
            require(not _fields(other) & CREDENTIALS, "The environment carries credentials.")
        require(
            not self.secrets_snapshot or bool(IDENTITY.fullmatch(self.secrets_snapshot)),
            "The snapshot of the secrets needs 64 hexadecimal digits.",
        )


@dataclass(frozen=True, kw_only=True)
class VolumePart:
    """What became of one volume: its restic snapshot and restic's digest of the tree, or why not.

    A failed one may have a snapshot, of which some files could not be read. `spec` is how the
    Engine made the volume: its driver, options (without passwords) and labels.
    """

    node: str
    volume: str
    state: VolumeState
    snapshot: str = ""
    tree: str = ""
    files: int = 0
    bytes: int = 0
    reason: str = ""
    added_bytes: int = field(default=0, metadata=LATER)
    started: datetime | None = field(default=None, metadata=LATER)
    finished: datetime | None = field(default=None, metadata=LATER)
    spec: Json = field(default_factory=dict, metadata=LATER)

    def __post_init__(self) -> None:
        require(bool(self.node and self.volume), "A volume has no name or no node.")
        captured, nothing = self.state == "captured", not (self.snapshot or self.tree)
        require(
            captured == (not self.reason), f"{self.key}: a reason belongs to failed and excluded."
        )
        sizes = (self.files, self.bytes, self.added_bytes)
        require(min(sizes) >= 0, f"{self.key} has a negative size.")
        check_span(self.started, self.finished, str(self.key))
        if self.state == "excluded" or (not captured and nothing):
            require(
                nothing and not any(sizes),
                f"{self.key} has a size but no snapshot.",
            )
        else:
            ids = IDENTITY.fullmatch(self.snapshot) and IDENTITY.fullmatch(self.tree)
            require(bool(ids), f"{self.key}: snapshot and tree need 64 hexadecimal digits each.")

    @property
    def key(self) -> VolumeKey:
        """Return which volume this is."""
        return VolumeKey(self.node, self.volume)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one agent did for one snapshot: the volumes it saw first, then what became of them."""

    cluster: str
    due: datetime
    node: str
    seen: tuple[str, ...] = ()
    volumes: tuple[VolumePart, ...] = ()
    environment: Environment | None = None
    format: int = FORMAT
    started: datetime | None = field(default=None, metadata=LATER)
    finished: datetime | None = field(default=None, metadata=LATER)
    version: str = field(default="", metadata=LATER)
    trigger: Trigger = field(default="hourly", metadata=LATER)

    def __post_init__(self) -> None:
        check_head(self.format, self.cluster, self.due)
        what = f'the report of node "{self.node}"'
        check_span(self.started, self.finished, what)
        require(bool(self.node) and all(self.seen), f"A name is missing in {what}.")
        refuse_twice((str(part.key) for part in self.volumes), what)
        for part in self.volumes:
            require(part.node == self.node, f"{part.key} is not of {what}.")


def check_head(form: int, cluster: str, due: datetime) -> None:
    """Raise BadManifest for an unknown format, no cluster or a time that is not in UTC."""
    require(form == FORMAT, f"Format {form} is not known here; only {FORMAT} is.")
    require(bool(cluster), "The cluster is missing.")
    require(due.utcoffset() == timedelta(0), "The time of the snapshot is not in UTC.")


def check_span(started: datetime | None, finished: datetime | None, what: str) -> None:
    """Raise BadManifest for times that are not in UTC, or an end without or before a start."""
    for moment in (started, finished):
        in_utc = moment is None or moment.utcoffset() == timedelta(0)
        require(in_utc, f"A time of {what} is not in UTC.")
    if finished is not None:
        require(started is not None and started <= finished, f"{what} ended before it began.")


def _fields(value: Any) -> set[str]:
    """Return the lower-case names of all fields at any depth; labels are free text, not fields."""
    return set(_walk(value))


def _walk(value: Any) -> Iterator[str]:
    """Yield the name of each field at any depth."""
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield str(name).lower()
            flat = isinstance(inner, dict) and all(isinstance(v, str) for v in inner.values())
            if not (name == "Labels" and flat):
                yield from _walk(inner)


def refuse_twice(names: Iterable[str], where: str) -> None:
    """Raise BadManifest if anything is named twice."""
    for name, times in Counter(names).items():
        require(times == 1, f"{name} is twice in {where}.")


def require(met: bool, otherwise: str) -> None:
    """Raise BadManifest, in plain words, unless a condition is met."""
    if not met:
        raise BadManifest(otherwise)
