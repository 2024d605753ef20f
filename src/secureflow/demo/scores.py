"""How well a model discriminates: accuracy, the exact AUC, and its confidence interval.

The AUC is the Mann-Whitney statistic with ties counted half. Its variance, and that of the
difference of two AUCs on the same rows, is DeLong's (DeLong, DeLong and Clarke-Pearson 1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

Scores = NDArray[np.floating]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """A model on test rows.

    Args:
        accuracy: share of correct decisions at a threshold of one half.
        auc: exact AUC.
        margin: half the width of the AUC's 95 % interval.
    """

    accuracy: float
    auc: float
    margin: float


@dataclass(frozen=True)
class Gain:
    """A difference of two AUCs on the same rows and half the width of its 95 % interval."""

    auc: float
    margin: float

    @property
    def sign(self) -> int:
        """1 or −1 if the difference is significant, else 0."""
        if abs(self.auc) <= self.margin:
            return 0
        return 1 if self.auc > 0 else -1


def score(labels: Labels, scores: Scores) -> Score:
    """Score probabilities of shape (rows,) against labels of both classes."""
    over, under = _placements(labels, scores)
    margin = NORMAL * math.sqrt(_variance(over, under))
    return Score(float(((scores > 0.5) == labels).mean()), float(over.mean()), margin)


def auc(labels: Labels, scores: Scores) -> float:
    """Return the exact AUC of scores on any scale, shape (rows,)."""
    positives = int(labels.sum())
    ranks = _midranks(scores)[labels]
    below = float(ranks.sum()) - positives * (positives + 1) / 2
    return below / (positives * (len(labels) - positives))


def gain(labels: Labels, scores: Scores, others: Scores) -> Gain:
    """Return by how much the AUC of `scores` exceeds that of `others` on the same rows."""
    pairs = zip(_placements(labels, scores), _placements(labels, others), strict=True)
    over, under = (ours - theirs for ours, theirs in pairs)
    return Gain(float(over.mean()), NORMAL * math.sqrt(_variance(over, under)))


def _placements(labels: Labels, scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each positive the share of negatives below it; for each negative, above it."""
    ranks = _midranks(scores)
    positives, negatives = ranks[labels], ranks[~labels]
    over = (positives - _midranks(scores[labels])) / len(negatives)
    under = 1 - (negatives - _midranks(scores[~labels])) / len(positives)
    return over, under


def _variance(over: NDArray[np.float64], under: NDArray[np.float64]) -> float:
    if min(len(over), len(under)) < 2:
        return math.inf
    return float(over.var(ddof=1) / len(over) + under.var(ddof=1) / len(under))


def _midranks(values: Scores) -> NDArray[np.float64]:
    """Return ranks from 1, mean ranks for ties."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
