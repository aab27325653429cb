"""A small cluster's reports, for the tests of what becomes of them."""

import json
from datetime import UTC, datetime
from typing import Any

from backups.canonical import canonical
from backups.manifest import Expected
from backups.parts import Environment, Report, Secret, VolumeKey, VolumePart, VolumeState

NOON = datetime(2025, 6, 18, 12, tzinfo=UTC)
DATA, LOGS, CACHE = VolumeKey("a", "data"), VolumeKey("b", "logs"), VolumeKey("b", "cache")
EXPECTED = Expected(
    cluster="c1", due=NOON, nodes=frozenset({"a", "b"}), volumes=frozenset({DATA, LOGS})
)


def captured(key: VolumeKey, seed: str = "1", **more: Any) -> VolumePart:
    sizes = {"files": 3, "bytes": 4096} | more
    return VolumePart(
        node=key.node,
        volume=key.volume,
        state="captured",
        snapshot=seed * 64,
        tree="f" * 64,
        **sizes,
    )


def lost(key: VolumeKey, state: VolumeState = "failed", reason: str = "disk on fire") -> VolumePart:
    return VolumePart(node=key.node, volume=key.volume, state=state, reason=reason)


def report(node: str, *parts: VolumePart, **more: Any) -> Report:
    seen = more.pop("seen", tuple(part.volume for part in parts))
    return Report(cluster="c1", due=NOON, node=node, volumes=parts, seen=seen, **more)


ENVIRONMENT = Environment(
    services=({"ID": "s1", "Spec": {"Name": "web", "Labels": {"é": "ü"}}},),
    configs=({"ID": "k1", "Spec": {"Name": "conf", "Data": "aGVsbG8="}},),
    secrets=(Secret(name="key", restorable=True, spec={"Name": "key", "Labels": {"data": "x"}}),),
    registries=({"Address": "registry.example.com", "Username": "ann"},),
)
WHOLE = (report("a", captured(DATA), environment=ENVIRONMENT), report("b", captured(LOGS)))


def changed(content: bytes, **fields: Any) -> bytes:
    return canonical(json.loads(content) | fields)
