"""The manifest of one snapshot: all parts, whether that is everything, and if not, why.

reports of the agents + what was expected → assemble → serialise → repository and row → parse
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeVar

from backups.canonical import LATER, BadManifest, Json, canonical, load, plain, typed
from backups.parts import (
    FORMAT,
    Environment,
    Report,
    VolumeKey,
    VolumePart,
    check_head,
    refuse_twice,
    require,
)

State = Literal["complete", "partial", "failed"]

NO_ENVIRONMENT = "No node reported the environment."
BEST_FIRST = ("captured", "excluded", "failed")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One snapshot of one cluster: its verdict, why, and all of its parts.

    `anchor` is the head of the audit chain when the manifest was made.
    """

    cluster: str
    due: datetime
    state: State
    reasons: tuple[str, ...]
    environment: Environment | None
    volumes: tuple[VolumePart, ...]
    format: int = FORMAT
    anchor: Json = field(default_factory=dict, metadata=LATER)

    def __post_init__(self) -> None:
        check_head(self.format, self.cluster, self.due)
        refuse_twice((str(part.key) for part in self.volumes), "the manifest")
        require(all(self.reasons), "A reason is empty.")
        verdict = _verdict(self.environment, self.volumes, self.reasons)
        require(
            self.state == verdict
            and set(_faults(self.environment, self.volumes)) <= {*self.reasons},
            f"The manifest says {self.state}, but its parts and reasons say otherwise.",
        )


Kept = TypeVar("Kept", Manifest, Report)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a snapshot must hold: who reports, the volumes known, and what policy leaves out."""

    cluster: str
    due: datetime
    nodes: frozenset[str] = frozenset()
    volumes: frozenset[VolumeKey] = frozenset()
    excluded: Mapping[VolumeKey, str] = field(default_factory=dict)
    excluded_secrets: frozenset[str] = frozenset()


def assemble(expected: Expected, reports: Iterable[Report]) -> Manifest:
    """Make the manifest of what the agents reported, in whatever order and however often.

    Complete only if every node reported, and the environment, every secret and every volume that
    was expected or that an agent saw was captured or excluded by policy. Failed if there is nothing
    to restore from. A volume that nobody reported is in the manifest as failed.

    Raise BadManifest for a report of another cluster or another time.
    """
    arrived = list(reports)
    for report in arrived:
        check_belongs(report, expected.cluster)
        require(report.due == expected.due, f'Node "{report.node}" reported for another time.')
    nodes = {report.node for report in arrived}
    environment = _best_environment(arrived)
    volumes = tuple(
        _volume(key, arrived, expected.excluded.get(key, "")) for key in _keys(expected, arrived)
    )
    reasons = (
        *(f'Node "{node}" did not report.' for node in sorted(expected.nodes - nodes)),
        *_faults(environment, volumes),
        *(
            f'Secret "{secret.name}" cannot be restored: {secret.reason}'
            for secret in (environment.secrets if environment else ())
            if not secret.restorable and secret.name not in expected.excluded_secrets
        ),
    )
    return Manifest(
        cluster=expected.cluster,
        due=expected.due,
        state=_verdict(environment, volumes, reasons),
        reasons=reasons,
        environment=environment,
        volumes=volumes,
    )


def serialise(kept: Manifest | Report) -> bytes:
    """Write a manifest or a report as canonical JSON, and never what `parse` would refuse."""
    content = canonical(plain(kept))
    # Objects inside may have changed since they were checked, and got the value of a secret.
    typed(type(kept), load(content), type(kept).__name__)
    return content


def parse(kind: type[Kept], content: bytes) -> Kept:
    """Read a manifest or a report; raise BadManifest for all but what `serialise` writes."""
    value = load(content)
    if isinstance(value, dict) and isinstance(form := value.get("format"), int):
        # First, because what a later format has more of would seem to be a mistake.
        require(form == FORMAT, f"Format {form} is not known here; only {FORMAT} is.")
    kept = typed(kind, value, kind.__name__)
    # One meaning has one form: no field twice, no other order, or the digest would prove nothing.
    require(canonical(plain(kept)) == content, f"This {kind.__name__} is not canonical JSON.")
    return kept


def check_belongs(kept: Manifest | Report, cluster: str) -> None:
    """Raise BadManifest for a manifest or report of another cluster."""
    if kept.cluster != cluster:
        raise BadManifest(f'This belongs to the cluster "{kept.cluster}", not to "{cluster}".')


def _verdict(
    environment: Environment | None, volumes: Iterable[VolumePart], reasons: Iterable[str]
) -> State:
    """Decide the state: failed means that there is nothing to restore from."""
    if environment is None and all(part.state != "captured" for part in volumes):
        return "failed"
    return "partial" if [*reasons] else "complete"


def _faults(environment: Environment | None, volumes: Iterable[VolumePart]) -> tuple[str, ...]:
    """Say in plain words what failed in the parts themselves."""
    return (
        *((NO_ENVIRONMENT,) if environment is None else environment.failures),
        *(f"{part.key} failed: {part.reason}" for part in volumes if part.state == "failed"),
    )


def _keys(expected: Expected, reports: Iterable[Report]) -> list[VolumeKey]:
    """Return every volume that was expected, seen or reported, by node and name."""
    keys = {*expected.volumes}
    for report in reports:
        keys.update(VolumeKey(report.node, volume) for volume in report.seen)
        keys.update(part.key for part in report.volumes)
    return sorted(keys)


def _volume(key: VolumeKey, reports: Iterable[Report], excluded: str) -> VolumePart:
    """Return the best that was reported of a volume; policy excuses what failed or is missing."""
    from_node = [report for report in reports if report.node == key.node]
    parts = [part for report in from_node for part in report.volumes if part.key == key]
    # By content where nothing else decides, so that the order of arrival changes no manifest.
    parts.sort(key=lambda part: (BEST_FIRST.index(part.state), canonical(plain(part))))
    if parts and (parts[0].state != "failed" or not excluded):
        return parts[0]
    absent = VolumePart(node=key.node, volume=key.volume, state="failed", reason="-")
    if excluded:
        return replace(absent, state="excluded", reason=excluded)
    if not from_node:
        return replace(absent, reason="its node did not report.")
    if not any(key.volume in report.seen for report in from_node):
        return replace(absent, reason="it was not on its node.")
    return replace(absent, reason="its node saw it, but did not say what became of it.")


def _best_environment(reports: Iterable[Report]) -> Environment | None:
    """Return the environment with the fewest failures: leadership may have moved in between."""
    found = [report.environment for report in reports if report.environment]
    return min(found, default=None, key=lambda one: (len(one.failures), canonical(plain(one))))
