"""Cutting a table: every row has one owner, by rank in the column, without splitting words."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
from hypothesis import given

from secureflow.demo.shares import cut


def column(cells: list[object]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells[:7]), pa.array(cells[7:])])


@given(st.integers(3, 16), st.integers(0, 400), st.integers(0, 9))
def test_dealt_at_random_every_owner_gets_its_part(parties: int, more: int, seed: int) -> None:
    rows = 40 * parties + more
    owners = cut(None, rows, parties, seed)
    sizes = np.bincount(owners, minlength=parties)
    assert sizes.sum() == rows
    assert (np.diff(sizes) >= -1).all()  # each about half as large again as the one before
    assert sizes[-1] <= 12.5 * sizes[0] + 13
    assert (owners == cut(None, rows, parties, seed)).all()


def test_numbers_are_cut_in_their_order_and_unknown_ones_come_last() -> None:
    cells = [None if n % 10 == 0 else float((n * 37) % 1000) for n in range(300)]
    owners = cut(column([*cells]), 300, 3, 7)
    known = [[c for c, o in zip(cells, owners, strict=True) if o == p and c is not None]
             for p in range(3)]  # fmt: skip
    assert max(known[0]) <= min(known[1])
    assert max(known[1]) <= min(known[2])
    assert {o for c, o in zip(cells, owners, strict=True) if c is None} == {2}


def test_equal_values_are_dealt_by_the_seed() -> None:
    same = column([1.0] * 300)
    assert (cut(same, 300, 3, 7) == cut(same, 300, 3, 7)).all()
    assert (cut(same, 300, 3, 7) != cut(same, 300, 3, 8)).any()


@given(st.lists(st.sampled_from("abcdefgh"), min_size=30, max_size=200), st.integers(3, 6))
def test_words_stay_together_where_there_are_enough(words: list[str], parties: int) -> None:
    owners = cut(column([*words]), len(words), parties, 7)
    assert len(owners) == len(words)
    if len(set(words)) >= parties:
        owner = {}
        for word, one in zip(words, owners, strict=True):
            assert owner.setdefault(word, one) == one
        assert set(owners) == set(range(parties))  # nobody goes away empty-handed
