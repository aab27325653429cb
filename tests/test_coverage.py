"""Which volumes are protected, and which backups shrank suspiciously."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.coverage import Volume, coverage
from backups.parts import VolumeKey
from backups.shrink import suspicious
from tests.histories import HOUR, NOON, TORONTO

DATA = VolumeKey("a", "data")
KEYS = st.builds(VolumeKey, st.sampled_from("ab"), st.sampled_from(["data", "logs", "x"]))


class Size(NamedTuple):
    files: int
    bytes: int


# Coverage


def test_a_volume_with_a_recent_backup_is_protected_for_so_long() -> None:
    [row] = coverage([Volume(DATA)], {DATA: NOON - HOUR}, {}, NOON)
    assert (row.key, row.state, row.age, row.reason) == (DATA, "protected", HOUR, "")


def test_a_volume_without_a_backup_is_unprotected() -> None:
    [row] = coverage([Volume(DATA)], {}, {}, NOON)
    assert (row.state, row.age, row.reason) == (
        "unprotected",
        None,
        "It has never been backed up.",
    )


@pytest.mark.parametrize(
    ("age", "state"), [(6 * HOUR - timedelta(seconds=1), "protected"), (6 * HOUR, "unprotected")]
)
def test_an_old_backup_is_no_protection(age: timedelta, state: str) -> None:
    [row] = coverage([Volume(DATA)], {DATA: (NOON - age).astimezone(TORONTO)}, {}, NOON)
    assert (row.state, row.age) == (state, age)
    assert ("too old" in row.reason) == (state == "unprotected")


def test_a_backup_from_the_future_is_no_protection() -> None:
    [row] = coverage([Volume(DATA)], {DATA: NOON + HOUR}, {}, NOON)
    assert (row.state, row.reason) == ("unprotected", "Its last good backup lies in the future.")


def test_the_backup_of_a_namesake_on_another_node_protects_nothing() -> None:
    [row] = coverage([Volume(DATA)], {VolumeKey("b", "data"): NOON}, {}, NOON)
    assert row.state == "unprotected"


def test_an_excluded_volume_says_why_even_if_it_has_a_backup_or_no_name() -> None:
    for volume in (Volume(DATA), Volume(DATA, is_anonymous=True)):
        [row] = coverage([volume], {DATA: NOON - HOUR}, {DATA: "can be made again"}, NOON)
        assert (row.state, row.age, row.reason) == ("excluded", HOUR, "can be made again")


def test_an_anonymous_volume_is_called_so() -> None:
    [row] = coverage([Volume(DATA, is_anonymous=True)], {}, {}, NOON)
    assert (row.state, row.reason) == ("anonymous", "Anonymous volumes are never backed up.")


@given(
    st.lists(st.builds(Volume, KEYS, st.booleans()), unique_by=lambda volume: volume.key),
    st.dictionaries(KEYS, st.integers(-20, 20).map(lambda hours: NOON + hours * HOUR)),
    st.dictionaries(KEYS, st.just("told so")),
)
def test_every_volume_has_one_row_in_order_and_what_is_not_protected_says_why(
    volumes: list[Volume], backups: dict[VolumeKey, object], exclusions: dict[VolumeKey, str]
) -> None:
    rows = coverage(volumes, backups, exclusions, NOON)  # type: ignore[arg-type]

    assert [row.key for row in rows] == sorted(volume.key for volume in volumes)
    assert all(bool(row.reason) == (row.state != "protected") for row in rows)
    assert all(row.key in backups for row in rows if row.state == "protected")


# Shrinking


@pytest.mark.parametrize(
    ("previous", "current", "reason"),
    [
        (Size(1, 10), Size(0, 0), "No files are left; there were 1."),
        (Size(5, 10), Size(5, 0), "No bytes are left; there were 10."),
        (Size(1000, 10), Size(400, 10), "Only 400 of 1,000 files are left."),
        (Size(202, 10), Size(100, 10), "Only 100 of 202 files are left."),
        (Size(3, 30_000_000), Size(3, 5_000_000), "Only 5,000,000 of 30,000,000 bytes are left."),
        # Exactly half is left, or few are lost.
        (Size(1000, 10), Size(500, 10), ""),
        (Size(101, 10), Size(1, 10), ""),
        (Size(3, 20_000_000), Size(3, 10_000_000), ""),
        (Size(3, 10_000_001), Size(3, 1), ""),
        (Size(3, 10_000_002), Size(3, 1), "Only 1 of 10,000,002 bytes are left."),
        # Nothing was there, or it grew.
        (Size(0, 0), Size(0, 0), ""),
        (Size(0, 0), Size(9, 9), ""),
        (Size(9, 9), Size(900, 10**9), ""),
        (None, Size(0, 0), ""),
    ],
)
def test_a_suspicious_shrink_is_said_in_plain_words(
    previous: Size | None, current: Size, reason: str
) -> None:
    assert suspicious(previous, current) == reason


@given(st.builds(Size, st.integers(0, 10**6), st.integers(0, 10**15)))
def test_a_backup_of_the_same_size_is_never_suspicious(size: Size) -> None:
    assert suspicious(size, size) == ""
