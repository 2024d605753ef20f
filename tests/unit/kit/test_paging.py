from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.paging import decode_cursor, encode_cursor


@given(st.text(max_size=80).filter(lambda text: "\0" not in text and text.isascii()))
def test_cursors_round_trip(key: str) -> None:
    assert decode_cursor(encode_cursor(key)) == key


@given(st.text(max_size=700))
def test_foreign_cursors_are_refused_or_canonical(text: str) -> None:
    with contextlib.suppress(SecureFlowError):
        assert encode_cursor(decode_cursor(text)) == text


def test_a_nul_never_reaches_the_database() -> None:
    with pytest.raises(SecureFlowError):
        decode_cursor("AA")
