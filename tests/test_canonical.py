"""Canonical JSON: one value, one form."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.canonical import BadManifest, canonical, digest
from backups.manifest import Manifest, parse
from tests.manifests import NOON

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé\U0001f600Z"), inner),
    max_leaves=15,
)


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
