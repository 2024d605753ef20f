"""Means and standard deviations from sums that can be added over parties.

A party sends Σz, Σz² and the count of present values of z = (x − middle) / half-range, x clamped
to the declared bounds. |z| ≤ 1, so one row moves any sum by at most 1: the sums fit fixed point,
and their sensitivity is known if noise is to be added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import FeatureSpec, NumericFeature
from secureflow.engines.preparation.columns import Columns, numeric_column, row_count
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_SLACK = 1e-3
"""Relative rounding (fixed point, several parties) by which sums may exceed their exact range."""


@dataclass(frozen=True)
class Moments:
    """Centre and scale of each numeric feature, in spec order and in the column's own unit.

    For `scale: bounds` they are the middle and the half-range of the declared bounds, for `none` 0
    and 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def moments_length(features: FeatureSpec) -> int:
    """Return k, the length of the sums: the rows, then three per federated numeric feature."""
    return 1 + 3 * len(features.federated)


def declared_moments(features: FeatureSpec) -> Moments:
    """Return the middle and half-range of every feature's bounds, which needs no data."""
    scales = [_middle_and_half(f) for f in features.numeric]
    return Moments(tuple(middle for middle, _ in scales), tuple(half for _, half in scales))


def moment_sums(features: FeatureSpec, columns: Columns) -> NDArray[np.float64]:
    """Return one party's float64 sums of shape (k,): rows, then Σz, Σz², present per feature.

    Raises:
        SecureFlowError: `missing_column` or `malformed_cell`.
    """
    sums = np.zeros(moments_length(features))
    sums[0] = row_count(features, columns)
    for index, feature in enumerate(features.federated):
        z = _unit_scaled(feature, numeric_column(columns, feature.column))
        z = z[~np.isnan(z)]
        sums[1 + 3 * index : 4 + 3 * index] = z.sum(), (z * z).sum(), len(z)
    return sums


def moments_from_sums(features: FeatureSpec, sums: NDArray[np.float64]) -> Moments:
    """Return the moments for the sums over all parties.

    A feature without any value keeps its declared middle and half-range; a constant one has
    scale 1, so that it becomes zero instead of a division by zero.

    Raises:
        SecureFlowError: `invalid_moments` for sums that no data can have.
    """
    if sums.shape != (moments_length(features),) or not np.isfinite(sums).all():
        raise _invalid("the sums have the wrong length or are not finite")
    means, stds = [], []
    triples = iter(sums[1:].reshape(-1, 3).tolist())
    for feature in features.numeric:
        middle, half = _middle_and_half(feature)
        if feature.scale == "federated":
            middle, half = _mean_and_std(feature, next(triples), float(sums[0]))
        means.append(middle)
        stds.append(half)
    return Moments(tuple(means), tuple(stds))


def _mean_and_std(feature: NumericFeature, triple: list[float], rows: float) -> tuple[float, float]:
    z, z2, present = triple
    middle, half = _middle_and_half(feature)
    if present < 0.5:
        return middle, half
    if present > rows + 0.5 or max(abs(z), z2) > present * (1 + _SLACK) or z2 < 0:
        raise _invalid(
            Text("no data within the bounds of {column!r} has these sums", column=feature.column)
        )
    mean = z / present
    variance = z2 / present - mean * mean
    if variance < -_SLACK:
        raise _invalid(Text("the variance of {column!r} is negative", column=feature.column))
    # Below 1e-12 of the squared half-range it is rounding: the column is constant.
    std = math.sqrt(variance) * half if variance > 1e-12 else 1.0
    return middle + half * mean, std


def _middle_and_half(feature: NumericFeature) -> tuple[float, float]:
    low, high = feature.bounds
    if feature.scale == "none":
        return 0.0, 1.0
    return (low + high) / 2, (high - low) / 2


def _unit_scaled(feature: NumericFeature, values: NDArray[np.float64]) -> NDArray[np.float64]:
    middle, half = _middle_and_half(feature)
    scaled: NDArray[np.float64] = (np.clip(values, *feature.bounds) - middle) / half
    return scaled


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_moments",
        Text("The federated moments cannot be used: {reason}.", reason=reason),
        "Check that every party's data and the declared bounds belong to this job's spec.",
    )
