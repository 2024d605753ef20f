"""95 % intervals of figures from counts and moments: what chance in the rows allows.

A proportion has Wilson's interval (1927); means and differences of proportions have Newcombe's
MOVER (1998); the AUC that of DeLong et al. (1988) on the logit scale, exact with ties, and where
all pairs agree, so that it would have no width, Newcombe's score interval (2006, method 5); means
and what follows from them have the delta method's. All are pure and return (low, high), low ≤ high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from secureflow.engines.evaluation.layout import Floats

Interval = tuple[float, float]

Z: Final = 1.959964
"""95 % of a normal distribution lies within this many standard errors."""
DRAWS: Final = 200
"""Draws of a bootstrap."""
_NOTICED: Final = 1.358
"""√(1/n + 1/m) times this is the greatest KS that equal distributions show 95 times in 100."""
_STEEP: Final = 50.0
"""An interval on the log scale ends at this power of e."""
_SEED: Final = 1979
_GROUPS: Final = 128
"""Cells to which the score cells are merged for a bootstrap."""


def wilson(hits: float, rows: float) -> Interval:
    """Return the interval of a proportion; (0, 1) without rows.

    Args:
        hits: 0 to `rows`; neither need be whole.
        rows: at least 0.
    """
    if rows <= 0:
        return 0.0, 1.0
    share = min(max(hits / rows, 0.0), 1.0)
    centre = share + Z * Z / (2 * rows)
    half = Z * math.sqrt(share * (1 - share) / rows + (Z / (2 * rows)) ** 2)
    whole = 1 + Z * Z / rows
    return max(0.0, (centre - half) / whole), min(1.0, (centre + half) / whole)


def mean_of_shares(shares: Sequence[tuple[float, float]]) -> Interval:
    """Return the interval of the mean of independent proportions, each (hits, rows > 0)."""
    return mean_of([(hits / rows, *wilson(hits, rows)) for hits, rows in shares])


def mean_of(each: Sequence[tuple[float, float, float]], weights: Floats | None = None) -> Interval:
    """Return the interval of the mean of independent shares (MOVER).

    Args:
        each: at least one (share, low, high).
        weights: of each; all alike by default. Their sum is above 0.
    """
    parts = np.ones(len(each)) if weights is None else weights
    parts = parts / parts.sum()
    share, low, high = np.array(each, np.float64).T
    middle = float(parts @ share)
    below = math.hypot(*(parts * (share - low)))
    above = math.hypot(*(parts * (high - share)))
    return max(0.0, middle - below), min(1.0, middle + above)


def mean(total: float, squares: float, rows: float) -> Interval:
    """Return the interval of the mean of numbers of at least 0.

    Losses of a good model are skew, so that a mean of few of them is rather too small than too
    great: the upper end is that on the log scale.

    Args:
        total: their sum.
        squares: the sum of their squares.
        rows: above 0.
    """
    found = total / rows
    half = Z * math.sqrt(max(squares / rows - found * found, 0.0) / rows)
    high = found * math.exp(min(half / found, _STEEP)) if found > 0 else half
    return max(0.0, found - half), high


def area(positives: Floats, negatives: Floats) -> float | None:
    """Return P(score of a positive > score of a negative) + ½ P(equal), or None with one class.

    Arguments as of `auc`; a class may have no rows.
    """
    ones, zeros = float(positives.sum()), float(negatives.sum())
    if ones <= 0 or zeros <= 0:
        return None
    below = np.cumsum(negatives) - negatives / 2
    return min(max(float((positives * below).sum() / ones / zeros), 0.0), 1.0)


def auc(positives: Floats, negatives: Floats) -> Interval:
    """Return the interval of the AUC of two histograms of scores, each with at least one row.

    Args:
        positives: rows of class 1 by ascending score, float64 (cells,).
        negatives: of class 0.
    """
    ones, zeros = float(positives.sum()), float(negatives.sum())
    below = (np.cumsum(negatives) - negatives / 2) / zeros
    above = 1.0 - (np.cumsum(positives) - positives / 2) / ones
    found = float((positives * below).sum() / ones)
    if min(ones, zeros) < 2:
        return _score_interval(found, ones, zeros)
    spread = float((positives * (below - found) ** 2).sum()) / (ones - 1) / ones
    spread += float((negatives * (above - found) ** 2).sum()) / (zeros - 1) / zeros
    odds = found * (1.0 - found)
    if spread <= 1e-15 or odds <= 1e-9:
        return _score_interval(found, ones, zeros)
    half = Z * math.sqrt(spread) / odds
    centre = math.log(found / (1.0 - found))
    return _probability(centre - half), _probability(centre + half)


def ks(positives: Floats, negatives: Floats) -> Interval:
    """Return the interval of the greatest difference of two cumulative shares.

    It is that of the difference at the threshold where it is reached. Because the greatest of many
    differences is too great, the lower end is moved down by as much as draws from these rows exceed
    them (bootstrap, Efron 1979); it is 0 where the test of Kolmogorov and Smirnov finds nothing.

    Arguments as of `auc`. Drawn with a fixed seed: the same counts give the same interval.
    """
    ones, zeros = float(positives.sum()), float(negatives.sum())
    shares = np.cumsum(positives) / ones, np.cumsum(negatives) / zeros
    at = int(np.abs(shares[0] - shares[1]).argmax())
    least, most = sorted(
        ((float(shares[0][at]), *wilson(float(shares[0][at]) * ones, ones)),
         (float(shares[1][at]), *wilson(float(shares[1][at]) * zeros, zeros)))
    )  # fmt: skip
    found = most[0] - least[0]
    below = math.hypot(most[0] - most[1], least[2] - least[0])
    above = math.hypot(most[2] - most[0], least[0] - least[1])
    noticed = _NOTICED * math.sqrt(1 / ones + 1 / zeros)
    low = found - below - _excess(positives, negatives) if found > noticed else 0.0
    return min(max(low, 0.0), found), min(found + above, 1.0)


def _excess(positives: Floats, negatives: Floats) -> float:
    """Return by how much KS of draws from rows exceeds that of the rows, on average."""
    both = _merged(positives, negatives)
    random = np.random.default_rng(_SEED)
    first, second = (np.cumsum(_resampled(random, one), axis=1) for one in both)
    return max(float(np.abs(first - second).max(axis=1).mean()) - distance(*both), 0.0)


def distance(positives: Floats, negatives: Floats) -> float:
    """Return KS: the greatest difference of the cumulative shares, each with at least one row."""
    share = np.cumsum(positives) / positives.sum() - np.cumsum(negatives) / negatives.sum()
    return float(np.abs(share).max())


def resampled(counts: Floats, figures: Callable[[Floats], dict[str, float]]) -> dict[str, Interval]:
    """Return intervals of figures of counts by the percentile bootstrap, with a fixed seed.

    Args:
        counts: of cells, at least one row in all.
        figures: of counts of the same shape; one that some draws lack has no interval.
    """
    random = np.random.default_rng(_SEED)
    rows = max(1, round(float(counts.sum())))
    drawn = random.multinomial(rows, (counts / counts.sum()).reshape(-1), size=DRAWS)
    each = [figures(one.reshape(counts.shape).astype(np.float64)) for one in drawn]
    found: dict[str, Interval] = {}
    for name in each[0]:
        if all(name in one for one in each):
            low, high = np.quantile([one[name] for one in each], [0.025, 0.975])
            found[name] = (float(low), float(high))
    return found


def widened(value: float, interval: Interval, noise: float, limits: Interval) -> Interval:
    """Return an interval that also holds what noise does: half-widths are added in squares.

    Args:
        value: the noised figure.
        interval: of chance in the rows, around it.
        noise: the standard error of noise.
        limits: that the figure cannot pass.
    """
    below = math.hypot(max(value - interval[0], 0.0), Z * noise)
    above = math.hypot(max(interval[1] - value, 0.0), Z * noise)
    return max(limits[0], value - below), min(limits[1], value + above)


def _resampled(random: np.random.Generator, counts: Floats) -> Floats:
    """Return shares of `DRAWS` draws of as many rows: float64 (draws, cells)."""
    rows = max(1, round(float(counts.sum())))
    return np.asarray(random.multinomial(rows, counts / counts.sum(), size=DRAWS) / rows)


def _merged(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return both histograms over at most `_GROUPS` neighbourhoods with about equal rows."""
    every = positives + negatives
    rank = np.cumsum(every) - every
    group = np.minimum(rank / every.sum() * _GROUPS, _GROUPS - 1).astype(np.int64)
    return (
        np.asarray(np.bincount(group, positives, minlength=_GROUPS), np.float64),
        np.asarray(np.bincount(group, negatives, minlength=_GROUPS), np.float64),
    )


