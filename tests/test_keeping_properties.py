"""What stays holds for every history of snapshots and of their volumes."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from backups import keeping
from backups.keeping import Present

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 20, tzinfo=UTC)
NOW = START + timedelta(days=120)
VOLUMES = ("a", "b", "c")
# Crowded hours, so that edges are met, and some far apart.
DUES = st.one_of(
    st.integers(0, 24 * 4).map(lambda hours: START + hours * HOUR),
    st.integers(0, 24 * 119).map(lambda hours: START + hours * HOUR),
)
many = settings(max_examples=150, deadline=None, database=None)


@dataclass(frozen=True)
class Taken:
    """One snapshot: is it complete, which volumes were captured in it, what is done with it."""

    due: datetime
    complete: bool
    volumes: frozenset[str]
    held: bool = False
    used: bool = False


TAKEN = st.builds(
    Taken,
    due=DUES,
    complete=st.booleans(),
    volumes=st.frozensets(st.sampled_from(VOLUMES)),
    held=st.integers(0, 9).map(lambda number: number == 0),
    used=st.integers(0, 9).map(lambda number: number == 0),
)
HISTORIES = st.lists(TAKEN, max_size=40, unique_by=lambda one: one.due)


def there(history: list[Taken]) -> Present:
    """Return a history as the rows would be; a snapshot's number is its place."""
    found = Present(by_volume=defaultdict(dict))
    for number, one in enumerate(history):
        (found.complete if one.complete else found.unfinished)[number] = one.due
        if one.held:
            found.held.add(number)
        if one.used:
            found.used.add((None, number))
        for name in one.volumes:
            backup = 1000 + number * 10 + VOLUMES.index(name)
            found.by_volume["node", name][backup] = one.due
            found.snapshot_of[backup] = number
    return found


def judged(found: Present, now: datetime) -> keeping.Decision:
    return keeping.judge(found, now, zone=UTC)


def left(found: Present, decision: keeping.Decision) -> Present:
    """Return what is there after a purge."""
    gone, lost = set(decision.purge_snapshots), set(decision.purge_volumes)
    return replace(
        found,
        complete={pk: due for pk, due in found.complete.items() if pk not in gone},
        unfinished={pk: due for pk, due in found.unfinished.items() if pk not in gone},
        by_volume=defaultdict(
            dict,
            {
                name: {pk: due for pk, due in rows.items() if pk not in lost}
                for name, rows in found.by_volume.items()
            },
        ),
        snapshot_of={pk: one for pk, one in found.snapshot_of.items() if pk not in lost},
    )


@many
@given(HISTORIES)
def test_a_snapshot_that_stays_stays_whole(history: list[Taken]) -> None:
    found = there(history)
    decision = judged(found, NOW)
    whole = {pk for pk, number in found.snapshot_of.items() if number in decision.snapshots}
    assert whole <= set(decision.volumes)
    assert not whole & set(decision.purge_volumes)


@many
@given(HISTORIES)
def test_the_last_backup_of_a_volume_in_each_month_stays(history: list[Taken]) -> None:
    found = there(history)
    decision = judged(found, NOW)
    for rows in found.by_volume.values():
        finals: dict[tuple[int, int], int] = {}
        for pk, due in sorted(rows.items(), key=lambda row: row[1]):
            finals[due.year, due.month] = pk
        assert set(finals.values()) <= set(decision.volumes)


@many
@given(HISTORIES)
def test_what_is_on_hold_or_in_use_stays(history: list[Taken]) -> None:
    decision = judged(there(history), NOW)
    wanted = {number for number, one in enumerate(history) if one.held or one.used}
    assert wanted <= set(decision.snapshots)


@many
@given(HISTORIES, st.integers(0, 24 * 90), st.integers(0, 24 * 90))
def test_purging_early_and_late_ends_as_purging_late(
    history: list[Taken], first: int, second: int
) -> None:
    found = there(history)
    early, late = NOW + first * HOUR, NOW + (first + second) * HOUR
    after = left(found, judged(found, early))
    assert judged(after, late).snapshots == judged(found, late).snapshots
    assert judged(after, late).volumes == judged(found, late).volumes
    again = judged(after, early)
    assert not again.purge_snapshots
    assert not again.purge_volumes


@many
@given(HISTORIES)
def test_what_is_not_complete_never_counts_as_final(history: list[Taken]) -> None:
    found = there(history)
    decision = judged(found, NOW)
    for number, why in decision.snapshots.items():
        if number in found.unfinished:
            assert set(why) <= {"unfinished", "hold", "in use"}


def test_forty_days_purged_every_hour_are_as_forty_days_purged_once() -> None:
    hours = [Taken(START + n * HOUR, complete=True, volumes=frozenset("a")) for n in range(960)]
    hourly = there([])
    for number, one in enumerate(hours):
        hourly.complete[number] = one.due
        hourly.by_volume["node", "a"][1000 + number] = one.due
        hourly.snapshot_of[1000 + number] = number
        hourly = left(hourly, judged(hourly, one.due + HOUR / 2))
    once = there(hours)
    now = hours[-1].due + HOUR / 2
    assert judged(once, now).snapshots == judged(hourly, now).snapshots
    assert len(hourly.complete) == len(judged(once, now).snapshots)
