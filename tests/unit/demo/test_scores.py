"""AUC, its interval and the interval of a difference, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from secureflow.demo.scores import NORMAL, auc, gain, score


def drawn(seed: int, rows: int = 400, worth: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    labels = draws.random(rows) < 0.3
    scores = np.round(draws.normal(labels * worth), 1)  # rounded: ties
    return labels, 1 / (1 + np.exp(-scores))


def test_the_auc_is_exact_with_ties() -> None:
    for seed in range(5):
        labels, scores = drawn(seed)
        assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        found = score(labels, scores)
        assert found.auc == pytest.approx(auc(labels, scores), abs=1e-12)
        assert found.accuracy == ((scores > 0.5) == labels).mean()


def test_intervals_are_as_wide_as_the_estimates_scatter() -> None:
    labels, scores = zip(*(drawn(seed) for seed in range(400)), strict=True)
    found = [score(*pair) for pair in zip(labels, scores, strict=True)]
    scatter = np.std([one.auc for one in found])
    assert np.mean([one.margin for one in found]) == pytest.approx(NORMAL * scatter, rel=0.12)


def test_the_difference_of_alike_models_is_known_better_than_either() -> None:
    draws = np.random.default_rng(3)
    found = []
    for seed in range(400):
        labels, scores = drawn(seed)
        other = scores + draws.normal(0, 0.05, len(scores))
        found.append(gain(labels, scores, other))
    scatter = np.std([one.auc for one in found])
    assert np.mean([one.margin for one in found]) == pytest.approx(NORMAL * scatter, rel=0.12)
    labels, scores = drawn(1)
    assert gain(labels, scores, scores + 0).margin < score(labels, scores).margin / 5
    assert gain(labels, scores, scores).sign == 0
    assert gain(labels, scores, 1 - scores).sign == 1
    assert gain(labels, 1 - scores, scores).sign == -1
