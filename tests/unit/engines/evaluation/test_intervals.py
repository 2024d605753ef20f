"""Intervals hold what they are of about 95 times in 100: by reference, and by repeated draws."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from secureflow.engines.evaluation import intervals
from secureflow.engines.evaluation.figures import evaluate
from secureflow.engines.evaluation.layout import BinaryForm
from secureflow.engines.evaluation.noising import noise_errors
from secureflow.engines.evaluation.sums import Sums
from tests.unit.engines.evaluation.rows import (
    BINARY,
    CLASSES,
    NUMBER,
    Rows,
    binary_rows,
    classes_rows,
    number_rows,
)


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (5, 5), (1, 9), (37, 80), (400, 9768)])
def test_proportions_have_wilsons(hits: int, rows: int) -> None:
    known = binomtest(hits, rows).proportion_ci(method="wilson")
    assert intervals.wilson(hits, rows) == pytest.approx((known.low, known.high), abs=1e-6)
    assert intervals.wilson(0, 0) == (0, 1)


def test_the_auc_has_delongs_variance_with_ties() -> None:
    """By the definition: over all pairs of rows."""
    random = np.random.default_rng(21)
    one, zero = random.binomial(8, 0.6, 40), random.binomial(8, 0.4, 70)
    wins = (one[:, None] > zero) + 0.5 * (one[:, None] == zero)
    spread = wins.mean(axis=1).var(ddof=1) / 40 + wins.mean(axis=0).var(ddof=1) / 70
    area = wins.mean()
    low, high = intervals.auc(*(np.bincount(x, minlength=9).astype(float) for x in (one, zero)))
    logit = np.log([low / (1 - low), high / (1 - high)])
    assert logit.mean() == pytest.approx(np.log(area / (1 - area)))
    assert (logit[1] - logit[0]) / 2 == pytest.approx(
        norm.ppf(0.975) * np.sqrt(spread) / area / (1 - area), rel=1e-5
    )


def test_separated_rows_have_an_interval_all_the_same() -> None:
    """Newcombe's method 5 solves (A − θ)² = z²·V(θ); few rows leave much open."""
    cells = np.array([6.0, 0.0]), np.array([0.0, 4.0])
    low, high = intervals.auc(cells[1], cells[0])
    assert high == 1.0
    assert 0.5 < low < 0.75
    about = (1 - low) / (2 - low) + low / (1 + low)
    spread = low * (1 - low) / 24 * (1 + 4 * about)
    assert (1 - low) ** 2 == pytest.approx(intervals.Z**2 * spread)
    assert intervals.auc(*cells) == pytest.approx((0.0, 1 - low))
    assert intervals.auc(*(50 * one for one in cells[::-1]))[0] > 0.97


def _covered(
    make: Callable[[int], Rows], form: Any, truths: dict[str, float], draws: int
) -> dict[str, float]:
    held = dict.fromkeys(truths, 0)
    for seed in range(draws):
        rows = make(1000 + seed)
        found = evaluate(form, rows.totals(form))["intervals"]
        for name, truth in truths.items():
            held[name] += found[name][0] <= truth <= found[name][1]
    return {name: count / draws for name, count in held.items()}


def test_intervals_of_binary_figures_cover() -> None:
    many = evaluate(BINARY, binary_rows(200_000, seed=9).totals(BINARY))["figures"]
    names = ("auc", "ks", "loss", "brier", "accuracy", "recall", "precision", "f1",
             "balanced_accuracy")  # fmt: skip
    covered = _covered(
        lambda seed: binary_rows(600, seed=seed), BINARY, {name: many[name] for name in names}, 80
    )
    for name, share in covered.items():
        assert share >= 0.88, (name, share)
    assert np.mean(list(covered.values())) < 0.99
    found = evaluate(BINARY, binary_rows(600).totals(BINARY))["intervals"]
    assert found["gini"] == pytest.approx([2 * end - 1 for end in found["auc"]])


def test_the_lower_end_of_ks_knows_that_the_greatest_difference_is_too_great() -> None:
    random = np.random.default_rng(23)
    one, zero = (np.bincount(random.binomial(199, p, 120), minlength=200) for p in (0.52, 0.49))
    low, high = intervals.ks(one.astype(float), zero.astype(float))
    shares = np.cumsum(one) / 120, np.cumsum(zero) / 120
    at = int(np.abs(shares[0] - shares[1]).argmax())
    most, least = (shares[1][at], shares[0][at])
    ends = [intervals.wilson(share * 120, 120) for share in (most, least)]
    there = most - least - np.hypot(most - ends[0][0], ends[1][1] - least)
    assert 0 < low < there - 0.005
    assert high == pytest.approx(most - least + np.hypot(ends[0][1] - most, least - ends[1][0]))


