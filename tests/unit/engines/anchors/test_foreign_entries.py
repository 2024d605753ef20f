"""Entries from elsewhere: what was spelled comes back, and whatever is malformed is refused."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.engines.anchors.entries import SetContributions, parse_entry
from secureflow.kit.errors import SecureFlowError

SHARES = SetContributions(
    b"1" * 32, 1, b"2" * 32, (b"a" * 32, b"b" * 32), (4000, 6000), b"a" * 32
)  # fmt: skip


def test_a_spelled_entry_comes_back() -> None:
    assert parse_entry(SHARES.json()) == SHARES


@pytest.mark.parametrize("value", [None, [], {}, {"kind": []}, {"kind": "x" * 10**6}])
def test_what_is_no_entry_is_refused(value: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse_entry(value)
    assert caught.value.code == "malformed_entry"


@pytest.mark.parametrize(
    "change",
    [
        *({"members": one} for one in ([["aa"]], ["aa" * 32] * 2000, [])),
        *({"shares": one} for one in ([True, 9999], [-1, 10001], [4000.0, 6000], [4000, 6001])),
        *({"version": one} for one in (2**60, True, -1)),
        *({"job": one} for one in ("AA" * 32, " " * 64, "é" * 64, "٣" * 64, "aa" * 31)),
        {"rounding": "cc" * 32},
        {"extra": 1},
    ],
)
def test_a_malformed_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse_entry({**SHARES.json(), **change})
    assert caught.value.code == "malformed_entry"
