"""The calendar of hours and the curve of sizes: what stands where, and what it says."""

from datetime import UTC, datetime, timedelta

import pytest

from backups.calendar import LEFT, STEP, TOP, WORDS, Taken, calendar, nice, sizes

NOW = datetime(2026, 11, 10, 12, 30, tzinfo=UTC)
TODAY = NOW.replace(hour=0, minute=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG_AGO = TODAY - 100 * DAY

pytestmark = pytest.mark.no_database


def state_at(moment: datetime, taken: dict[datetime, Taken], **limits: datetime | None) -> str:
    """Return what the calendar says of one hour."""
    known: dict[str, datetime | None] = {"since": LONG_AGO, "ended": None} | limits
    found = calendar(taken, since=known["since"], ended=known["ended"], now=NOW)
    (cell,) = [cell for cell in found.cells if cell.at == moment]
    return cell.state


def test_it_has_every_hour_of_thirty_days_the_present_day_last() -> None:
    found = calendar({}, since=None, ended=None, now=NOW)
    assert len(found.cells) == 720 and len({(cell.x, cell.y) for cell in found.cells}) == 720
    assert found.days[-1].at == TODAY
    last = found.cells[-1]
    assert (last.x, last.y) == (LEFT + 29 * STEP, TOP + 23 * STEP)
    assert last.x + STEP <= found.width and last.y + STEP <= found.height


@pytest.mark.parametrize("state", ["complete", "partial", "failed", "missed", "taking"])
def test_an_hour_has_its_snapshots_state(state: str) -> None:
    moment = TODAY - DAY
    assert state_at(moment, {moment: Taken(1, state)}) == state


def test_an_hour_without_a_snapshot_is_missed_only_if_it_was_due_and_is_over() -> None:
    assert state_at(TODAY, {}) == "missed"
    assert state_at(TODAY + 11 * HOUR, {}) == "missed"
    assert state_at(TODAY + 12 * HOUR, {}) == "not due"
    assert state_at(TODAY, {}, since=None) == "not due"
    assert state_at(TODAY, {}, since=TODAY) == "not due"
    assert state_at(TODAY + HOUR, {}, since=TODAY) == "missed"
    assert state_at(TODAY, {}, ended=TODAY - HOUR) == "not due"


def test_a_day_is_as_good_as_its_worst_hour() -> None:
    taken = {LONG_AGO: Taken(1, "complete")}
    taken |= {TODAY - DAY + hour * HOUR: Taken(1, "complete") for hour in range(24)}
    found = calendar(taken, since=LONG_AGO, ended=None, now=NOW)
    assert found.days[-2].state == "complete"
    taken[TODAY - DAY] = Taken(1, "failed")
    found = calendar(taken, since=LONG_AGO, ended=None, now=NOW)
    assert found.days[-2].state == "failed"


def test_it_says_in_words_what_it_shows() -> None:
    found = calendar({TODAY: Taken(7, "partial")}, since=TODAY - HOUR / 2, ended=None, now=NOW)
    assert found.text == "1 partial, 11 missed, 708 not due"
    assert [cell.pk for cell in found.lacking][-1] == 7
    assert {word for _, word, _ in found.counts} == set(WORDS.values())


def test_sizes_follow_each_days_last_snapshot_and_add_up_what_was_added() -> None:
    taken = {
        TODAY - DAY: Taken(1, "complete", 100, 100),
        TODAY - DAY + HOUR: Taken(2, "complete", 300, 50),
        TODAY: Taken(3, "failed", 0, 0),
        TODAY + HOUR: Taken(4, "complete", 400, 10),
    }
    found = sizes(taken, now=NOW)
    assert found is not None
    assert [bar.words for bar in found.bars] == [
        "2026-11-09: 300 B in all, 150 B added",
        "2026-11-10: 400 B in all, 10 B added",
    ]
    assert found.text == "At the end 400 B in all; 160 B were added in 2 days."
    assert [label for label, _ in found.total_ticks] == ["0 B", "200 B", "400 B"]
    heights = [float(point.split(",")[1]) for point in found.line.split()]
    assert heights[1] < heights[0] < found.bottom
    assert all(bar.y + bar.height <= found.bottom + 0.1 for bar in found.bars)


def test_without_any_success_there_are_no_sizes() -> None:
    assert sizes({}, now=NOW) is None
    assert sizes({TODAY: Taken(1, "failed")}, now=NOW) is None
    assert sizes({TODAY: Taken(1, "complete")}, now=NOW) is not None


@pytest.mark.parametrize("most", [0, 1, 3, 9, 10, 11, 99, 812, 10**15 + 1])
def test_an_axis_ends_at_a_round_number_that_is_not_smaller(most: int) -> None:
    assert nice(most) >= max(most, 1)
    assert str(nice(most)).rstrip("0") in {"1", "2", "4", "6", "8"}
