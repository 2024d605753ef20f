"""Centres of clusters: where they start, what follows from sums, what they are measured by.

The state is `centres` (to which rows were assigned), `counts` and `sums`: the pooled means over all
rows of 1 and of x, by cluster. So the next centre is sums / counts, and that of a cluster without
rows is the one it had. Everybody computes it by one elementwise operation at a time, so that all
have the same bits. Inputs are scaled to their bounds: no centre lies beyond ±1.

The first centres are drawn from the plan's seed, uniformly within the columns' bounds: of a number
between −1 and 1, of a category one of its columns. As in `initial`, from raw words of PCG64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.sum_rules import EMPTY_CLUSTER
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.metrics import LOSS_CAP, PRIVATE_LOSS_CAP

_Float = NDArray[np.float64]
_WORD_BITS = 53


def parts_of(spec: TrainingSpec, state: NDArray[Any]) -> tuple[_Float, _Float, _Float]:
    """Return centres (k, width), counts (k,) and sums (k, width) of a state."""
    centres, counts, sums = spec.tensors
    finite = np.nan_to_num(state[: spec.model_parameters].astype(np.float64), posinf=0, neginf=0)
    first, second, third = np.split(finite, [centres.size, centres.size + counts.size])
    return first.reshape(centres.shape), second, third.reshape(sums.shape)


def centres_of(spec: TrainingSpec, state: NDArray[Any]) -> _Float:
    """Return the centres that a state leads to, float64 (k, width)."""
    centres, counts, sums = parts_of(spec, state)
    filled = counts > EMPTY_CLUSTER
    with np.errstate(over="ignore"):
        found = sums / np.where(filled, counts, 1.0)[:, None]
    return np.asarray(np.clip(np.where(filled[:, None], found, centres), -1.0, 1.0))


def first_state(spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the state before round 1, float32 (d,): drawn centres, and no sums."""
    clusters, width = spec.tensors[0].shape
    state = np.zeros(spec.model_parameters, np.float32)
    centres = state[: clusters * width].reshape(clusters, width)
    features = spec.features
    if features is None:
        return state
    words = np.random.PCG64(spec.plan.seed)
    numbers = len(features.numeric)
    drawn = words.random_raw((clusters, numbers)) >> np.uint64(64 - _WORD_BITS)
    centres[:, :numbers] = drawn.astype(np.float64) * 2.0 ** (1 - _WORD_BITS) - 1.0
    at = numbers
    for one in features.categorical:
        columns = len(one.categories) + (one.missing == "indicator")
        chosen = (words.random_raw(clusters) % np.uint64(columns)).astype(np.int64)
        centres[np.arange(clusters), at + chosen] = 1.0
        at += columns
    return state


@dataclass(frozen=True)
class ClusterMeasure:
    """`measures.Measure`: the rows, and Σ squared distance to the nearest centre per input.

    A row's is at most 4, so a row moves noised sums by √2 units. Outputs of the model are negative
    distances, a column for each centre.
    """

    count: int = 2
    private_count: int = 2

    def sums(
        self, outputs: NDArray[np.float32], labels: NDArray[np.float32], spread: tuple[float, float]
    ) -> _Float:
        """Return the sums."""
        del labels, spread
        losses = _losses(outputs)
        return np.array([len(losses), np.minimum(losses, LOSS_CAP).sum()])

    def steps(
        self,
        outputs: NDArray[np.float32],
        labels: NDArray[np.float32],
        spread: tuple[float, float],
        unit: int,
    ) -> NDArray[np.int64]:
        """Return the same as steps."""
        del labels, spread
        losses = np.minimum(_losses(outputs), PRIVATE_LOSS_CAP) * (unit / PRIVATE_LOSS_CAP)
        return np.array([unit * len(losses), np.rint(losses).astype(np.int64).sum()], np.int64)

    def sums_of_steps(self, steps: _Float, unit: int) -> _Float:
        """Return the sums for noised steps."""
        return steps * (np.array([1.0, PRIVATE_LOSS_CAP]) / unit)

    def summarise(self, sums: _Float) -> dict[str, float]:
        """Return `rows` and `loss`."""
        if not sums.size:
            return {}
        rows = float(sums[0])
        return {"rows": 0.0} if rows < 0.5 else {"rows": rows, "loss": max(0.0, sums[1]) / rows}

    def noise_errors(self, sums: _Float, sigma: float) -> dict[str, float]:
        """Return the errors; see `measures.Measure`."""
        figures = self.summarise(sums)
        errors = {name: sigma for name in figures if name == "rows"}
        if "loss" in figures:
            moved = math.hypot(PRIVATE_LOSS_CAP, figures["loss"])
            errors["loss"] = sigma * moved / figures["rows"]
        return errors


def _losses(outputs: NDArray[np.float32]) -> _Float:
    nearest = -outputs.astype(np.float64).max(axis=1, initial=-np.inf)
    return np.asarray(np.nan_to_num(nearest, nan=0.0, posinf=LOSS_CAP))
