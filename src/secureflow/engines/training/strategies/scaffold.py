"""SCAFFOLD (Karimireddy et al. 2020, "Stochastic Controlled Averaging", option II).

Party i corrects each local slope by c − c_i, and then c_i ← c_i − c + (w_t − w_i) / (K·rate) after
K steps; it sends the change of its model and that of c_i. For all w ← w + η·Δ, and
c ← c + s·Δ_c, with the mean changes and the share s of the parties that took part. Means are
weighted by rows, as everywhere here, so c is the weighted mean of the c_i.
"""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.strategies import Scaffold
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.strategy import Blocks, Target, parts, put


class Controlled:
    """`Strategy`; the release's second half has been multiplied with the share (`attended`)."""

    kept = 1

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Write the next model, then the slope for all."""
        size, rate = spec.model_parameters, chosen(spec).server_learning_rate
        for part in parts(0, size):
            change = np.asarray(release[part], np.float64)
            put(target, part, state[part].astype(np.float64) + rate * change)
        for part in parts(size, 2 * size):
            put(target, part, state[part].astype(np.float64) + release[part])


class Attended:
    """A release whose values from some place on are multiplied with a share.

    Args:
        release: the mean.
        start: the place.
        share: of the parties that took part.
    """

    def __init__(self, release: Blocks, start: int, share: float) -> None:
        self._release, self._start, self._share = release, start, share

    def __getitem__(self, part: slice) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return a block, which lies on one side of the place."""
        found = np.asarray(self._release[part], np.float64)
        return found * self._share if (part.start or 0) >= self._start else found


def attended(spec: TrainingSpec, release: Blocks, count: int) -> Blocks:
    """Return a release as a strategy wants it, of a round in which so many parties took part."""
    if not isinstance(spec.plan.strategy, Scaffold):
        return release
    return Attended(release, spec.model_parameters, count / len(spec.roster))


def chosen(spec: TrainingSpec) -> Scaffold:
    """Return the strategy's parameters."""
    if not isinstance(spec.plan.strategy, Scaffold):
        raise AssertionError  # the registry says so
    return spec.plan.strategy
