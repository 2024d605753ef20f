"""The sum of a private round after adding up: its noise, and the next state.

`noise_of` is the whole noise (the enclave adds it once) or a party's share of it (masked with the
party's update): discrete Gaussian on the integers, a function of a seed alone. `noised_state`
touches no data: all that are shown the noised sum compute it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.domain.specs.tree_privacy import rounded_values
from secureflow.engines.privacy.dpsgd import apply_sum
from secureflow.engines.privacy.gaussian import sample, support
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.models import Stage, update_layout
from secureflow.engines.training.private import (
    BOUNDS,
    METRIC_UNIT,
    SEED_WORDS,
    Parameters,
    Vector,
    adaptive_bound,
    dp_sgd,
    noise_shared,
    norm_cap,
    penalised,
    privacy_of,
)
from secureflow.engines.training.settling import settled
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_WORD = 32
_TAIL = 12.0
"""A Gaussian vector of d coordinates is longer than σ(√d + 12) with probability below e^-72."""


def split_sums(spec: TrainingSpec, stage: Stage, sums: Vector) -> tuple[Vector, bytes]:
    """Split an update's `sums` into the part that is added up and the seed for the noise.

    Raises:
        SecureFlowError: `weight_out_of_bounds`, `noise_seed_malformed`.
    """
    if spec.privacy is None:
        return sums, b""
    if sums[0] != 1.0:
        raise SecureFlowError(
            "weight_out_of_bounds",
            Text(
                "The update weighs {sums}; under differential privacy each weighs 1.", sums=sums[0]
            ),
            "A weight that depends on the data would be released without noise.",
        )
    seeds = update_layout(spec, stage).seeds
    if not seeds:
        return sums, b""
    return sums[:-seeds], seed_of(sums[-seeds:])


def seed_of(words: Sequence[float] | Vector) -> bytes:
    """Read the seed at the end of an update's `sums`.

    Raises:
        SecureFlowError: `noise_seed_malformed`.
    """
    given = np.asarray(words, np.float64)
    integers = given == np.floor(given)
    if given.shape != (SEED_WORDS,) or not (integers & (given >= 0) & (given < 2.0**_WORD)).all():
        raise SecureFlowError(
            "noise_seed_malformed",
            "The update brings no seed for the noise.",
            "Use an agent of the same version: noise that someone else draws protects nobody.",
        )
    return given.astype("<u4").tobytes()


def noise_of(spec: TrainingSpec, stage: Stage, seed: bytes) -> NDArray[np.int64]:
    """Return noise for a release of this stage, in lattice steps: the whole, or a party's share.

    Shape (d,) in `train`, the quantile bit's at the end, and of trees one for each cell; one for
    each metric in `evaluate`.
    """
    privacy = privacy_of(spec)
    part = privacy.share(len(spec.roster))
    if stage == "evaluate":
        count = measure_of(spec).private_count
        return sample(privacy.metrics_sigma * part, count, _derived(seed, "metrics"))
    trees = isinstance(spec.model, XgboostModel)
    dimension = spec.update_parameters if trees else spec.model_parameters
    noise = sample(_sigma(spec, privacy) * part, dimension, _derived(seed, "sum"))
    if privacy.adaptive is None:
        return noise
    return np.append(noise, sample(privacy.bit_sigma * part, 1, _derived(seed, "bit")))


def noise_bound(spec: TrainingSpec, stage: Stage) -> int:
    """Return the largest magnitude in a party's share; 0 if it masks none."""
    if not noise_shared(spec):
        return 0
    privacy = privacy_of(spec)
    part = privacy.share(len(spec.roster))
    if stage == "evaluate":
        return support(privacy.metrics_sigma * part) if privacy.metrics_noise else 0
    return support(max(_sigma(spec, privacy), privacy.bit_sigma) * part)


def released_sums(spec: TrainingSpec, stage: Stage, sums: Sequence[float]) -> list[float]:
    """Return a release's sums in their released form: weight, then metrics instead of steps."""
    if spec.privacy is None or stage != "evaluate" or len(sums) == 1:
        return list(sums)
    steps = np.array(sums[1:], np.float64)
    return [sums[0], *measure_of(spec).sums_of_steps(steps, METRIC_UNIT).tolist()]


def metric_errors(spec: TrainingSpec, sums: Sequence[float], parties: int) -> dict[str, float]:
    """Return the standard errors of the final metrics from their noise.

    Args:
        spec: the signed spec.
        sums: what `released_sums` returned: weight, then metrics.
        parties: the number of contributors. If each adds noise, the sum has that of all.
    """
    if spec.privacy is None or not spec.privacy.metrics_noise or len(sums) == 1:
        return {}
    privacy = spec.privacy
    parts = 1.0 if privacy.noise == "enclave" else privacy.share(len(spec.roster)) * parties**0.5
    sigma = privacy.metrics_sigma * parts / METRIC_UNIT
    found = measure_of(spec).noise_errors(np.array(sums[1:], np.float64), sigma)
    return {name: float(f"{error:.3g}") for name, error in found.items()}


def noised_state(spec: TrainingSpec, state: Parameters, noised: Vector) -> Parameters:
    """Return the next state from a noised sum in lattice steps; it touches no data.

    Raises:
        SecureFlowError: `model_not_finite`.
    """
    privacy, parties = privacy_of(spec), len(spec.roster)
    size = spec.model_parameters
    weights, total = state[:size].astype(np.float64), noised[:size] * privacy.step
    if privacy.adaptive is not None:
        bound = adaptive_bound(privacy, state)
        after = bound.moved(float(noised[-1]) * privacy.step, parties)
        moved = np.append(weights + bound.bound * total / parties, np.clip(after.bound, *BOUNDS))
    elif privacy.unit == "party":
        moved = weights + total / parties
    else:
        moved = settled(spec, weights, apply_sum(weights, total, dp_sgd(spec), penalised(spec)))
    with np.errstate(over="ignore"):  # refused by name below
        result = moved.astype(np.float32)
    if not np.isfinite(result).all():
        raise SecureFlowError(
            "model_not_finite",
            "The next model is not finite.",
            "Lower the learning rate or the noise.",
        )
    return result


def longest_sum(spec: TrainingSpec) -> float:
    """Return the largest L2 norm, in lattice steps, of a noised sum within the caps."""
    privacy, parties = privacy_of(spec), len(spec.roster)
    widest = max(_sigma(spec, privacy), privacy.bit_sigma)
    width = widest * privacy.share(parties) * math.sqrt(parties)
    # A party may have more records than declared for all: none scales its sum below that.
    return parties * norm_cap(spec) + width * (math.sqrt(spec.update_parameters) + _TAIL)


def _sigma(spec: TrainingSpec, privacy: Privacy) -> float:
    return privacy.sigma(rounded_values(spec))


def _derived(seed: bytes, use: str) -> bytes:
    return hashlib.sha256(b"secureflow noise\n" + use.encode() + b"\n" + seed).digest()
