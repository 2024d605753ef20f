"""Clipping bounds what one example or one party changes; the adaptive bound finds its quantile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.privacy.clipping import (
    AdaptiveClip,
    Layer,
    clip_norm,
    clipped_layers_sum,
    logistic_gradient_sum,
    sigmoid,
)
from secureflow.engines.privacy.dpsgd import DpSgd, gradient_sum, noisy_step, poisson_sample, train
from secureflow.engines.training.logistic import LogisticRegression
from secureflow.kit.errors import SecureFlowError

RNG = np.random.default_rng(5)
X = RNG.normal(0, 3, (50, 4))
Y = (X[:, 0] + RNG.normal(0, 1, 50) > 0).astype(float)
W = RNG.normal(0, 1, 5)


def test_the_clipped_sum_is_that_of_clipped_rows() -> None:
    ones = np.hstack([X, np.ones((50, 1))])
    rows = (sigmoid(ones @ W) - Y)[:, None] * ones
    for clip in (0.01, 1.0, 1e9):
        total, unclipped = logistic_gradient_sum(W, X, Y, clip)
        norms = np.linalg.norm(rows, axis=1)
        clipped = rows * np.minimum(1.0, clip / norms)[:, None]
        assert total == pytest.approx(clipped.sum(axis=0))
        assert unclipped == int((norms <= clip).sum())


@given(st.integers(0, 49), st.floats(1e-3, 100))
@settings(max_examples=100, deadline=None)
def test_one_row_moves_the_sum_by_at_most_the_clip(row: int, clip: float) -> None:
    whole, _ = logistic_gradient_sum(W, X, Y, clip)
    without, _ = logistic_gradient_sum(W, np.delete(X, row, 0), np.delete(Y, row), clip)
    assert np.linalg.norm(whole - without) <= clip * (1 + 1e-9)


@pytest.mark.parametrize(
    ("seen", "slope"), [(1.3e154, 1.5e-162), (1e300, 1e-306), (1.0, 5.0), (1e308, 1e10)]
)
def test_no_row_adds_more_than_the_clip_where_squares_leave_the_range(
    seen: float, slope: float
) -> None:
    """Weights of a submitter's choice make slopes so small, and inputs so large."""
    layers = [Layer(np.array([[seen]]), np.full((1, 4096), slope)) for _ in range(8)]
    assert np.linalg.norm(clipped_layers_sum(layers, 1e-6)) <= 1e-6 * (1 + 1e-9)


def test_on_the_lattice_the_sensitivity_grows_by_the_rounding() -> None:
    plan = DpSgd(noise=1.0, clip=0.5, sampling=1.0, steps=1, rows=50, learning_rate=1.0, bits=2)
    bound = plan.clip + math.sqrt(5) * plan.lattice
    moved = []
    for row in range(50):
        whole = gradient_sum(W, X, Y, plan, bytes(32))
        without = gradient_sum(W, np.delete(X, row, 0), np.delete(Y, row), plan, bytes(32))
        moved.append(np.linalg.norm(whole - without))
        assert (np.rint(whole / plan.lattice) * plan.lattice == whole).all()
    assert max(moved) <= bound
    # Without the rounding term the bound would not hold.
    assert max(moved) > plan.clip


def test_norm_clip() -> None:
    vector = np.array([3.0, 4.0])
    assert np.linalg.norm(clip_norm(vector, 1.0)) == pytest.approx(1.0)
    assert (clip_norm(vector, 6.0) == vector).all()
    for bad in (np.nan, np.inf):
        with pytest.raises(SecureFlowError):
            clip_norm(np.array([bad]), 1.0)


