"""What a snapshot's manifest promises: everything, or why not; and no secret."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.canonical import BadManifest, canonical
from backups.manifest import Expected, Manifest, assemble, parse, serialise
from backups.parts import Environment, Report, Secret, VolumeKey, VolumePart
from tests.manifests import (
    CACHE,
    DATA,
    ENVIRONMENT,
    EXPECTED,
    LOGS,
    NOON,
    WHOLE,
    captured,
    lost,
    report,
)
from tests.strategies import JSON


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
