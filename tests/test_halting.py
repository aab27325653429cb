"""A service that was stopped for a backup is again what it was, whatever came between."""

import json

import pytest

from backups.agent.halting import STOPPED, started
from clusters.drift import changes, meaningful

pytestmark = pytest.mark.no_database
NOTE = {"replicas": 3, "node": "n1", "container": "c1", "until": 0.0}


def spec(replicas: int, *, stopped: bool) -> dict[str, object]:
    labels = {"tier": "data"} | ({STOPPED: json.dumps(NOTE)} if stopped else {})
    return {"Name": "db", "Labels": labels, "Mode": {"Replicated": {"Replicas": replicas}}}


def test_it_is_started_with_as_many_replicas_as_it_had() -> None:
    assert started(spec(0, stopped=True)) == spec(3, stopped=False)


def test_what_was_never_stopped_stays_as_it_is() -> None:
    assert started(spec(0, stopped=False)) == spec(0, stopped=False)


def test_who_scaled_it_meanwhile_is_not_overruled() -> None:
    assert started(spec(5, stopped=True)) == spec(5, stopped=False)


def test_a_note_that_somebody_spoilt_starts_one_replica_and_breaks_nothing() -> None:
    spoilt = spec(0, stopped=False) | {"Labels": {"tier": "data", STOPPED: "three"}}
    assert started(spoilt) == spec(1, stopped=False)
    everywhere = {"Labels": {STOPPED: "x"}, "Mode": {"Global": {}}}
    assert started(everywhere) == {"Labels": {}, "Mode": {"Global": {}}}


def test_the_note_itself_is_nobodys_drift() -> None:
    found = changes(spec(0, stopped=False), spec(0, stopped=True))
    assert found
    assert meaningful(found) == []
