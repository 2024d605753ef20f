"""The empirical audit: it sees a missing noise, and stays below the accounted ε otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secureflow.engines.privacy.accounting import epsilon
from secureflow.engines.privacy.audit import (
    Counts,
    best_threshold,
    clopper_pearson,
    count,
    epsilon_lower_bound,
)
from secureflow.engines.privacy.dpsgd import DpSgd, train

DELTA = 1e-5


def test_clopper_pearson_is_the_textbooks() -> None:
    low, high = clopper_pearson(8, 10, 0.95)
    assert (low, high) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert clopper_pearson(0, 10, 0.95) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert clopper_pearson(10, 10, 0.95) == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_the_bound_of_given_counts() -> None:
    assert epsilon_lower_bound(Counts(50, 100, 50, 100), DELTA) == 0
    assert epsilon_lower_bound(Counts(0, 100, 100, 100), DELTA) == 0
    perfect = epsilon_lower_bound(Counts(1000, 1000, 0, 1000), DELTA)
    low, high = clopper_pearson(1000, 1000, 0.975)[0], clopper_pearson(0, 1000, 0.975)[1]
    assert perfect == pytest.approx(math.log((low - DELTA) / high))
    # Only the complement shows it: canary runs are never missed, others often flagged.
    assert epsilon_lower_bound(Counts(1000, 1000, 900, 1000), DELTA) > 2.5


def test_the_bound_covers_randomised_response() -> None:
    """With ε = 1 exactly, the 95% bound lies above 1 in at most about 5% of experiments."""
    rng = np.random.default_rng(11)
    truth = math.e / (1 + math.e)
    over = [
        epsilon_lower_bound(
            Counts(int(rng.binomial(500, truth)), 500, int(rng.binomial(500, 1 - truth)), 500), 0.0
        )
        > 1.0
        for _ in range(400)
    ]
    assert np.mean(over) < 0.08


def _scores(plan: DpSgd, canary: bool, first: int, runs: int) -> list[float]:
    """How far training moves along a canary's own direction, which no other row touches."""
    rng = np.random.default_rng(3)
    features = rng.normal(0, 1, (30, 3))
    features[:, 2] = 0.0
    labels = (features[:, 0] > 0).astype(float)
    if canary:
        features = np.vstack([features, [0.0, 0.0, 40.0]])
        labels = np.append(labels, 1.0)
    return [
        float(train(features, labels, plan, (first + r).to_bytes(32, "big"))[2])
        for r in range(runs)
    ]


def _audit(plan: DpSgd, runs: int) -> float:
    pilot = best_threshold(_scores(plan, True, 0, 150), _scores(plan, False, 1_000, 150), DELTA)
    outcome = count(_scores(plan, True, 10_000, runs), _scores(plan, False, 20_000, runs), pilot)
    return epsilon_lower_bound(outcome, DELTA)


@pytest.mark.slow
def test_the_measured_bound_stays_below_the_accounted_epsilon() -> None:
    plan = DpSgd(noise=1.0, clip=1.0, sampling=0.5, steps=4, rows=30, learning_rate=1.0)
    accounted = epsilon(plan.charge, DELTA, "pld")
    measured = _audit(plan, 600)
    assert 0.5 < measured <= accounted


def test_the_audit_catches_noise_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = DpSgd(noise=4.0, clip=1.0, sampling=0.5, steps=4, rows=30, learning_rate=1.0)
    accounted = epsilon(plan.charge, DELTA, "pld")
    monkeypatch.setattr(
        "secureflow.engines.privacy.dpsgd.sample", lambda _, size, __: np.zeros(size, np.int64)
    )
    assert _audit(plan, 300) > accounted