@pytest.mark.parametrize("quantile", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("start", [0.01, 100.0])
def test_the_adaptive_bound_finds_its_quantile(quantile: float, start: float) -> None:
    rng = np.random.default_rng(7)
    clip = AdaptiveClip(start, quantile, rate=0.2, bit_noise=2.0)
    norms = rng.lognormal(0, 0.5, (300, 100))
    for round_ in norms:
        bits = sum(clip.bit(n) for n in round_) + rng.normal(0, clip.bit_noise)
        clip = clip.moved(bits, len(round_))
    assert clip.bound == pytest.approx(np.quantile(norms, quantile), rel=0.2)


def test_poisson_sampling_takes_each_row_alone() -> None:
    masks = np.array([poisson_sample(2000, 0.1, n.to_bytes(32, "big")) for n in range(200)])
    assert abs(masks.mean() - 0.1) < 6 * math.sqrt(0.09 / masks.size)
    # Batch sizes vary like a binomial's: a fixed-size batch would have no variance at all.
    assert 0.7 < masks.sum(axis=1).var() / (2000 * 0.09) < 1.4
    assert poisson_sample(10, 1.0, bytes(32)).all()


def test_training_is_reproducible_learns_and_names_its_charge() -> None:
    plan = DpSgd(noise=0.5, clip=1.0, sampling=0.5, steps=200, rows=50, learning_rate=0.5)
    weights = train(X, Y, plan, bytes(32))
    assert (weights == train(X, Y, plan, bytes(32))).all()
    assert not (weights == train(X, Y, plan, b"\1" * 32)).any()
    guess = sigmoid(X @ weights[:-1] + weights[-1]) > 0.5
    assert (guess == (Y > 0.5)).mean() > 0.8
    (charge,) = plan.charge
    assert (charge.noise, charge.sampling, charge.count) == (0.5, 0.5, 200)


def test_a_step_has_the_noise_that_is_accounted() -> None:
    plan = DpSgd(noise=3.0, clip=2.0, sampling=1.0, steps=1, rows=50, learning_rate=1.0)
    steps = np.array([noisy_step(W, X, Y, plan, n.to_bytes(32, "big")) for n in range(2000)])
    wanted = plan.noise * (plan.clip + math.sqrt(5) * plan.lattice) / plan.rows
    assert steps.std(axis=0) == pytest.approx([wanted] * 5, rel=0.08)


def test_a_row_without_a_logit_has_no_gradient() -> None:
    """Weights that overflow against one row's inputs: that row adds nothing, the others stay."""
    weights = np.array([1e308, 1e308, 1e308, 0.0])
    features = np.array([[1.0, 1.0, -1.0], [1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
    labels = np.zeros(3)
    whole, _ = logistic_gradient_sum(weights, features, labels, 1.0)
    assert np.isfinite(whole).all()
    with np.errstate(over="ignore", invalid="ignore"):
        lost = ~np.isfinite(features @ weights[:-1])
    assert lost.any()


def test_memory_does_not_grow_with_rows_times_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a submitter could find the number of columns at which one row more is too many."""
    whole = gradient_sum(W, X, Y, DpSgd(1.0, 1.0, 0.5, 1, len(Y), 0.1), bytes(32))
    monkeypatch.setattr("secureflow.engines.privacy.dpsgd.BLOCK_CELLS", 3 * X.shape[1])
    seen = []

    class Rows:
        def __getitem__(self, rows: Any) -> Any:
            seen.append(len(rows))
            return X[rows].astype(np.float32)

    parts = gradient_sum(W, Rows(), Y, DpSgd(1.0, 1.0, 0.5, 1, len(Y), 0.1), bytes(32))
    assert max(seen) <= 3 < len(seen)
    assert parts == pytest.approx(whole, abs=1e-3)


def rounding_decides(width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a row, and weights by which nothing but rounding decides the class of its kind."""
    draws = np.random.default_rng(seed)
    row = draws.uniform(-1, 1, width).astype(np.float32).astype(np.float64)
    weights = draws.normal(size=width) * 10.0 ** draws.integers(20, 29, width)
    return row, np.append(weights, -(np.tile(row, (64, 1)) @ weights)[0])


@pytest.mark.parametrize("width", [9, 12, 30, 101])
def test_no_rows_gradient_depends_on_where_it_stands_or_who_else_is_there(width: int) -> None:
    """Of equal rows one is removed: the others keep their class, which rounding alone decides."""
    for seed in range(20):
        row, weights = rounding_decides(width, seed)
        for count in range(2, 10):
            rows, labels = np.tile(row, (count, 1)), np.zeros(count)
            whole, _ = logistic_gradient_sum(weights, rows, labels, 1.0)
            without, _ = logistic_gradient_sum(weights, rows[1:], labels[1:], 1.0)
            assert np.linalg.norm(whole - without) <= 1.0 + 1e-9
            alone, _ = logistic_gradient_sum(weights, rows[:1], labels[:1], 1.0)
            assert np.allclose(whole, count * alone, atol=1e-9)


def test_a_whole_step_moves_by_one_clip_however_many_blocks_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("secureflow.engines.privacy.dpsgd.BLOCK_CELLS", 31 * 5)
    row, weights = rounding_decides(30, 3)
    # Positives stand where a block ends: the row that is removed moves them all from there.
    rows, labels = np.tile(row, (400, 1)), np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 80)
    plan = DpSgd(1.0, 0.1, 1.0, 1, 400, 0.1)
    moved = gradient_sum(weights, rows, labels, plan, bytes(32)) - gradient_sum(
        weights, rows[1:], labels[1:], plan, bytes(32)
    )
    assert np.linalg.norm(moved) <= plan.clip + math.sqrt(len(weights)) * plan.lattice


def test_no_rows_metrics_depend_on_where_it_stands_or_who_else_is_there() -> None:
    family = LogisticRegression()
    for seed in range(20):
        draws = np.random.default_rng(seed)
        row = draws.uniform(-1, 1, 30).astype(np.float32)
        weights = (draws.normal(size=30) * 10.0 ** draws.integers(0, 9, 30)).astype(np.float32)
        middle = (np.tile(row, (64, 1)) @ weights)[0]
        model = np.append(weights, -middle).astype(np.float32)
        alone = family.metric_steps(model, row[None], np.zeros(1, np.float32), 1024)
        for count in range(2, 10):
            rows = np.tile(row, (count, 1))
            found = family.metric_steps(model, rows, np.zeros(count, np.float32), 1024)
            assert (found == count * alone).all()