def _score_interval(found: float, ones: float, zeros: float) -> Interval:
    """Return the areas whose own standard error reaches the area that was found."""

    def far(theta: float) -> float:
        about = (1 - theta) / (2 - theta) + theta / (1 + theta)
        spread = theta * (1 - theta) / (ones * zeros) * (1 + ((ones + zeros) / 2 - 1) * about)
        return (found - theta) ** 2 - Z * Z * max(spread, 0.0)

    return _crossing(far, found, 0.0), _crossing(far, found, 1.0)


def _crossing(far: Callable[[float], float], inside: float, outside: float) -> float:
    """Return where a function that is at most 0 inside becomes positive, by bisection."""
    for _ in range(50):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if far(middle) <= 0 else (inside, middle)
    return (inside + outside) / 2


def _probability(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds)) if odds > -700 else 0.0


def equal_groups(counts: Floats, groups: int) -> list[slice]:
    """Return neighbouring cells as groups of about equally many rows; none is empty.

    Args:
        counts: of cells, float64 (cells,).
        groups: how many at most.
    """
    total = float(counts.sum())
    if total <= 0:
        return []
    middle = (np.cumsum(counts) - counts / 2) / total * groups
    which = np.minimum(middle.astype(np.int64), groups - 1)
    filled = which[counts > 0]
    starts = [0, *(int(np.flatnonzero(which >= one)[0]) for one in sorted(set(filled))[1:])]
    return [slice(first, last) for first, last in pairwise([*starts, len(counts)])]
