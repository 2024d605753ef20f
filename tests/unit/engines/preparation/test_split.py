from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.preparation import (
    LEAST_VALIDATION,
    chosen_by_content,
    split_validation,
    validation_parts,
)


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


SECRET = bytes(range(32))
TODAY = TrainingPlan(validation=0.2, draws="words")


def test_a_submitter_who_knows_plan_and_rows_cannot_tell_who_is_measured() -> None:
    """With the seed alone one could try seeds until one row is left as the whole part."""
    parts = [validation_parts(TODAY, 1_000, bytes([one]) * 32)[1] for one in range(3)]
    for one, other in itertools.pairwise(parts):
        common = len(set(one.tolist()) & set(other.tolist()))
        assert 15 < common < 75  # 40 expected of 200: independent draws
    assert not np.array_equal(parts[0], split_validation(1_000, TODAY.seed, 0.2)[1])


def test_jobs_on_one_file_with_one_seed_and_share_measure_on_the_same_rows() -> None:
    train, valid = validation_parts(TODAY, 5_000, SECRET)
    again = validation_parts(replace(TODAY, rounds=3, learning_rate=1.0), 5_000, SECRET)
    assert [part.tolist() for part in again] == [train.tolist(), valid.tolist()]
    assert sorted([*train, *valid]) == list(range(5_000))
    assert 850 < len(valid) < 1_150
    for other in (replace(TODAY, seed=8), replace(TODAY, validation=0.2001)):
        # No share next to it gives a part that differs in a row or two.
        found = set(validation_parts(other, 5_000, SECRET)[1].tolist())
        assert len(found & set(valid.tolist())) < 400


@pytest.mark.parametrize("share", [0.002, 0.05, 0.1, 0.3])
def test_fewer_than_the_least_number_are_measured_on_none_and_all_train(share: float) -> None:
    for number in range(60):
        rows = 20 + 5 * number
        plan = replace(TODAY, validation=share, seed=number)
        train, valid = validation_parts(plan, rows, SECRET)
        assert len(valid) == 0 or len(valid) >= LEAST_VALIDATION
        assert len(train) + len(valid) == rows


def test_a_public_order_has_public_parts_and_no_party_counts() -> None:
    public = replace(TODAY, order="public")
    first, second = (validation_parts(public, 300, bytes([one]) * 32)[1] for one in (1, 2))
    assert np.array_equal(first, second)
    assert np.array_equal(first, validation_parts(public, 300, b"")[1])


def test_jobs_of_0_2_0_keep_their_parts_and_no_secret_moves_them() -> None:
    old = replace(TODAY, draws=None)
    assert validation_parts(old, 60, SECRET)[1].tolist() == PINNED_OLD
    inputs = np.arange(200, dtype=np.float32).reshape(100, 2)
    chosen = chosen_by_content(inputs, inputs[:, 0], 7, 0.1)
    assert np.flatnonzero(chosen).tolist() == PINNED_CONTENT


def test_the_parts_of_today_never_change() -> None:
    """An agent that is replaced by a newer one in the middle of a job measures the same rows."""
    assert validation_parts(TODAY, 60, SECRET)[1].tolist() == PINNED_TODAY


PINNED_OLD = [6, 21, 23, 24, 32, 33, 37, 39, 46, 52, 55]
PINNED_CONTENT = [0, 18, 25, 37, 38, 58, 79, 83, 89, 94]
PINNED_TODAY = [2, 11, 12, 15, 17, 25, 34, 36, 37, 49, 50, 53, 55]
