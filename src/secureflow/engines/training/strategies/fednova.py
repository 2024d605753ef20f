"""FedNova (Wang et al. 2020, "Tackling the Objective Inconsistency Problem").

Party i sends Δ_i / τ_i, its change per local step, and τ_i, the number of its steps; the next model
is w + τ · d with the weighted means τ of the τ_i and d of the Δ_i / τ_i (plain SGD, so that every
step counts alike). τ_i travels as a share of the most steps that the spec allows.

A party chooses τ_i, so a norm cap on Δ_i / τ_i alone would let one party move the model by τ times
as much. An enclave compares τ_i with the rows that the update counts for; and whatever the sum
says, no round moves the model further than one update may (`limits.clip_norm`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.strategy import (
    Blocks,
    Target,
    Vector,
    parts,
    put,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_NEAR: Final = 1e-6
"""More than the rounding of a sum of squares, whatever its order."""


class Normalised:
    """`Strategy`."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Go along the mean change per step, as many steps as the parties took on average."""
        size = spec.model_parameters
        steps = _steps(spec, release)
        for part in parts(0, size):
            put(target, part, state[part].astype(np.float64) + steps * release[part])


def check_steps(spec: TrainingSpec, update: Blocks, weight: float) -> None:
    """Refuse an update whose number of steps is not that of the rows that it counts for.

    Raises:
        SecureFlowError: `value_out_of_bounds`.
    """
    size, plan = spec.model_parameters, spec.plan
    told = float(update[slice(size, size + 1)][0]) / per_step(spec)
    own = plan.local_epochs * math.ceil(weight / plan.batch_size)
    # Of a capped weight the last digit may be another; a number of steps travels as float32.
    if abs(told - own) <= plan.local_epochs + 1e-4 * own:
        return
    raise SecureFlowError(
        "value_out_of_bounds",
        Text(
            "The update tells of {told:.6g} local steps; the rows that it counts for make {own}.",
            told=told,
            own=own,
        ),
    )


def _steps(spec: TrainingSpec, release: Blocks) -> float:
    """Return how many mean changes per step the model moves by."""
    size, most = spec.model_parameters, spec.limits.clip_norm
    told = float(release[slice(size, size + 1)][0]) / per_step(spec)
    steps = min(max(told, 0.0), float(most_steps(spec)))
    near = math.sqrt(sum(float(np.add.reduce(one)) for one in _squares(release, size)))
    if steps * near <= most * (1 - _NEAR):
        return steps
    # Close to the cap and beyond it every machine must find the same sum: exactly rounded.
    norm = math.sqrt(math.fsum(math.fsum(one.tolist()) for one in _squares(release, size)))
    return min(steps, most / norm) if norm else steps


def _squares(release: Blocks, size: int) -> Iterator[Vector]:
    for part in parts(0, size):
        change = np.asarray(release[part], np.float64)
        yield change * change


def most_steps(spec: TrainingSpec) -> int:
    """Return the most local steps of a round: those of a party with `limits.max_weight` rows."""
    return spec.plan.local_epochs * math.ceil(spec.limits.max_weight / spec.plan.batch_size)


def per_step(spec: TrainingSpec) -> float:
    """Return the value by which one step is told: all of them stay within the caps of an update."""
    cap = spec.limits.clip_norm
    if traits_of(spec).masks:
        cap = min(cap, spec.quantisation.clip)
    return cap / most_steps(spec)
