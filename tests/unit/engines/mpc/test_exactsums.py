"""Sums that never wrap around: the same as Python's own integers, at any size, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.mpc import exactsums
from secureflow.engines.mpc.exactsums import TooLargeError, products_of, sums_by

MOST = 1 << 50
NUMBERS = st.integers(-MOST, MOST)


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 4)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_sums_are_exact_or_refused(rows: list[tuple[int, int]]) -> None:
    steps = np.array([one for one, _ in rows], np.int64)
    group = np.array([at for _, at in rows], np.int64)
    truth = [sum(one for one, at in rows if at == each) for each in range(5)]
    if max(map(abs, truth)) > MOST:
        with pytest.raises(TooLargeError):
            sums_by(steps, group, 5, MOST)
    else:
        assert sums_by(steps, group, 5, MOST).tolist() == truth


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_products_are_exact(rows: list[tuple[int, int]]) -> None:
    steps = np.array(rows, np.int64)
    truth = [[sum(one[i] * one[j] for one in rows) for j in range(2)] for i in range(2)]
    assert products_of(steps) == truth


def test_products_of_many_rows_are_those_of_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactsums, "_ROWS", 8)
    monkeypatch.setattr(exactsums, "_BLOCKS", 2)
    steps = np.random.default_rng(1).integers(-MOST, MOST, (101, 3))
    whole = steps.astype(object)
    truth = [[int((whole[:, i] * whole[:, j]).sum()) for j in range(3)] for i in range(3)]
    assert products_of(steps) == truth


def test_a_sum_that_would_wrap_around_to_a_small_one_is_refused() -> None:
    """2^14 times 2^50 is 0 in an int64."""
    steps = np.full(1 << 14, MOST, np.int64)
    assert int(steps.sum()) == 0
    with pytest.raises(TooLargeError):
        sums_by(steps, np.zeros(len(steps), np.int64), 1, MOST)


def test_no_rows_add_up_to_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert sums_by(nothing, nothing, 3, MOST).tolist() == [0, 0, 0]
    assert products_of(np.zeros((0, 2), np.int64)) == [[0, 0], [0, 0]]
