"""What retention holds for every history."""

from collections.abc import Hashable
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backups.retention import provisional, reasons_to_keep
from tests.histories import DAY, HOUR, TORONTO, Times, at, hourly, kept, reasons

ZONES = [UTC, TORONTO, ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland")]
START = at("2023-11-20 00:00")
# Mostly on the hour and crowded, so that edges are met; some far apart, over three years.
OFFSETS = st.one_of(
    st.integers(0, 24 * 60).map(lambda hours: hours * HOUR),
    st.integers(0, 24 * 1100).map(lambda hours: hours * HOUR),
    st.timedeltas(timedelta(0), 1100 * DAY),
)
MOMENTS = OFFSETS.map(START.__add__)
HISTORIES = st.sets(MOMENTS, max_size=60) | st.builds(
    lambda start, length: {start + hours * HOUR for hours in range(length)},
    MOMENTS,
    st.integers(1, 24 * 50),
)
HOW = st.fixed_dictionaries(
    {"zone": st.sampled_from(ZONES), "monthly": st.booleans(), "suspended": st.booleans()}
)
ACTIVE = st.fixed_dictionaries({"zone": st.sampled_from(ZONES), "suspended": st.booleans()})
many = settings(max_examples=100, deadline=None, database=None)


def on(history: Times, first: date, last: date, zone: tzinfo) -> Times:
    """Return what was taken from the first day to the last, by the zone's calendar."""
    return {moment for moment in history if first <= moment.astimezone(zone).date() <= last}


@many
@given(HISTORIES, MOMENTS, st.just(timedelta(0)) | OFFSETS, HOW)
def test_pruning_early_and_late_ends_as_pruning_late(
    history: Times, now: datetime, wait: timedelta, how: dict[str, Any]
) -> None:
    assert kept(kept(history, now, **how), now + wait, **how) == kept(history, now + wait, **how)


@many
@given(HISTORIES, MOMENTS, HOW)
def test_pruning_again_deletes_nothing_and_changes_no_reason(
    history: Times, now: datetime, how: dict[str, Any]
) -> None:
    once = reasons(history, now, **how)

    assert reasons(once, now, **how) == once


@many
@given(HISTORIES, MOMENTS, HOW)
def test_the_newest_never_goes(history: Times, now: datetime, how: dict[str, Any]) -> None:
    past = {moment for moment in history if moment <= now}
    newest = {moment for moment, why in reasons(history, now, **how).items() if "newest" in why}

    assert newest == ({max(past)} if past else set())


@many
@given(HISTORIES, MOMENTS, HOW)
def test_each_of_the_last_7_completed_days_with_a_success_has_its_last_one(
    history: Times, now: datetime, how: dict[str, Any]
) -> None:
    zone: tzinfo = how["zone"]
    today = now.astimezone(zone).date()
    answer = kept(history, now, **how)

    for ago in range(1, 8):
        day = today - ago * DAY
        assert not (of_it := on(history, day, day, zone)) or max(of_it) in answer


@many
@given(HISTORIES, MOMENTS, ACTIVE)
@example(hourly("2024-02-01 00:00", "2024-03-01 00:00"), at("2024-03-31 00:00"), {"zone": UTC})
def test_each_week_of_the_last_month_and_each_month_with_a_success_has_its_last_one(
    history: Times, now: datetime, how: dict[str, Any]
) -> None:
    zone: tzinfo = how.get("zone", UTC)
    answer, today = kept(history, now, **how), now.astimezone(zone).date()
    past = {moment for moment in history if moment <= now}

    for first, last in pairwise(date(2023 + n // 12, n % 12 + 1, 1) for n in range(10, 50)):
        assert not (of_it := on(past, first, last - DAY, zone)) or max(of_it) in answer
    for ago in range(32):
        sunday = today - ago * DAY
        if sunday.isoweekday() == 7:
            assert not (of_it := on(past, sunday - 6 * DAY, sunday, zone)) or max(of_it) in answer


@many
@given(st.data(), HISTORIES, MOMENTS, HOW)
def test_the_order_of_the_input_does_not_matter(
    data: st.DataObject, history: Times, now: datetime, how: dict[str, Any]
) -> None:
    shuffled = data.draw(st.permutations(sorted(history)[:200]))

    assert reasons(shuffled, now, **how) == reasons(sorted(shuffled), now, **how)


@many
@given(HISTORIES, MOMENTS, HOW)
def test_the_future_is_kept_and_changes_nothing_else(
    history: Times, now: datetime, how: dict[str, Any]
) -> None:
    past = {moment for moment in history if moment <= now}

    assert reasons(history, now, **how) == reasons(past, now, **how) | dict.fromkeys(
        history - past, ("future",)
    )


@many
@given(HISTORIES, MOMENTS, OFFSETS, HOW)
def test_suspension_keeps_all_that_was_kept_at_the_newest_success_and_never_less(
    history: Times, now: datetime, wait: timedelta, how: dict[str, Any]
) -> None:
    history = {moment for moment in history if moment <= now}
    suspended, running = how | {"suspended": True}, how | {"suspended": False}

    assert kept(history, now, **suspended) >= kept(history, now, **running)
    assert reasons(history, now + wait, **suspended) == reasons(history, now, **suspended)


@many
@given(HISTORIES, MOMENTS, st.sampled_from(ZONES))
def test_only_the_newest_is_provisional_and_its_reasons_say_so(
    history: Times, now: datetime, zone: tzinfo
) -> None:
    answer = reasons(history, now, zone=zone)
    taken: dict[Hashable, datetime] = {moment: moment for moment in history}

    for moment, rules in provisional(taken, now=now, zone=zone).items():
        assert isinstance(moment, datetime)
        assert {"newest", *rules} <= set(answer[moment])


@many
@given(HISTORIES, MOMENTS, st.sampled_from(ZONES), HOW)
def test_the_zone_in_which_a_time_is_given_does_not_matter(
    history: Times, now: datetime, written: tzinfo, how: dict[str, Any]
) -> None:
    elsewhere = {moment: moment.astimezone(written) for moment in history}

    answer = reasons_to_keep(elsewhere, now=now.astimezone(written), **how)

    assert answer == reasons(history, now, **how)
