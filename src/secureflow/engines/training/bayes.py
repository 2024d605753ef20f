"""Naive Bayes from sums: every party reads the same classifier from the pooled means.

`gaussian_nb` adds up, for each class, 1, x and x² of inputs that are scaled to their bounds: x is 0
in the middle of a column's bounds, so a variance is the difference of numbers that are at most 1.
(float32 holds a mean square to 6e-8: a column that spreads over less than a thousandth of its
bounds loses digits of its variance; declare tighter bounds.) `var_smoothing` times the largest
pooled variance is added to all, as in scikit-learn on pooled rows.

`multinomial_nb` adds up, for each class, 1 and the counts u = x / m of an input, x within its
bounds and m the upper bound (at least 1); categories count 1. Whoever adds the parties' sums up
adds α to the count of every input in every class, once (`settling`).

A class without rows is never the likeliest: it has the pooled means, and a probability of 1e-300.
All sums over a row's inputs are made of that row alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from secureflow.domain.specs.sklearn_families import GaussianNbModel
from secureflow.domain.specs.targets import ClassesLabel, outputs_of
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.engines.privacy.clipping import product_rows
from secureflow.engines.training.settling import largest_counts
from secureflow.engines.training.summing import Float, Matrix, SummedFamily, Vector, by_group

_ABSENT: Final = 2.0**-30
"""A class with no larger share of the rows has none."""
_RAREST: Final = 1e-300
_NARROWEST: Final = 1e-30
"""Variance of columns that never vary, without smoothing."""


@dataclass(frozen=True)
class Gaussians:
    """A Gaussian classifier; arrays are float64.

    Args:
        prior: (classes,), the shares of the rows.
        mean: (classes, width), of scaled inputs.
        variance: the same, smoothed.
        smoothing: what was added to each variance.
    """

    prior: Float
    mean: Float
    variance: Float
    smoothing: float


@dataclass(frozen=True)
class Multinomials:
    """A multinomial classifier over counts; arrays are float64.

    Args:
        prior: (classes,), the shares of the rows.
        counts: (classes, width), smoothed counts of each input, per row.
        log_prob: the same, logarithms of each input's share.
        scale: (width,), inputs · scale + shift are the counts.
        shift: see `scale`.
    """

    prior: Float
    counts: Float
    log_prob: Float
    scale: Float
    shift: Float


class GaussianNb(SummedFamily):
    """`ModelFamily`: see above.

    Args:
        spec: the job's spec.
    """

    def total(self, parameters: Float, inputs: Float, labels: Float, counts: Float) -> Float:
        """Return Σ 1, Σ x² and Σ x of each class, flat."""
        del parameters
        own = by_group(labels.astype(np.int64), counts, self._spec.tensors[0].size)
        sums = (own.sum(axis=0), own.T @ (inputs * inputs), own.T @ inputs)
        return np.concatenate([one.reshape(-1) for one in sums])

    def norms(self, inputs: Float) -> Float:
        """Return √(1 + Σ x² + Σ x⁴)."""
        squares = inputs * inputs
        found = 1.0 + np.einsum("ij->i", squares) + np.einsum("ij->i", squares * squares)
        return np.asarray(np.sqrt(found))

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return log-odds (rows, 1), or of several classes log-likelihoods below the largest."""
        found = gaussians(self._spec, parameters)
        rows = inputs.astype(np.float64)
        likely = np.empty((len(rows), len(found.prior)))
        for at, prior in enumerate(found.prior):
            apart = (rows - found.mean[at]) ** 2 / found.variance[at]
            wide = float(np.log(2.0 * math.pi * found.variance[at]).sum())
            likely[:, at] = math.log(prior) - 0.5 * (wide + np.einsum("ij->i", apart))
        return _scores(self._spec, likely)

    def spread(self, parameters: Vector) -> tuple[float, float]:
        """Return 0 and half the symmetric divergence of the two classes."""
        if outputs_of(_features(self._spec).label) != 1:
            return 0.0, 1.0
        found = gaussians(self._spec, parameters)
        first, second = found.variance
        squares = (found.mean[1] - found.mean[0]) ** 2 * (1 / first + 1 / second)
        ratio = first / second + second / first - 2.0
        return 0.0, float(np.nan_to_num((squares + ratio).sum() / 4.0, posinf=1e300))


