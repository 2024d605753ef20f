"""What becomes of the noised sums of a family that is made of sums: public arithmetic.

| family           | the next state is the noised means, and                                     |
|------------------|-----------------------------------------------------------------------------|
| `ridge`          | a public amount on the matrix's diagonal, so that it stays positive         |
| `gaussian_nb`    | four standard deviations of the noise on each square: variances stay positive |
| `multinomial_nb` | α, and four standard deviations, on each count: logarithms exist            |
| `kmeans`         | the centres of before; a count below four standard deviations is no row     |

Without noise the weighted mean is the next state, and `smoothing` is added to it once: α of
`multinomial_nb`, which no party that drops out takes along.

It touches no data. A party whose noise is its own does it to its own sums, and the mean of the
parties' states is what is released; else everybody does it to the sum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.sklearn_families import (
    GaussianNbModel,
    KMeansModel,
    MultinomialNbModel,
)
from secureflow.domain.specs.sum_rules import DEVIATIONS
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.engines.training.clusters import centres_of, parts_of

_Float = NDArray[np.float64]


def settled(spec: TrainingSpec, before: NDArray[np.float32] | _Float, moved: _Float) -> _Float:
    """Return the next state, float64 (d,).

    Args:
        spec: with record-level differential privacy.
        before: the state from which the round started; its first d values are the model's.
        moved: that state plus the noised means.
    """
    if spec.model.family not in BY_SUMS or spec.features is None or spec.privacy is None:
        return moved
    means, width = moved - before[: len(moved)], noise_width(spec, spec.privacy)
    if isinstance(spec.model, KMeansModel):
        return _kept(spec, before, means, width)
    if isinstance(spec.model, GaussianNbModel):
        squares = [np.full(one.size, one.name == "squares") for one in spec.tensors]
        return np.asarray(means + DEVIATIONS * width * np.concatenate(squares))
    if isinstance(spec.model, MultinomialNbModel):
        counts, sums = spec.tensors
        added = spec.model.alpha / max(1, spec.privacy.rows) / largest_counts(spec.features)
        lifted = np.broadcast_to(added + DEVIATIONS * width, sums.shape).reshape(-1)
        return np.asarray(means + np.concatenate([np.zeros(counts.size), lifted]))
    return loaded(spec, means)


def smoothing(spec: TrainingSpec, rows: float) -> _Float | None:
    """Return what is added to means over so many rows without noise, float64 (d,); None if nothing.

    It is largest for one row.
    """
    model, features = spec.model, spec.features
    if not isinstance(model, MultinomialNbModel) or features is None or spec.privacy is not None:
        return None
    counts, sums = spec.tensors
    added = model.alpha / max(rows, 1.0) / largest_counts(features)
    return np.concatenate([np.zeros(counts.size), np.broadcast_to(added, sums.shape).reshape(-1)])


def noise_width(spec: TrainingSpec, privacy: Privacy) -> float:
    """Return the standard deviation of the noise in a coordinate of the released means."""
    parties = len(spec.roster)
    shares = {"enclave": 1.0, "shared": privacy.share(parties) * parties**0.5}
    width = privacy.sigma(spec.model_parameters) * shares.get(privacy.noise, parties**0.5)
    return float(width * privacy.step / max(1, privacy.rows) / privacy.sampling)


def loaded(spec: TrainingSpec, state: _Float) -> _Float:
    """Return noised sums of ridge with a public amount added to the matrix's diagonal; else as is.

    A symmetric matrix of noise with standard deviation s has eigenvalues within about ±2·s·√n, so
    the amount makes the noised matrix positive (Wang 2018, AdaSSP, without its private estimate).
    """
    if spec.model.family != "ridge" or spec.features is None or spec.privacy is None:
        return state
    size = spec.features.width + 1
    amount = 2.0 * math.sqrt(size) * noise_width(spec, spec.privacy)
    rows, columns = np.triu_indices(size)
    diagonal = np.zeros(len(state))
    diagonal[: len(rows)] = rows == columns
    return np.asarray(state + amount * diagonal)


def largest_counts(features: FeatureSpec) -> _Float:
    """Return, for each input, the number by which counts are divided: their bound, at least 1."""
    scales = np.ones(features.width)
    scales[: len(features.numeric)] = [max(one.bounds[1], 1.0) for one in features.numeric]
    return scales


def _kept(
    spec: TrainingSpec, before: NDArray[np.float32] | _Float, means: _Float, width: float
) -> _Float:
    _, counts, sums = parts_of(spec, means)
    local = spec.privacy is not None and spec.privacy.noise == "local"
    # A party's own noise is wider than that of the mean over the parties.
    least = DEVIATIONS * width * (len(spec.roster) ** 0.5 if local else 1.0)
    filled = counts > least
    centres = centres_of(spec, np.asarray(before))
    return np.concatenate(
        [centres.reshape(-1), counts * filled, (sums * filled[:, None]).reshape(-1)]
    )
