from __future__ import annotations

import numpy as np

from secureflow.engines.preparation import split_validation


def test_the_parts_are_disjoint_cover_and_hold_the_share() -> None:
    train, valid = split_validation(10_000, 7, 0.2)
    assert sorted([*train, *valid]) == list(range(10_000))
    assert 1_850 < len(valid) < 2_150


def test_same_seed_same_split_and_another_seed_another() -> None:
    first, again, other = (split_validation(1_000, seed, 0.1)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rows_added_later_move_no_earlier_row() -> None:
    _, few = split_validation(500, 3, 0.3)
    _, many = split_validation(900, 3, 0.3)
    assert np.array_equal(few, many[many < 500])


def test_no_share_and_tiny_silos_train_on_every_row() -> None:
    assert len(split_validation(100, 1, 0.0)[1]) == 0
    assert all(len(split_validation(1, seed, 0.5)[0]) == 1 for seed in range(20))
    assert [len(part) for part in split_validation(0, 1, 0.5)] == [0, 0]
