"""Which hours are due, which were missed, and how bad that is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.schedule import (
    Window,
    due_hours,
    freshness,
    hour_of,
    longest_gap,
    missed,
    scheduled_against_actual,
)
from tests.histories import DAY, HOUR, TORONTO, at

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
KOLKATA = ZoneInfo("Asia/Kolkata")
MOMENTS = st.builds(
    lambda minutes, zone: (at("2025-01-01 00:00") + minutes * MINUTE).astimezone(zone),
    st.integers(0, 365 * 24 * 60),
    st.sampled_from([UTC, TORONTO, KOLKATA]),
)


def test_the_hour_of_a_moment_is_the_full_hour_in_utc() -> None:
    assert hour_of(at("2025-06-18 12:59:59.999999")) == at("2025-06-18 12:00")
    assert hour_of(at("2025-06-18 12:00")) == at("2025-06-18 12:00")
    # Half an hour off: 12:10 there is 06:40 in UTC.
    assert hour_of(datetime(2025, 6, 18, 12, 10, tzinfo=KOLKATA)) == at("2025-06-18 06:00")
    assert hour_of(datetime(2025, 6, 18, 12, 10, tzinfo=KOLKATA)).tzinfo is UTC


def test_hours_are_due_after_the_start_and_up_to_now() -> None:
    hours = due_hours(at("2025-06-18 10:00"), at("2025-06-18 13:00"))
    assert hours == [at("2025-06-18 11:00"), at("2025-06-18 12:00"), at("2025-06-18 13:00")]
    assert due_hours(at("2025-06-18 10:00"), at("2025-06-18 10:59:59.999999")) == []
    assert due_hours(at("2025-06-18 10:01"), at("2025-06-18 11:00")) == [at("2025-06-18 11:00")]
    assert due_hours(at("2025-06-18 10:00"), at("2025-06-17 10:00")) == []


@pytest.mark.parametrize(("day", "hours"), [((2025, 3, 9), 23), ((2025, 11, 2), 25), (None, 24)])
def test_a_day_with_a_clock_change_has_as_many_snapshots_as_hours(
    day: tuple[int, int, int] | None, hours: int
) -> None:
    start = datetime(*(day or (2025, 6, 18)), tzinfo=TORONTO)
    end = start + DAY

    assert len(due_hours(start, end)) == hours
    assert len(scheduled_against_actual(Window(start, end), []).hours) == hours


def test_both_hours_called_one_o_clock_are_due() -> None:
    first = datetime(2025, 11, 2, 1, 0, tzinfo=TORONTO)
    assert due_hours(first, first.replace(fold=1)) == [at("2025-11-02 06:00")]
    assert hour_of(first) == at("2025-11-02 05:00")


@given(MOMENTS, MOMENTS, MOMENTS)
def test_hours_due_until_now_and_from_now_on_are_all_hours(
    one: datetime, two: datetime, three: datetime
) -> None:
    first, middle, last = sorted((one, two, three), key=datetime.timestamp)
    assert due_hours(first, middle) + due_hours(middle, last) == due_hours(first, last)


def test_an_hour_is_missed_once_its_grace_is_over() -> None:
    since, grace = at("2025-06-18 10:00"), 30 * MINUTE
    adopted = [at("2025-06-18 11:00")]
    noon = at("2025-06-18 12:00")

    assert missed(adopted, since, noon + grace - MICROSECOND, grace) == []
    assert missed(adopted, since, noon + grace, grace) == [noon]
    assert missed([noon, *adopted], since, noon + grace, grace) == []


def test_an_adopted_hour_counts_by_whatever_clock_it_is_written() -> None:
    adopted = [datetime(2025, 11, 2, 1, fold=1, tzinfo=TORONTO)]
    answer = missed(adopted, at("2025-11-02 04:00"), at("2025-11-02 06:30"), MINUTE)
    assert answer == [at("2025-11-02 05:00")]


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(0), "fresh"),
        (90 * MINUTE - MICROSECOND, "fresh"),
        (90 * MINUTE, "warning"),
        (6 * HOUR - MICROSECOND, "warning"),
        (6 * HOUR, "critical"),
        (365 * DAY, "critical"),
        (-5 * MINUTE, "fresh"),
        (-6 * MINUTE, "critical"),
    ],
)
def test_a_snapshot_ages_from_fresh_to_critical(age: timedelta, state: str) -> None:
    now = at("2025-06-18 12:30")
    assert freshness(now - age, now) == state
    assert freshness((now - age).astimezone(TORONTO), now.astimezone(KOLKATA)) == state


def test_a_cluster_without_any_snapshot_is_critical() -> None:
    assert freshness(None, at("2025-06-18 12:30")) == "critical"


def test_an_alarm_is_not_an_hour_late_when_clocks_go_back() -> None:
    last = datetime(2025, 11, 2, 0, 30, tzinfo=TORONTO)
    assert freshness(last, datetime(2025, 11, 2, 1, 30, fold=1, tzinfo=TORONTO)) == "warning"


def test_the_longest_gap_counts_the_ends_of_the_window() -> None:
    window = Window(at("2025-06-18 00:00"), at("2025-06-19 00:00"))
    four, six = at("2025-06-18 04:00"), at("2025-06-18 06:00")

    assert longest_gap([], window) == DAY
    assert longest_gap([six, four], window) == 18 * HOUR
    assert longest_gap([at("2025-06-18 23:00"), four], window) == 19 * HOUR
    assert longest_gap([at("2025-06-18 20:00"), at("2025-06-18 18:00")], window) == 18 * HOUR
    assert longest_gap([four, six, at("2025-06-17 23:00"), window.end], window) == 18 * HOUR


def test_the_longest_gap_is_measured_across_a_clock_change() -> None:
    window = Window(datetime(2025, 11, 2, tzinfo=TORONTO), datetime(2025, 11, 2, 4, tzinfo=TORONTO))
    assert longest_gap([], window) == 5 * HOUR


def test_every_hour_of_a_window_has_its_best_state_or_is_missed() -> None:
    window = Window(at("2025-06-18 00:00"), at("2025-06-18 04:00"))
    taken = [
        (at("2025-06-18 01:00"), "complete"),
        (at("2025-06-18 01:00"), "failed"),
        (at("2025-06-18 02:00"), "failed"),
        (at("2025-06-18 02:00"), "partial"),
        (at("2025-06-18 03:17"), "complete"),
        (at("2025-06-18 04:00"), "complete"),
        (at("2025-06-17 23:30"), "complete"),
    ]

    answer = scheduled_against_actual(window, taken)

    assert list(answer.hours.values()) == ["missed", "complete", "partial", "missed"]
    assert next(iter(answer.hours)) == at("2025-06-18 00:00")
    assert answer.unscheduled == ((at("2025-06-18 03:17"), "complete"),)


def test_windows_side_by_side_share_no_hour() -> None:
    start, middle, end = at("2025-06-18 00:00"), at("2025-06-18 12:00"), at("2025-06-19 00:00")
    first = scheduled_against_actual(Window(start, middle), []).hours
    second = scheduled_against_actual(Window(middle, end), []).hours

    assert [*first, *second] == list(scheduled_against_actual(Window(start, end), []).hours)


def test_bad_times_are_refused() -> None:
    noon = at("2025-06-18 12:00")
    naive = noon.replace(tzinfo=None)
    for ask in (
        lambda: hour_of(naive),
        lambda: due_hours(noon, naive),
        lambda: freshness(naive, noon),
        lambda: longest_gap([naive], Window(noon, noon + HOUR)),
        lambda: longest_gap([], Window(noon, noon)),
        lambda: scheduled_against_actual(Window(noon, noon - HOUR), []),
        lambda: scheduled_against_actual(Window(noon, noon + HOUR), [(noon, "fine")]),
        lambda: missed([], noon, noon, -MINUTE),
    ):
        with pytest.raises(ValueError, match=r"zone|window|state|grace"):
            ask()
