"""A manifest or report is read as it was written, or refused."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.canonical import BadManifest
from backups.manifest import Manifest, assemble, check_belongs, parse, serialise
from backups.parts import Environment, Report
from tests.manifests import (
    DATA,
    ENVIRONMENT,
    EXPECTED,
    NOON,
    WHOLE,
    captured,
    changed,
    lost,
    report,
)


def test_reports_of_another_cluster_or_time_are_refused() -> None:
    with pytest.raises(BadManifest, match='belongs to the cluster "c2", not to "c1"'):
        assemble(EXPECTED, [replace(WHOLE[0], cluster="c2")])
    with pytest.raises(BadManifest, match='Node "a" reported for another time'):
        assemble(EXPECTED, [replace(WHOLE[0], due=NOON + timedelta(hours=1))])


def test_a_manifest_of_another_cluster_is_refused() -> None:
    manifest = assemble(EXPECTED, WHOLE)
    check_belongs(manifest, "c1")
    with pytest.raises(BadManifest, match='belongs to the cluster "c1", not to "c2"'):
        check_belongs(manifest, "c2")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"extra": 1}, "unknown field 'extra'"),
        ({"format": 2, "later": 1}, "Format 2 is not known"),
        ({"format": True}, "Manifest.format is true or false, not a whole number"),
        ({"cluster": ""}, "cluster is missing"),
        ({"cluster": 5}, "Manifest.cluster is a whole number, not a text"),
        ({"due": "yesterday"}, "Manifest.due is not a time"),
        ({"due": "2025-06-18T12:00:00"}, "not in UTC"),
        ({"due": "2025-06-18T14:00:00+02:00"}, "not in UTC"),
        ({"due": "2025-06-18 12:00:00+00:00"}, "not canonical"),
        ({"state": "fine"}, "none of complete, partial, failed"),
        ({"state": ["fine"]}, "none of complete, partial, failed"),
        ({"state": "partial"}, "say otherwise"),
        ({"state": "partial", "reasons": [""]}, "A reason is empty"),
        ({"reasons": ["Oh."]}, "say otherwise"),
        ({"environment": None}, "say otherwise"),
        ({"environment": []}, "Manifest.environment is a list, not an object"),
        ({"volumes": {}}, "Manifest.volumes is an object, not a list"),
        ({"volumes": ["x"]}, "Manifest.volumes[0] is a text, not an object"),
        ({"volumes": [{}]}, "Manifest.volumes[0] has no field"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    fields: dict[str, Any], complaint: str
) -> None:
    whole = serialise(assemble(EXPECTED, WHOLE))
    with pytest.raises(BadManifest) as caught:
        parse(Manifest, changed(whole, **fields))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"bytes": -1}, "negative size"),
        ({"bytes": None}, "bytes is null, not a whole number"),
        ({"files": True}, "files is true or false"),
        ({"snapshot": "latest"}, "64 hexadecimal digits"),
        ({"snapshot": "", "tree": ""}, "64 hexadecimal digits"),
        ({"tree": ""}, "64 hexadecimal digits"),
        ({"reason": "Oh."}, "a reason belongs to"),
        ({"state": "failed"}, "a reason belongs to"),
        ({"state": "failed", "reason": "Oh."}, "say otherwise"),
        ({"state": "excluded", "reason": "Oh."}, "has a size but no snapshot"),
        ({"node": "b", "volume": "logs"}, "is twice in the manifest"),
        ({"volume": ""}, "no name or no node"),
    ],
)
def test_a_volume_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    whole = serialise(assemble(EXPECTED, WHOLE))
    first, *others = json.loads(whole)["volumes"]
    with pytest.raises(BadManifest) as caught:
        parse(Manifest, changed(whole, volumes=[first | fields, *others]))
    assert complaint in str(caught.value)


def test_other_bytes_for_the_same_manifest_are_refused() -> None:
    whole = serialise(assemble(EXPECTED, WHOLE))
    twice = b'{"cluster":"c2",' + whole[1:]
    for other in (json.dumps(json.loads(whole)).encode(), whole + b"\n", twice):
        with pytest.raises(BadManifest, match="not canonical"):
            parse(Manifest, other)


@given(st.data())
def test_a_damaged_byte_is_never_taken_for_the_same_manifest(data: st.DataObject) -> None:
    manifest = assemble(EXPECTED, WHOLE)
    whole = bytearray(serialise(manifest))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(BadManifest):
        assert parse(Manifest, bytes(whole)) != manifest


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[]", b"NaN", b"1.5"])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BadManifest):
        parse(Manifest, content)


def test_a_report_is_no_manifest() -> None:
    with pytest.raises(BadManifest, match="unknown field"):
        parse(Manifest, serialise(WHOLE[0]))


def test_a_report_speaks_for_its_own_node_only() -> None:
    with pytest.raises(BadManifest, match='not of the report of node "b"'):
        report("b", captured(DATA))
    with pytest.raises(BadManifest, match="is twice"):
        report("a", captured(DATA), lost(DATA))
    with pytest.raises(BadManifest, match="not in UTC"):
        Report(cluster="c1", due=NOON.astimezone(timezone(timedelta(hours=2))), node="a")


LATER = {
    "added_bytes": 1024,
    "started": "2025-06-18T12:00:01Z",
    "finished": "2025-06-18T12:00:09Z",
    "spec": {"Driver": "local"},
}


def test_older_files_are_read_and_written_again_as_the_same_bytes() -> None:
    whole = serialise(assemble(EXPECTED, WHOLE))

    assert not {*LATER} & {*json.loads(whole)["volumes"][0]}
    assert "anchor" not in json.loads(whole)
    assert serialise(parse(Manifest, whole)) == whole


def test_what_came_later_is_kept_where_it_says_something() -> None:
    part = captured(DATA, added_bytes=1024, spec={"Driver": "local"})
    part = replace(part, started=NOON, finished=NOON + timedelta(seconds=8))
    environment = replace(
        ENVIRONMENT, secrets_snapshot="a" * 64, load_balancer={"Port": 443}, nodes=({"ID": "n"},)
    )
    kept = report(
        "a",
        part,
        environment=environment,
        started=NOON,
        finished=NOON,
        version="12ab",
        trigger="manual",
    )

    assert parse(Report, serialise(kept)) == kept
    anchored = replace(assemble(EXPECTED, WHOLE), anchor={"number": 7, "hash": "b" * 64})
    assert parse(Manifest, serialise(anchored)) == anchored


def test_what_says_nothing_has_no_second_form() -> None:
    whole = serialise(assemble(EXPECTED, WHOLE))

    with pytest.raises(BadManifest, match="not canonical"):
        parse(Manifest, changed(whole, anchor={}))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"added_bytes": -1}, "negative size"),
        ({"started": "2025-06-18T12:00:10Z"}, "ended before it began"),
        ({"started": None}, "ended before it began"),
        ({"started": "2025-06-18T13:00:01+01:00"}, "not in UTC"),
        ({"spec": []}, "spec is a list, not an object"),
    ],
)
def test_a_later_field_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    whole = serialise(assemble(EXPECTED, WHOLE))
    first, *others = json.loads(whole)["volumes"]
    with pytest.raises(BadManifest, match=complaint):
        parse(Manifest, changed(whole, volumes=[first | LATER | fields, *others]))


def test_an_environment_with_credentials_is_refused() -> None:
    with pytest.raises(BadManifest, match="carries credentials"):
        Environment(load_balancer={"Dns": {"Password": "x"}})
    with pytest.raises(BadManifest, match="64 hexadecimal"):
        Environment(secrets_snapshot="latest")
