"""The discrete Gaussian sampler: distribution, tails, ties, determinism."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from secureflow.engines.privacy import gaussian
from secureflow.engines.privacy.gaussian import sample, support, truncation
from secureflow.kit.errors import SecureFlowError


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 40.0])
def test_frequencies_fit_by_chi_square(sigma: float) -> None:
    from scipy.stats import chi2

    size = 400_000
    drawn = sample(sigma, size, seed(1))
    reach = math.ceil(4 * sigma)
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values.astype(float) ** 2) / (2 * sigma**2))
    whole = np.arange(-40 * reach, 40 * reach + 1).astype(float)
    expected = size * weights / np.exp(-(whole**2) / (2 * sigma**2)).sum()
    observed = np.bincount(np.clip(drawn + reach, -1, 2 * reach + 1) + 1, minlength=2 * reach + 3)
    expected = np.concatenate([[0], expected, [0]])
    expected[0] = expected[-1] = (size - expected.sum()) / 2
    keep = expected >= 5
    statistic = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    assert statistic < chi2.ppf(1 - 1e-6, int(keep.sum()) - 1)


def test_a_skewed_sampler_fails_the_same_chi_square(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gaussian._invert
    monkeypatch.setattr(
        gaussian, "_invert", lambda h, lo, w, s: np.maximum(honest(h, lo, w, s) - (w % 50 == 0), 0)
    )
    with pytest.raises(AssertionError):
        test_frequencies_fit_by_chi_square(2.5)


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [1000.0, pytest.param(float(1 << 17), marks=pytest.mark.full)])
def test_moments_of_wide_noise(sigma: float) -> None:
    size = 100_000
    drawn = sample(sigma, size, seed(2)).astype(float)
    assert abs(drawn.mean()) < 6 * sigma / math.sqrt(size)
    assert abs(drawn.std() / sigma - 1) < 6 / math.sqrt(2 * size)
    kurtosis = ((drawn / sigma) ** 4).mean()
    assert abs(kurtosis - 3) < 6 * math.sqrt(96 / size)
    assert np.abs(drawn).max() <= support(sigma)


def test_thresholds_are_exact_to_128_bits() -> None:
    """Against exact rational arithmetic for σ² = 1/(2 ln 2): the weights are powers of ½."""
    sigma = math.sqrt(1 / (2 * math.log(2)))
    high, low = gaussian._table(sigma)
    weights = [1.0] + [2.0 * 2.0 ** -(k * k) for k in range(1, 8)]
    total = sum(2 * 2.0 ** -(k * k) for k in range(1, 12)) + 1
    for k in range(4):
        got = (int(high[k]) * 2**64 + int(low[k])) / 2**128
        assert got == pytest.approx(sum(weights[: k + 1]) / total, rel=1e-14)
    # Rising strictly until the tail saturates, and the last one is below 1.
    whole = [int(h) << 64 | int(lo) for h, lo in zip(high, low, strict=True)]
    assert whole == sorted(whole)
    assert whole[-1] < 2**128


class _Fixed:
    def __init__(self, *words: int) -> None:
        self.left = list(words)

    def words(self, count: int) -> np.ndarray:
        assert count == 1
        return np.array([self.left.pop(0)], np.uint64)


def test_a_tie_in_the_upper_half_is_decided_by_the_lower() -> None:
    high, low = np.array([5, 9, 9], np.uint64), np.array([7, 3, 8], np.uint64)
    words = np.array([4, 5, 5, 6, 9, 9, 9, 10], np.uint64)
    lower = _Fixed(6, 7, 2, 3, 8)
    got = gaussian._invert(high, low, words, lower)
    assert got.tolist() == [0, 0, 1, 1, 1, 2, 3, 3]
    assert not lower.left


def test_the_error_is_accounted_and_tiny() -> None:
    for sigma in (1.0, 1e3, float(1 << 17)):
        # A 1e6-parameter model over 1000 rounds: far below any δ.
        assert 0 < truncation(sigma, 10**9) < 1e-22
    assert truncation(10.0, 2) == 2 * truncation(10.0, 1)


def test_the_same_seed_gives_the_same_noise_and_another_does_not() -> None:
    first = sample(3.0, 70_000, seed(3))
    assert (first == sample(3.0, 70_000, seed(3))).all()
    assert (first[:1000] == sample(3.0, 1000, seed(3))).mean() > 0.1
    other = sample(3.0, 70_000, os.urandom(32))
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_sigma_out_of_range_is_refused(sigma: float) -> None:
    with pytest.raises(SecureFlowError) as refused:
        sample(sigma, 1, seed(1))
    assert refused.value.code == "noise_out_of_range"
