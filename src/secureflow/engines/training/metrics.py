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

PRIVATE_BINS = 16
"""Score bins per class of sums that are to be noised: the noise of every bin is in the AUC."""

PRIVATE_COUNT = 3 + 2 * PRIVATE_BINS
"""Length of those sums, in the same order."""

PRIVATE_LOSS_CAP = 4.0
"""The cap of one row's loss there, in nats: the noise on the loss is proportional to it."""


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


def binary_metric_steps(
    logits: NDArray[np.float32],
    labels: NDArray[np.float32],
    centre: float,
    scale: float,
    unit: int,
) -> NDArray[np.int64]:
    """Return the sums of shape (PRIVATE_COUNT,) as whole steps; a row's maximum is `unit` of them.

    Every row is rounded separately: one row moves rows, loss, hits and one bin by at most `unit`
    each, so the L2 sensitivity is exactly 2 · `unit`. Arguments as in `binary_metric_sums`.
    """
    z = np.nan_to_num(logits.astype(np.float64), nan=0.0, posinf=1e38, neginf=-1e38)
    positive = labels > 0.5
    losses = np.minimum(np.logaddexp(0.0, np.where(positive, -z, z)), PRIVATE_LOSS_CAP)
    bins = _bins((z - centre) / scale if scale > 0 else np.zeros_like(z)) // (BINS // PRIVATE_BINS)
    steps = np.empty(PRIVATE_COUNT, np.int64)
    steps[0] = unit * len(z)
    steps[1] = np.rint(losses * (unit / PRIVATE_LOSS_CAP)).astype(np.int64).sum()
    steps[2] = unit * np.count_nonzero((z > 0) == positive)
    steps[3 : 3 + PRIVATE_BINS] = unit * np.bincount(bins[positive], minlength=PRIVATE_BINS)
    steps[3 + PRIVATE_BINS :] = unit * np.bincount(bins[~positive], minlength=PRIVATE_BINS)
    return steps


def binary_sums_of_steps(steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
    """Return the sums for noised steps."""
    sums = steps / unit
    sums[1] *= PRIVATE_LOSS_CAP
    return sums


def summarise_binary(sums: NDArray[np.float64]) -> dict[str, float]:
    """Return `rows`, `loss`, `accuracy` and `auc` of added metric sums, exact or noised.

    A metric that the rows do not define (no rows; one class only for `auc`) is absent; without
    sums (a job that releases none) all are. Noise may have moved a sum out of its possible range.
    """
    if not sums.size:
        return {}
    rows = float(sums[0])
    if rows < 0.5:
        return {"rows": 0.0}
    loss, hits = max(0.0, float(sums[1])), min(max(0.0, float(sums[2])), rows)
    metrics = {"rows": rows, "loss": loss / rows, "accuracy": hits / rows}
    bins = (sums.size - 3) // 2
    auc = histogram_auc(np.maximum(sums[3 : 3 + bins], 0), np.maximum(sums[3 + bins :], 0))
    return metrics if auc is None else {**metrics, "auc": auc}


def noise_errors(sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
    """Return the standard error from noise alone of each metric of `summarise_binary`.

    It is the standard error to first order in the noise (delta method): every sum has independent
    noise of one standard deviation, on the loss times `PRIVATE_LOSS_CAP`. With F, G the shares of
    the other class below and above a bin, ∂AUC/∂p_i = (F_i − AUC)/P and ∂AUC/∂n_j = (G_j − AUC)/N.

    Args:
        sums: noised sums of shape (PRIVATE_COUNT,), rows first.
        sigma: the noise's standard deviation in rows.
    """
    metrics = summarise_binary(sums)
    rows = metrics.get("rows", 0.0)
    errors = {name: sigma for name in metrics if name == "rows"}
    if rows <= 0:
        return errors
    errors["loss"] = sigma * float(np.hypot(PRIVATE_LOSS_CAP, metrics["loss"])) / rows
    errors["accuracy"] = sigma * float(np.hypot(1.0, metrics["accuracy"])) / rows
    if "auc" in metrics:
        bins = (sums.size - 3) // 2
        positives, negatives = np.maximum(sums[3 : 3 + bins], 0), np.maximum(sums[3 + bins :], 0)
        all_positive, all_negative = positives.sum(), negatives.sum()
        below = (np.cumsum(negatives) - negatives / 2) / all_negative
        above = 1.0 - (np.cumsum(positives) - positives / 2) / all_positive
        moved = np.concatenate(
            [(below - metrics["auc"]) / all_positive, (above - metrics["auc"]) / all_negative]
        )
        errors["auc"] = sigma * float(np.linalg.norm(moved))
    return errors


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
