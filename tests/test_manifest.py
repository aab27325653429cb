"""What a snapshot's manifest promises: everything, or why not; one form; no secret."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.canonical import BadManifest, canonical, digest
from backups.manifest import Expected, Manifest, assemble, check_belongs, parse, serialise
from backups.parts import Environment, Report, Secret, VolumeKey, VolumePart, VolumeState
from tests.strategies import JSON

NOON = datetime(2025, 6, 18, 12, tzinfo=UTC)
DATA, LOGS, CACHE = VolumeKey("a", "data"), VolumeKey("b", "logs"), VolumeKey("b", "cache")
EXPECTED = Expected(
    cluster="c1", due=NOON, nodes=frozenset({"a", "b"}), volumes=frozenset({DATA, LOGS})
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé\U0001f600Z"), inner),
    max_leaves=15,
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


# Canonical JSON


@given(DOCUMENTS)
def test_canonical_json_reads_back_as_the_same_value_in_the_same_bytes(value: Any) -> None:
    written = canonical(value)

    assert json.loads(written) == value
    assert canonical(json.loads(written)) == written


@given(st.dictionaries(st.text("aé\U0001f600\uffee"), st.integers(), max_size=6), st.randoms())
def test_the_order_of_keys_changes_no_digest(value: dict[str, int], chance: Any) -> None:
    items = list(value.items())
    chance.shuffle(items)

    assert digest(canonical(dict(items))) == digest(canonical(value))


def test_canonical_json_has_sorted_keys_no_spaces_and_text_as_it_is() -> None:
    value = {"b": [1, True, None], "a": "é \u2028", "e\u0301": ()}
    assert canonical(value) == '{"a":"é \u2028","b":[1,true,null],"e\u0301":[]}'.encode()
    assert canonical("é") != canonical("e\u0301")
    assert digest(b"abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"a": [{"b": 0.5}]}, "the value.'a'[0].'b' is a fraction"),
        (float("nan"), "is a fraction"),
        (2.0, "is a fraction"),
        ({1: "a"}, "a key that is a whole number"),
        (b"x", "of type bytes"),
        ({"x": {1, 2}}, "of type set"),
        (NOON, "of type datetime"),
        ("\ud800", "half a character"),
        pytest.param(10**5000, "too long", id="too long"),
    ],
)
def test_what_has_no_single_form_is_refused(value: Any, complaint: str) -> None:
    with pytest.raises(BadManifest) as caught:
        canonical(value)
    assert complaint in str(caught.value)


def test_endless_nesting_is_refused_when_written_and_when_read() -> None:
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(BadManifest, match="nested"):
        canonical(nested)
    with pytest.raises(BadManifest):
        parse(Manifest, b"[" * 100_000)


# The verdict


def test_a_snapshot_with_every_part_is_complete() -> None:
    manifest = assemble(EXPECTED, WHOLE)

    assert (manifest.state, manifest.reasons) == ("complete", ())
    assert [part.key for part in manifest.volumes] == [DATA, LOGS]


def test_a_cluster_without_volumes_is_complete_with_its_environment() -> None:
    expected = Expected(cluster="c1", due=NOON, nodes=frozenset({"a"}))
    assert assemble(expected, [report("a", environment=Environment())]).state == "complete"


def test_a_node_that_did_not_report_makes_it_partial_and_its_volumes_failed() -> None:
    manifest = assemble(EXPECTED, WHOLE[:1])

    assert manifest.state == "partial"
    assert manifest.reasons == (
        'Node "b" did not report.',
        'Volume "logs" of node "b" failed: its node did not report.',
    )
    assert [part.state for part in manifest.volumes] == ["captured", "failed"]


def test_a_node_without_known_volumes_must_report_as_well() -> None:
    expected = replace(EXPECTED, nodes=frozenset({"a", "b", "new"}))
    assert assemble(expected, WHOLE).reasons == ('Node "new" did not report.',)


def test_a_volume_that_is_gone_is_no_success() -> None:
    manifest = assemble(EXPECTED, [WHOLE[0], report("b")])
    assert manifest.reasons == ('Volume "logs" of node "b" failed: it was not on its node.',)


def test_a_volume_that_only_the_agent_knew_counts_when_it_was_killed_over_it() -> None:
    manifest = assemble(EXPECTED, [WHOLE[0], report("b", captured(LOGS), seen=("logs", "cache"))])

    assert manifest.state == "partial"
    assert "saw it, but did not say" in manifest.reasons[0]


def test_a_failed_volume_is_a_reason_even_if_nobody_expected_it() -> None:
    manifest = assemble(EXPECTED, [WHOLE[0], report("b", captured(LOGS), lost(CACHE))])
    assert manifest.reasons == ('Volume "cache" of node "b" failed: disk on fire',)


@pytest.mark.parametrize("parts", [(), (lost(LOGS),), (lost(LOGS, "excluded", "as told"),)])
def test_what_policy_excludes_is_no_reason(parts: tuple[VolumePart, ...]) -> None:
    manifest = assemble(
        replace(EXPECTED, excluded={LOGS: "can be made again"}), [WHOLE[0], report("b", *parts)]
    )

    assert manifest.state == "complete"
    assert manifest.volumes[1].state == "excluded"


def test_without_the_environment_it_is_partial() -> None:
    manifest = assemble(EXPECTED, [report("a", captured(DATA)), WHOLE[1]])
    assert manifest.state == "partial"
    assert manifest.reasons == ("No node reported the environment.",)


def test_what_the_environment_lacks_is_a_reason() -> None:
    lacking = replace(ENVIRONMENT, failures=("The networks could not be read.",))
    manifest = assemble(EXPECTED, [report("a", captured(DATA), environment=lacking), WHOLE[1]])
    assert (manifest.state, manifest.reasons) == ("partial", ("The networks could not be read.",))


def test_a_secret_that_cannot_be_restored_is_a_reason_unless_policy_excludes_it() -> None:
    secret = Secret(name="token", restorable=False, reason="it comes from a driver.")
    reports = [
        report("a", captured(DATA), environment=replace(ENVIRONMENT, secrets=(secret,))),
        WHOLE[1],
    ]

    manifest = assemble(EXPECTED, reports)
    assert manifest.state == "partial"
    assert manifest.reasons == ('Secret "token" cannot be restored: it comes from a driver.',)
    excluding = replace(EXPECTED, excluded_secrets=frozenset({"token"}))
    assert assemble(excluding, reports).state == "complete"


@pytest.mark.parametrize("reports", [[], [report("a", lost(DATA)), report("b", lost(LOGS))]])
def test_nothing_to_restore_from_is_failed(reports: list[Report]) -> None:
    manifest = assemble(EXPECTED, reports)
    assert manifest.state == "failed"
    assert "No node reported the environment." in manifest.reasons


def test_a_second_attempt_that_succeeds_counts_whenever_it_arrives() -> None:
    first, second = report("b", lost(LOGS)), report("b", captured(LOGS))

    assert assemble(EXPECTED, [WHOLE[0], first, second]).state == "complete"
    assert assemble(EXPECTED, [second, first, WHOLE[0]]).state == "complete"


def test_two_leaders_in_one_hour_leave_the_better_environment() -> None:
    worse = report("b", captured(LOGS), environment=Environment(failures=("No secrets.",)))
    assert assemble(EXPECTED, [worse, WHOLE[0]]).environment == ENVIRONMENT


PARTS = st.sampled_from(
    [
        lost,
        captured,
        lambda key: captured(key, "2"),
        lambda key: lost(key, "excluded", "as told"),
    ]
)


@st.composite
def some_reports(draw: st.DrawFn) -> list[Report]:
    found = []
    for node in draw(st.lists(st.sampled_from("abc"), max_size=4)):
        names = draw(st.sets(st.sampled_from(["data", "logs", "cache"])))
        parts = [draw(PARTS)(VolumeKey(node, name)) for name in sorted(names)]
        seen = draw(st.sets(st.sampled_from(["data", "logs", "new"])))
        environment = draw(st.sampled_from([None, ENVIRONMENT, Environment(failures=("Oh.",))]))
        found.append(report(node, *parts, seen=tuple(sorted(seen)), environment=environment))
    return found


@given(some_reports(), st.sets(st.sampled_from([DATA, LOGS, CACHE])))
def test_complete_means_that_everything_is_there_and_nothing_is_ever_dropped(
    reports: list[Report], excluded: set[VolumeKey]
) -> None:
    expected = replace(EXPECTED, excluded=dict.fromkeys(excluded, "policy"))
    manifest = assemble(expected, reports)
    states = {part.key: part.state for part in manifest.volumes}
    good = {part.key for r in reports for part in r.volumes if part.state == "captured"}
    seen = {VolumeKey(r.node, name) for r in reports for name in r.seen}

    assert states.keys() >= EXPECTED.volumes | seen | good
    assert {key for key, state in states.items() if state == "captured"} == good
    assert (manifest.state == "complete") == (manifest.reasons == ())
    if manifest.state == "complete":
        assert {r.node for r in reports} >= EXPECTED.nodes
        assert "failed" not in states.values()
        assert manifest.environment and not manifest.environment.failures
    assert (manifest.state == "failed") == (not good and not any(r.environment for r in reports))


@given(some_reports(), st.randoms())
def test_order_and_repetition_of_reports_change_no_byte(reports: list[Report], chance: Any) -> None:
    again = reports + reports
    chance.shuffle(again)
    assert serialise(assemble(EXPECTED, again)) == serialise(assemble(EXPECTED, reports))


@given(some_reports())
def test_every_manifest_and_report_is_read_as_it_was_written(reports: list[Report]) -> None:
    manifest = assemble(EXPECTED, reports)
    assert parse(Manifest, serialise(manifest)) == manifest
    for one in reports:
        assert parse(Report, serialise(one)) == one


@given(st.lists(st.dictionaries(st.text("abc"), JSON, max_size=3), max_size=3))
def test_the_engines_own_json_survives(objects: list[dict[str, Any]]) -> None:
    kept = report("a", environment=Environment(services=tuple(objects), networks=tuple(objects)))
    assert parse(Report, serialise(kept)) == kept


# Strangers and damage


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


# Secrets


@pytest.mark.parametrize(
    "spec", [{"Data": "cGFzcw=="}, {"Spec": {"data": "cGFzcw=="}}, {"Labels": {"a": [{"DATA": 1}]}}]
)
def test_the_value_of_a_secret_is_refused_and_not_repeated(spec: dict[str, Any]) -> None:
    with pytest.raises(BadManifest) as caught:
        Secret(name="key", restorable=True, spec=spec)
    assert str(caught.value) == 'Secret "key" carries its value.'


def test_a_value_that_got_into_a_secret_later_is_not_written() -> None:
    secret = Secret(name="key", restorable=True, spec={"Name": "key"})
    kept = report("a", environment=Environment(secrets=(secret,)))
    secret.spec["Data"] = "cGFzcw=="
    with pytest.raises(BadManifest, match="carries its value"):
        serialise(kept)


def test_a_value_beside_the_known_fields_of_a_secret_is_refused_and_not_repeated() -> None:
    content = json.loads(serialise(WHOLE[0]))
    content["environment"]["secrets"][0]["Data"] = "cGFzcw=="
    with pytest.raises(BadManifest) as caught:
        parse(Report, canonical(content))
    assert "unknown field 'Data'" in str(caught.value)
    assert "cGFzcw" not in str(caught.value)


@pytest.mark.parametrize("name", ["Password", "password", "Auth", "IdentityToken"])
def test_the_credentials_of_a_registry_are_refused(name: str) -> None:
    with pytest.raises(BadManifest, match="carries its credentials"):
        Environment(registries=({"Address": "r", "login": {name: "pass"}},))


def test_a_secret_has_a_reason_exactly_if_it_is_lost() -> None:
    with pytest.raises(BadManifest):
        Secret(name="key", restorable=False)
    with pytest.raises(BadManifest):
        Secret(name="key", restorable=True, reason="Why?")


# What came later


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
