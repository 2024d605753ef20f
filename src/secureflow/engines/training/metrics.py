"""Classification metrics that are sums, so that a sum over parties is the metric over all rows.

The AUC comes from two histograms of scores (positives, negatives): the Mann-Whitney statistic
with ties counted half, exact up to pairs that share a bin (error at most half their share).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 256
"""Score bins per class, fine around the centre and growing quadratically outwards."""

METRIC_COUNT = 3 + 2 * BINS
"""Length of the sums: rows, Σ log-loss, Σ correct, positives per bin, negatives per bin."""

LOSS_CAP = 32.0
"""Log-loss of one row in nats is capped here, so that one row moves the sum by a known amount."""


def binary_metric_sums(
    logits: NDArray[np.float32], labels: NDArray[np.float32], centre: float, scale: float
) -> NDArray[np.float64]:
    """Return the float64 sums of shape (METRIC_COUNT,) over rows of logits and 0/1 labels.

    Args:
        logits: log-odds of class 1, shape (rows,).
        labels: 0 or 1, shape (rows,).
        centre: where the histogram's bins are finest; equal at every party.
        scale: the unit in which logits spread (≥ 0; 0 puts every row in one bin); likewise.
    """
    # Absurd but finite parameters may overflow a logit; the sums must stay finite.
    z = np.nan_to_num(logits.astype(np.float64), nan=0.0, posinf=1e38, neginf=-1e38)
    positive = labels > 0.5
    losses = np.logaddexp(0.0, np.where(positive, -z, z))
    sums = np.empty(METRIC_COUNT)
    sums[0] = len(z)
    sums[1] = np.minimum(losses, LOSS_CAP).sum()
    sums[2] = np.count_nonzero((z > 0) == positive)
    bins = _bins((z - centre) / scale if scale > 0 else np.zeros_like(z))
    sums[3 : 3 + BINS] = np.bincount(bins[positive], minlength=BINS)
    sums[3 + BINS :] = np.bincount(bins[~positive], minlength=BINS)
    return sums


def summarise_binary(sums: NDArray[np.float64]) -> dict[str, float]:
    """Return `rows`, `loss`, `accuracy` and `auc` of added metric sums.

    A metric that the rows do not define (no rows; one class only for `auc`) is absent; without
    sums (a job that releases none) all are.
    """
    if not sums.size:
        return {}
    rows = float(sums[0])
    if rows < 0.5:
        return {"rows": 0.0}
    metrics = {"rows": rows, "loss": float(sums[1]) / rows, "accuracy": float(sums[2]) / rows}
    auc = histogram_auc(sums[3 : 3 + BINS], sums[3 + BINS :])
    return metrics if auc is None else {**metrics, "auc": auc}


def histogram_auc(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float | None:
    """Return P(score of a positive > score of a negative) + ½ P(equal), or None with one class.

    Args:
        positives: count of positive rows per ascending score bin.
        negatives: count of negative rows per ascending score bin.
    """
    pairs = float(positives.sum() * negatives.sum())
    if pairs <= 0:
        return None
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs)


def _bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    unit = 0.5 + 0.5 * scores / (2.0 + np.abs(scores))  # monotone, into (0, 1)
    return np.minimum((unit * BINS).astype(np.int64), BINS - 1)
