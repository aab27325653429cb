"""Which snapshots are kept, and why: the promise by example."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from backups.retention import provisional, reasons_to_keep
from tests.histories import DAY, HOUR, NOON, TORONTO, Times, at, finals, hourly, kept, reasons


def test_a_steady_history_keeps_24_hours_7_days_31_days_of_weeks_and_every_month() -> None:
    hours = hourly("2025-06-17 13:00", "2025-06-18 12:00")
    days = finals(*(f"2025-06-{day}" for day in range(11, 18)))
    weeks = finals("2025-05-18", "2025-05-25", "2025-06-01", "2025-06-08", "2025-06-15")
    months = {
        datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=UTC) - HOUR for month in range(1, 18)
    }

    answer = reasons(hourly("2024-01-01 00:00", "2025-06-18 12:00"), NOON)

    assert set(answer) == hours | days | weeks | months
    assert len(answer) == 51
    for rule, those in {"hourly": hours, "daily": days, "weekly": weeks, "monthly": months}.items():
        # The newest is, so far, the final one of its day, its week and its month as well.
        latest = set() if rule == "hourly" else {at("2025-06-18 12:00")}
        assert {moment for moment, rules in answer.items() if rule in rules} == those | latest


def test_every_reason_is_given_in_a_fixed_order() -> None:
    answer = reasons(hourly("2024-01-01 00:00", "2025-06-18 12:00"), NOON)

    assert answer[at("2025-06-18 12:00")] == ("hourly", "daily", "weekly", "monthly", "newest")
    assert answer[at("2025-06-17 23:00")] == ("hourly", "daily")
    assert answer[at("2025-06-15 23:00")] == ("daily", "weekly")
    assert answer[at("2024-01-31 23:00")] == ("monthly",)


def test_an_hourly_snapshot_expires_at_exactly_24_hours() -> None:
    history, edge = hourly("2025-06-01 00:00", "2025-06-18 12:00"), at("2025-06-17 12:00")

    assert edge in kept(history, at("2025-06-18 11:59:59"))
    assert edge in kept(history, at("2025-06-18 11:59:59.999999"))
    assert edge not in kept(history, at("2025-06-18 12:00:00"))


def test_a_day_keeps_its_last_snapshot_for_7_days() -> None:
    history = hourly("2025-06-01 00:00", "2025-06-25 00:00")
    last, one_before = at("2025-06-17 23:00"), at("2025-06-17 22:00")

    assert one_before in kept(history, at("2025-06-18 21:59:59"))
    assert one_before not in kept(history, at("2025-06-18 22:00"))
    assert last in kept(history, at("2025-06-24 23:59:59"))
    assert last not in kept(history, at("2025-06-25 00:00"))


def test_an_older_day_does_not_replace_a_missing_one() -> None:
    history = hourly("2025-06-01 00:00", "2025-06-18 12:00")
    history -= {moment for moment in history if moment.date() == date(2025, 6, 14)}

    days = {moment.day for moment, rules in reasons(history, NOON).items() if "daily" in rules}

    assert days == {11, 12, 13, 15, 16, 17, 18}


def test_the_final_of_a_month_is_not_that_of_a_week() -> None:
    history = hourly("2025-06-01 00:00", "2025-07-31 00:00")
    month, week = at("2025-06-30 23:00"), at("2025-06-29 23:00")

    assert {month, week} <= kept(history, at("2025-07-30 23:59:59"))
    assert week not in kept(history, at("2025-07-31 00:00"))
    assert reasons(history, at("2055-07-31 00:00"))[month] == ("monthly",)


def test_february_ends_on_the_29th_in_a_leap_year() -> None:
    answer = kept(hourly("2024-02-27 00:00", "2026-03-01 00:00"), at("2026-03-01 00:00"))

    assert at("2024-02-29 23:00") in answer
    assert at("2024-02-28 23:00") not in answer
    assert at("2025-02-28 23:00") in answer


@pytest.mark.parametrize(
    ("now", "count"),
    [
        ("2025-06-18 12:30", 39),
        ("2025-06-20 00:30", 14),
        ("2025-06-26 00:30", 9),
        ("2025-07-20 00:00", 6),
        ("2055-07-20 00:00", 6),
    ],
)
def test_a_deleted_environment_keeps_its_months_and_its_last_state(now: str, count: int) -> None:
    answer = kept(hourly("2025-01-01 00:00", "2025-06-18 12:00"), at(now))

    assert len(answer) == count
    assert at("2025-06-18 12:00") in answer


def test_what_lived_for_one_afternoon_keeps_its_last_snapshot_for_ever() -> None:
    history = hourly("2025-06-18 13:00", "2025-06-18 15:00")

    assert reasons(history, at("2055-01-01 00:00")) == {
        at("2025-06-18 15:00"): ("monthly", "newest")
    }


def test_a_history_not_pruned_for_40_days_ends_as_if_pruned_every_hour() -> None:
    history = hourly("2025-04-01 00:00", "2025-06-18 12:00")
    pruned: Times = set()
    for moment in sorted(history):
        pruned = kept(pruned | {moment}, moment)

    late = kept(history, at("2025-06-18 12:00"))

    assert late == pruned
    assert kept(late, at("2025-06-18 12:00")) == late


# Clocks and calendars.


def test_both_snapshots_of_the_hour_that_comes_twice_are_kept() -> None:
    history = hourly("2025-11-01 04:00", "2025-11-03 12:00")
    first, second = (datetime(2025, 11, 2, 1, tzinfo=TORONTO, fold=fold) for fold in (0, 1))

    # Given in the zone's own time, where Python takes the two for equal.
    answer = reasons_to_keep(
        {str(moment): moment.astimezone(TORONTO) for moment in history},
        now=at("2025-11-02 08:00"),
        zone=TORONTO,
    )

    assert "hourly" in answer[str(at("2025-11-02 05:00"))]
    assert "hourly" in answer[str(at("2025-11-02 06:00"))]
    assert set(reasons_to_keep({1: first, 2: second}, now=second + HOUR, zone=TORONTO)) == {1, 2}
    # The day has 25 hours: its final one starts at 23:00 of standard time.
    later = reasons(history, at("2025-11-08 12:00"), zone=TORONTO)
    assert "daily" in later[at("2025-11-03 04:00")]
    assert at("2025-11-03 03:00") not in later


def test_a_day_of_23_hours_has_its_final_one_too() -> None:
    history = hourly("2025-03-08 00:00", "2025-03-11 12:00")

    answer = reasons(history, at("2025-03-12 12:00"), zone=TORONTO)

    # 9 March starts at 05:00 and ends at 04:00 of the next day.
    days = {moment for moment, rules in answer.items() if "daily" in rules}
    assert {at("2025-03-09 04:00"), at("2025-03-10 03:00"), at("2025-03-11 03:00")} <= days


@pytest.mark.parametrize(("clock", "offset"), [("2025-11-02", 4), ("2025-03-09", 5)])
def test_24_hours_are_24_hours_also_when_the_clocks_change(clock: str, offset: int) -> None:
    taken = at(clock).replace(hour=offset).astimezone(TORONTO)
    others = {"next": (taken.astimezone(UTC) + 23 * HOUR).astimezone(TORONTO)}

    def hourly_at(age: timedelta) -> bool:
        now = (taken.astimezone(UTC) + age).astimezone(TORONTO)
        answer = reasons_to_keep({"first": taken, **others}, now=now, zone=TORONTO)
        return "hourly" in answer.get("first", ())

    assert hourly_at(24 * HOUR - timedelta(seconds=1))
    assert not hourly_at(24 * HOUR)


def test_days_begin_where_the_zone_says() -> None:
    history = hourly("2025-06-01 00:00", "2025-06-18 12:00")

    assert at("2025-06-16 03:00") in kept(history, NOON, zone=TORONTO)
    assert at("2025-06-15 23:00") not in kept(history, NOON, zone=TORONTO)


def test_a_week_across_new_year_has_one_final() -> None:
    # Monday 29 December 2025 to Sunday 4 January 2026.
    answer = reasons(hourly("2025-12-01 00:00", "2026-01-20 00:00"), at("2026-01-20 00:00"))

    assert answer[at("2025-12-31 23:00")] == ("monthly",)
    assert answer[at("2026-01-04 23:00")] == ("weekly",)
    assert answer[at("2025-12-28 23:00")] == ("weekly",)


def test_the_53rd_week_of_a_year_is_a_week_like_any_other() -> None:
    # 2026 has 53: the last one from 28 December to Sunday 3 January 2027.
    answer = reasons(hourly("2026-12-01 00:00", "2027-01-15 00:00"), at("2027-01-15 00:00"))

    weeks = {moment for moment, rules in answer.items() if "weekly" in rules}
    assert weeks == finals("2026-12-20", "2026-12-27", "2027-01-03", "2027-01-10") | {
        at("2027-01-15 00:00")
    }


# Wrong clocks, missing zones, nothing at all.


def test_a_snapshot_of_the_future_is_kept_and_flagged_and_counts_for_nothing_else() -> None:
    history = hourly("2025-06-01 00:00", "2025-06-18 12:00")
    future = {NOON + timedelta(microseconds=1), NOON + 400 * DAY}

    answer = reasons(history | future, NOON)

    assert answer == reasons(history, NOON) | dict.fromkeys(future, ("future",))
    assert reasons(future, NOON, suspended=True) == dict.fromkeys(future, ("future",))


def test_a_snapshot_of_this_very_moment_is_not_of_the_future() -> None:
    assert reasons([NOON], NOON)[NOON] == ("hourly", "daily", "weekly", "monthly", "newest")


def test_no_snapshots_are_no_problem() -> None:
    assert reasons([], NOON) == reasons([], NOON, suspended=True) == {}
    assert provisional({}, now=NOON) == {}


@pytest.mark.parametrize("decide", [reasons_to_keep, provisional])
def test_a_time_without_a_zone_is_refused(decide: Any) -> None:
    naive = NOON.replace(tzinfo=None)

    with pytest.raises(
        ValueError, match=r"zone is missing: the start of snapshot 'a3f' is .* 2025"
    ):
        decide({"a3f": naive}, now=NOON)
    with pytest.raises(ValueError, match=r"zone is missing: now is given as 2025-06-18 12:30:00"):
        decide({}, now=naive)


def test_snapshots_of_the_same_moment_share_their_fate() -> None:
    final = at("2025-05-31 23:00")

    answer = reasons_to_keep({"a": final, "b": final, "c": final - HOUR}, now=NOON)

    assert answer == {"a": ("weekly", "monthly", "newest"), "b": ("weekly", "monthly", "newest")}


# A subscription that is over; snapshots that fail.


def test_without_the_monthly_rule_months_expire_but_never_the_newest() -> None:
    history = hourly("2025-01-01 00:00", "2025-06-18 12:00")

    assert at("2025-05-31 23:00") not in kept(history, NOON, monthly=False)
    assert reasons(history, at("2026-01-01 00:00"), monthly=False) == {
        at("2025-06-18 12:00"): ("newest",)
    }


def test_while_suspended_an_outage_takes_nothing() -> None:
    history = hourly("2025-01-01 00:00", "2025-06-18 12:00")
    before = reasons(history, at("2025-06-18 12:00"))
    long_after = at("2025-09-18 12:00")

    assert reasons(history, long_after, suspended=True) == before
    assert reasons(before, long_after, suspended=True) == before
    assert kept(before, long_after) < set(before)


def test_suspension_is_no_reprieve_for_what_had_expired_before_it() -> None:
    history = hourly("2025-01-01 00:00", "2025-06-18 12:00")
    long_after = at("2025-09-18 12:00")

    assert at("2025-06-17 12:00") not in kept(history, long_after, suspended=True)
    assert at("2025-03-31 23:00") not in kept(history, long_after, suspended=True, monthly=False)


# What is final only so far.


def test_the_latest_snapshot_is_final_of_the_day_week_and_month_only_so_far() -> None:
    history = hourly("2025-06-01 00:00", "2025-06-18 12:00") | {NOON + HOUR}

    assert provisional({moment: moment for moment in history}, now=NOON) == {
        at("2025-06-18 12:00"): ("daily", "weekly", "monthly")
    }


@pytest.mark.parametrize(
    ("now", "rules"),
    [
        ("2025-06-18 23:59:59", ("daily", "weekly", "monthly")),
        ("2025-06-19 00:00", ("weekly", "monthly")),
        ("2025-06-23 00:00", ("monthly",)),
        ("2025-07-01 00:00", None),
        ("2026-06-18 12:00", None),
    ],
)
def test_a_final_is_sealed_when_its_period_ends(now: str, rules: tuple[str, ...] | None) -> None:
    taken = {"last": at("2025-06-18 12:00"), "skewed": at("2027-01-01 00:00")}

    assert provisional(taken, now=at(now)).get("last") == rules
    assert "skewed" not in provisional(taken, now=at(now))


def test_a_period_ends_where_the_zone_says() -> None:
    taken, now = {1: at("2025-06-30 23:00")}, at("2025-07-01 03:59:59")

    assert provisional(taken, now=now, zone=TORONTO) == {1: ("daily", "weekly", "monthly")}
    assert provisional(taken, now=now + timedelta(seconds=1), zone=TORONTO) == {1: ("weekly",)}
