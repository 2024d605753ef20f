"""DP-SGD (Abadi et al. 2016) as pure functions of a seed, for any model with clipped sums of rows.

One step: each row enters with probability q independently (Poisson, from a CSPRNG), per-example
gradients are clipped and summed, the sum is rounded to a lattice and discrete Gaussian noise is
added; the denominator is the *expected* batch size q·N with a public N, never the sampled one.
Under shared noise the parties send `gradient_sum` with their share of it through SecAgg, one step
per round; a party that takes more local steps adds the full σ itself (`train`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from secureflow.engines.privacy.accounting import Charge, Mechanism, noise_share
from secureflow.engines.privacy.clipping import Vector, clip_norm, logistic_gradient_sum
from secureflow.engines.privacy.gaussian import sample


@dataclass(frozen=True)
class DpSgd:
    """The parameters that a spec fixes.

    Args:
        noise: noise multiplier z.
        clip: the L2 bound of one example's gradient.
        sampling: q, the probability that a row enters a step.
        steps: the number of steps.
        rows: the public (declared) number of rows N in the denominator.
        learning_rate: step size on the mean gradient.
        bits: lattice resolution: `clip` is 2^bits steps.
        l2: ridge penalty; it touches no data.
    """

    noise: float
    clip: float
    sampling: float
    steps: int
    rows: int
    learning_rate: float
    bits: int = 12
    l2: float = 0.0

    @property
    def charge(self) -> Charge:
        """The cost of running it."""
        return (Mechanism("gaussian", self.noise, self.sampling, self.steps),)

    @property
    def lattice(self) -> float:
        """The value of one lattice step."""
        return float(self.clip / 2.0**self.bits)


def poisson_sample(rows: int, sampling: float, seed: bytes) -> NDArray[np.bool_]:
    """Return the mask of the rows that enter, each with probability `sampling` independently."""
    if sampling >= 1.0:
        return np.ones(rows, np.bool_)
    key = hashlib.sha256(b"secureflow poisson sample\n" + seed).digest()
    stream = (
        Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * rows))
    )
    # Rounded down to 2^-64: never more than what is accounted for.
    return np.frombuffer(stream, "<u8") < np.uint64(int(sampling * 2.0**64))


class RowSource(Protocol):
    """A design matrix whose rows are computed on request."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.float32]:
        """Return these rows, shape (len(rows), d)."""


Features = NDArray[np.floating[Any]] | RowSource
"""Inputs of shape (n, d), stored or computed."""


class ClippedSum(Protocol):
    """A model's sum of clipped per-row gradients."""

    def __call__(
        self, weights: Vector, inputs: Vector, labels: Vector, clip: float, counts: Vector | None, /
    ) -> Vector:
        """Return the sum, shape (d,), which adding or removing a row changes by at most `clip`.

        `counts` is how much each row counts before it is clipped; None for 1.
        """


@dataclass(frozen=True)
class Gradients:
    """Whose gradients are summed: the model's, over rows that count alike or not.

    Args:
        of: the model's clipped sum; logistic regression by default.
        counts: how much each row counts, shape (n,); None for 1.
        penalised: which weights the ridge penalty shrinks, shape (d,); None for all but the last.
    """

    of: ClippedSum | None = None
    counts: NDArray[np.floating[Any]] | None = None
    penalised: NDArray[np.bool_] | None = None

    def sum(
        self, weights: Vector, inputs: Vector, labels: Vector, clip: float, rows: NDArray[np.int64]
    ) -> Vector:
        """Return the clipped sum over the chosen rows."""
        counts = None if self.counts is None else self.counts[rows].astype(np.float64)
        if self.of is None:
            return logistic_gradient_sum(weights, inputs, labels, clip, counts)[0]
        return self.of(weights, inputs, labels, clip, counts)


LOGISTIC: Final = Gradients()
BLOCK_CELLS: Final = 1 << 22
"""Cells in memory as float64 at a time, for any number of rows and columns."""


def gradient_sum(
    weights: Vector,
    features: Features,
    labels: NDArray[np.floating[Any]],
    plan: DpSgd,
    seed: bytes,
    longest: float = math.inf,
    gradients: Gradients = LOGISTIC,
) -> Vector:
    """Return the clipped gradient sum of one Poisson sample, on the lattice but *without* noise.

    Shapes as in `logistic_gradient_sum`. A party adds its share of noise to this. A sum longer
    than `longest` (L2) is scaled down to it *before* it is rounded: projection on a ball moves
    no two neighbours apart, so the sensitivity stays.
    """
    chosen = np.flatnonzero(poisson_sample(len(labels), plan.sampling, seed))
    total, size = np.zeros(len(weights)), max(1, BLOCK_CELLS // len(weights))
    for start in range(0, len(chosen), size):
        rows = chosen[start : start + size]
        inputs, targets = features[rows].astype(np.float64), labels[rows].astype(np.float64)
        total += gradients.sum(weights, inputs, targets, plan.clip, rows)
    total = clip_norm(total, longest)
    return np.rint(total / plan.lattice) * plan.lattice


def noisy_step(
    weights: Vector,
    features: Features,
    labels: NDArray[np.floating[Any]],
    plan: DpSgd,
    seed: bytes,
    gradients: Gradients = LOGISTIC,
) -> Vector:
    """Return the weights after one step with the full noise."""
    sigma = noise_share(plan.noise, plan.clip, len(weights), plan.lattice, 1)
    noise = sample(sigma, len(weights), hashlib.sha256(b"step noise\n" + seed).digest())
    exact = gradient_sum(weights, features, labels, plan, seed, gradients=gradients)
    return apply_sum(weights, exact + noise * plan.lattice, plan, gradients.penalised)


def apply_sum(
    weights: Vector,
    noised_sum: Vector,
    plan: DpSgd,
    penalised: NDArray[np.bool_] | None = None,
) -> Vector:
    """Return the weights after a step on a noised gradient sum; it touches no data.

    The ridge penalty shrinks the `penalised` weights; by default all but the last.
    """
    mean = noised_sum / (plan.sampling * plan.rows)
    shrunk = np.append(weights[:-1], 0.0) if penalised is None else weights * penalised
    penalty = plan.l2 * shrunk
    return weights - plan.learning_rate * (mean + penalty)


def train(features: Vector, labels: Vector, plan: DpSgd, seed: bytes) -> Vector:
    """Return the weights (d + 1,) after `plan.steps` steps from zero.

    Args:
        features: shape (n, d).
        labels: shape (n,), 0 or 1.
        plan: the parameters; its `charge` is the cost.
        seed: 32 secret bytes; each step's randomness is derived from them.
    """
    weights = np.zeros(features.shape[1] + 1)
    for step in range(plan.steps):
        own = hashlib.sha256(b"step\n" + step.to_bytes(8, "big") + seed).digest()
        weights = noisy_step(weights, features, labels, plan, own)
    return weights
