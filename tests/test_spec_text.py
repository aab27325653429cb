"""What people type where the Engine wants numbers, lists and constraints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.spec import text
from clusters.spec.constraints import parse_constraint, parse_preference
from tests.strategies import ANY_TEXT, WORDS

SECOND = 10**9


@given(st.integers(0, 2**63 - 1))
def test_durations_and_sizes_are_read_back(number: int) -> None:
    assert text.parse_duration(text.format_duration(number)) == number
    assert text.parse_bytes(text.format_bytes(number)) == number
    assert text.parse_cpus(text.format_cpus(number)) == number


@given(st.lists(ANY_TEXT))
def test_commands_are_read_back(words: list[str]) -> None:
    assert text.parse_command(text.format_command(words)) == words


@given(st.dictionaries(WORDS, ANY_TEXT))
def test_pairs_are_read_back(pairs: dict[str, str]) -> None:
    assert text.parse_pairs(text.format_pairs(pairs)) == pairs


def test_durations_are_written_as_people_write_them() -> None:
    assert text.parse_duration("1m30s") == 90 * SECOND
    assert text.parse_duration("500ms") == SECOND // 2
    assert text.parse_duration("1.5h") == 5400 * SECOND
    assert text.format_duration(90 * SECOND) == "1m30s"
    assert text.format_duration(0) == "0s"
    assert text.parse_bytes("1.5G") == 1536 * 2**20
    assert text.parse_bytes("512MiB") == text.parse_bytes("512m") == 2**29
    assert text.parse_cpus("0.5") == SECOND // 2
    assert text.format_cpus(SECOND // 2) == "0.5"
    assert text.format_cpus(100 * SECOND) == "100"
    assert text.parse_octal("0444") == text.parse_octal("444") == 0o444


@pytest.mark.parametrize("typed", ["10", "s", "10x", "1m30", "-5s", "300000000h", "0.5ns", "1 m x"])
def test_what_is_no_duration_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        text.parse_duration(typed)


@pytest.mark.parametrize("typed", ["", "M", "5X", "-1M", "1,5G", "0.3"])
def test_what_is_no_size_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"size|bytes"):
        text.parse_bytes(typed)


@pytest.mark.parametrize("typed", ["", "x", "-1", "nan", "Infinity", "0.00000000001"])
def test_what_is_no_number_of_cpus_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"CPUs|decimals"):
        text.parse_cpus(typed)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("node.role == worker", "node.role==worker"),
        ("node.labels.zone!=a", "node.labels.zone!=a"),
        ("engine.labels.disk==ssd", "engine.labels.disk==ssd"),
        ("node.platform.arch==x86_64", "node.platform.arch==x86_64"),
        ("node.ip==10.0.0.0/8", "node.ip==10.0.0.0/8"),
    ],
)
def test_constraints_are_read_as_the_swarm_reads_them(typed: str, read: str) -> None:
    assert str(parse_constraint(typed)) == read


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("node.role", "key==value"),
        ("node.role=worker", "key==value"),
        ("node.color==red", "not something to place by"),
        ("node.role==boss", "manager or worker"),
        ("node.labels.==a", "a label has"),
        ("node.hostname==", "cannot compare"),
        ("node.ip==here", "not an IP address"),
    ],
)
def test_a_constraint_that_the_swarm_would_refuse_is_refused(typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_constraint(typed)


def test_preferences_spread_over_labels() -> None:
    assert parse_preference("spread=node.labels.zone") == "node.labels.zone"
    with pytest.raises(ValueError, match="label to spread over"):
        parse_preference("zone")
