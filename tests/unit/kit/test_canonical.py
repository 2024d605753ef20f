"""Canonical JSON: our spelling is that of the `rfc8785` package, refusals included."""

from __future__ import annotations

import hashlib
from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from secureflow.kit.canonical import MAX_INTEGER, canonical_bytes, digest, parse_json
from secureflow.kit.errors import SecureFlowError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_every_value_is_spelt_as_the_package_spells_it(value: Any) -> None:
    written = canonical_bytes(value)
    assert written == rfc8785.dumps(value)
    assert canonical_bytes(parse_json(written)) == written
    assert digest(value) == hashlib.sha256(written).hexdigest()


@given(st.lists(NUMBERS, max_size=60), st.sampled_from([list, tuple]))
def test_lists_of_numbers_are_spelt_as_the_package_spells_them(value: Any, of: Any) -> None:
    assert canonical_bytes(of(value)) == rfc8785.dumps(of(value))
    whole = [int(one) for one in value if abs(one) <= MAX_INTEGER]
    assert canonical_bytes([whole, [*whole, True]]) == rfc8785.dumps([whole, [*whole, True]])


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, [7] * 10_000, [7, 0.5] * 9000, ["é"] * 10_000, {str(n): n for n in range(9000)}],
)
def test_the_digest_of_a_long_value_is_that_of_its_bytes(value: Any) -> None:
    assert digest([value, value]) == hashlib.sha256(rfc8785.dumps([value, value])).hexdigest()


def test_every_character_below_the_surrogates_and_one_beyond() -> None:
    text = "".join(map(chr, range(0xD800))) + "\ue000\uffff\U0001f600"
    assert canonical_bytes(text) == rfc8785.dumps(text)


def test_keys_are_sorted_by_their_utf16_code_units() -> None:
    # RFC 8785, section 3.2.3: the emoji's first unit is a surrogate, below U+FB33.
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    spelt = canonical_bytes(dict.fromkeys(keys, 0)).decode()
    order = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert spelt == "{" + ",".join(f'"{key}":0' for key in order) + "}"


class _Word(StrEnum):
    YES = "yes"


class _Number(IntEnum):
    TWO = 2


@pytest.mark.parametrize(
    "value", [(), ((1,), []), _Word.YES, {_Word.YES: _Number.TWO}, 1e300, -0.0]
)
def test_what_python_adds_to_json_is_spelt_alike(value: Any) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        [1, MAX_INTEGER + 1], [-MAX_INTEGER - 1], [0.5, MAX_INTEGER + 1], [1, float("nan")],
        MAX_INTEGER + 1, -MAX_INTEGER - 1, float("nan"), float("inf"), "\ud800", {"\udfff": 1},
        {1: 2}, {None: 1}, {"a": {3}}, b"bytes", object(), [[object()]],
    ],
)  # fmt: skip
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(SecureFlowError, match="no canonical JSON form") as refusal:
        canonical_bytes(value)
    with pytest.raises(SecureFlowError, match="no canonical JSON form"):
        digest(value)
    assert refusal.value.code == "not_canonical"


def test_a_value_without_an_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(SecureFlowError, match="no canonical JSON form"):
        canonical_bytes(endless)