class MultinomialNb(SummedFamily):
    """`ModelFamily`: see above.

    Args:
        spec: the job's spec.
    """

    def total(self, parameters: Float, inputs: Float, labels: Float, counts: Float) -> Float:
        """Return Σ 1 and Σ u of each class, flat."""
        del parameters
        own = by_group(labels.astype(np.int64), counts, self._spec.tensors[0].size)
        return np.concatenate([own.sum(axis=0), (own.T @ self._shares(inputs)).reshape(-1)])

    def norms(self, inputs: Float) -> Float:
        """Return √(1 + Σ u²)."""
        shares = self._shares(inputs)
        return np.asarray(np.sqrt(1.0 + np.einsum("ij->i", shares * shares)))

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return log-odds (rows, 1), or of several classes log-likelihoods below the largest."""
        found = multinomials(self._spec, parameters)
        counts = inputs.astype(np.float64) * found.scale + found.shift
        return _scores(self._spec, product_rows(counts, found.log_prob) + np.log(found.prior))

    def spread(self, parameters: Vector) -> tuple[float, float]:
        """Return the log-odds of the mean row, and the norm of what the scaled inputs move them."""
        if outputs_of(_features(self._spec).label) != 1:
            return 0.0, 1.0
        found = multinomials(self._spec, parameters)
        slope = found.log_prob[1] - found.log_prob[0]
        prior = math.log(found.prior[1]) - math.log(found.prior[0])
        middle = prior + float(slope @ found.counts.sum(axis=0))
        return middle, float(np.linalg.norm(slope * found.scale))

    def _shares(self, inputs: Float) -> Float:
        features = _features(self._spec)
        scale, shift = unscaling(features)
        most = largest_counts(features)
        return np.asarray(np.maximum(inputs * (scale / most) + shift / most, 0.0))


def gaussians(spec: TrainingSpec, parameters: Vector) -> Gaussians:
    """Return the classifier that the pooled means of `gaussian_nb` are."""
    counts, squares, sums = _read(spec, parameters)
    everything = max(float(counts.sum()), _ABSENT)
    middle = np.clip(sums.sum(axis=0) / everything, -1.0, 1.0)
    spread = np.maximum(squares.sum(axis=0) / everything - middle * middle, 0.0)
    model = spec.model
    share = model.var_smoothing if isinstance(model, GaussianNbModel) else 0.0
    smoothing = max(share * float(spread.max(initial=0.0)), _NARROWEST)
    there = counts > _ABSENT
    own = np.where(there, counts, 1.0)[:, None]
    mean = np.where(there[:, None], np.clip(sums / own, -1.0, 1.0), middle)
    variance = np.where(there[:, None], squares / own - mean * mean, spread)
    prior = np.where(there, counts / everything, _RAREST)
    return Gaussians(prior, mean, np.maximum(variance, 0.0) + smoothing, smoothing)


def multinomials(spec: TrainingSpec, parameters: Vector) -> Multinomials:
    """Return the classifier that the pooled means of `multinomial_nb` are."""
    features = _features(spec)
    counts, sums = _read(spec, parameters)
    # Rounding of masked sums may have taken all of a small α.
    smoothed = np.maximum(sums, _ABSENT) * largest_counts(features)
    total = smoothed.sum(axis=1, keepdims=True)
    there = counts > _ABSENT
    prior = np.where(there, counts / max(float(counts.sum()), _ABSENT), _RAREST)
    return Multinomials(prior, smoothed, np.log(smoothed / total), *unscaling(features))


def unscaling(features: FeatureSpec) -> tuple[Float, Float]:
    """Return half the width of each column's bounds, and their middle: counts of inputs."""
    scale, shift = np.ones(features.width), np.zeros(features.width)
    for at, one in enumerate(features.numeric):
        scale[at] = (one.bounds[1] - one.bounds[0]) / 2
        shift[at] = (one.bounds[1] + one.bounds[0]) / 2
    return scale, shift


def _read(spec: TrainingSpec, parameters: Vector) -> list[Float]:
    """Return the tensors as float64, in order."""
    found, at = [], 0
    values = np.nan_to_num(parameters.astype(np.float64), posinf=0.0, neginf=0.0)
    for one in spec.tensors:
        found.append(values[at : at + one.size].reshape(one.shape))
        at += one.size
    return found


def _scores(spec: TrainingSpec, likely: Float) -> Matrix:
    """Return log-likelihoods as outputs; float32 holds differences better than the numbers."""
    if not isinstance(_features(spec).label, ClassesLabel):
        return np.asarray(likely[:, 1:] - likely[:, :1], np.float32)
    return np.asarray(likely - likely.max(axis=1, keepdims=True, initial=-np.inf), np.float32)


def _features(spec: TrainingSpec) -> FeatureSpec:
    if spec.features is None:
        raise AssertionError  # the spec was checked
    return spec.features