def test_a_difference_that_chance_explains_has_no_lower_end() -> None:
    """Two cells: the difference is at one place only, where its own interval leaves 0 out."""
    assert intervals.ks(np.array([86.0, 14.0]), np.array([97.0, 3.0]))[0] == 0.0
    assert intervals.ks(np.array([860.0, 140.0]), np.array([970.0, 30.0]))[0] > 0.05


def test_a_model_that_knows_nothing_shows_no_ks() -> None:
    """The greatest of many differences is above 0 even so."""
    least = [
        evaluate(BINARY, binary_rows(300, seed=seed, shift=0.0).totals(BINARY))["intervals"]["ks"][
            0
        ]
        for seed in range(40)
    ]
    assert np.mean([low == 0 for low in least]) >= 0.9


def test_intervals_of_numbers_cover() -> None:
    many = evaluate(NUMBER, number_rows(200_000, seed=9).totals(NUMBER))["figures"]
    names = ("rmse", "mae", "r2", "bias")
    covered = _covered(
        lambda seed: number_rows(400, seed=seed), NUMBER, {name: many[name] for name in names}, 100
    )
    for name, share in covered.items():
        assert share >= 0.88, (name, share)
    assert np.mean(list(covered.values())) < 0.99


def test_intervals_of_classes_cover() -> None:
    many = evaluate(CLASSES, classes_rows(200_000, seed=9).totals(CLASSES))["figures"]
    names = ("accuracy", "macro_f1", "weighted_f1", "loss")
    covered = _covered(
        lambda seed: classes_rows(800, seed=seed), CLASSES, {n: many[n] for n in names}, 25
    )
    for name, share in covered.items():
        assert share >= 0.85, (name, share)


def test_noise_widens_an_interval_and_limits_hold() -> None:
    low, high = intervals.widened(0.9, (0.8, 0.95), 0.1, (0.0, 1.0))
    assert low == pytest.approx(0.9 - np.hypot(0.1, 1.959964 * 0.1))
    assert high == 1.0
    assert intervals.widened(0.9, (0.95, 0.97), 0.0, (0.0, 1.0)) == (0.9, 0.97)


def test_groups_are_about_equal_and_none_is_empty() -> None:
    random = np.random.default_rng(22)
    for counts in (random.poisson(3.0, 500), [0, 0, 9, 0, 1, 0], [7], random.poisson(0.05, 300)):
        each = np.asarray(counts, np.float64)
        groups = intervals.equal_groups(each, 10)
        sizes = [each[group].sum() for group in groups]
        assert min(sizes) > 0
        assert sum(sizes) == each.sum()
        assert len(groups) <= 10
        assert groups[0].start == 0
        assert all(a.stop == b.start for a, b in pairwise(groups))
    assert intervals.equal_groups(np.zeros(4), 10) == []


def test_errors_of_noise_hold_a_shift_that_noise_causes() -> None:
    """The greatest of many noised counts is too great, by more than it scatters."""
    form = BinaryForm(private=True)
    totals = np.full(form.length, 100 * 1024, np.int64)

    def greatest(sums: Sums) -> dict[str, float]:
        return {"greatest": float(sums.cells["positives"].max())}

    found = noise_errors(form, totals, 1024, 5 * 1024.0, greatest)["greatest"]
    assert 8 < found < 15  # of 34 counts with σ = 5 it is about 2.1 σ too great, ± .5 σ


def test_means_of_few_skew_losses_reach_further_up_than_down() -> None:
    losses = np.array([0.01] * 57 + [0.5, 0.8, 0.9])
    low, high = intervals.mean(losses.sum(), np.square(losses).sum(), len(losses))
    half = 1.959964 * losses.std() / np.sqrt(len(losses))
    assert low == max(0.0, losses.mean() - half)
    assert high == pytest.approx(losses.mean() * np.exp(half / losses.mean()))
    assert high - losses.mean() > 1.5 * half
    assert intervals.mean(0.0, 0.0, 5) == (0.0, 0.0)
    assert intervals.mean(1e-300, 1.0, 5)[1] < 1e-270


def test_no_interval_leaves_the_noise_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a figure that most draws of noise lack, nobody knows how far noise moves it."""
    form = BinaryForm(private=True)
    totals = binary_rows(2000).totals(form, 1024)

    def without_auc(*given: Any) -> dict[str, float]:
        return {name: one for name, one in noise_errors(*given).items() if name != "auc"}

    monkeypatch.setattr("secureflow.engines.evaluation.figures.noise_errors", without_auc)
    found = evaluate(form, totals, unit=1024, sigma=2048.0)
    assert "auc" in found["figures"]
    assert "auc" not in found["intervals"]
    assert {"accuracy", "ks", "loss"} <= found["intervals"].keys()
