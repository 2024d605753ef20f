"""Private jobs of trees on the small tables of `family_world`."""

from __future__ import annotations

from typing import Any

import numpy as np
from unit.engines.training.family_world import private, seed, shares
from unit.engines.trees.trees_world import job_of

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import initial_state
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.growing import next_model
from secureflow.engines.trees.layout import Noised

Rows = dict[str, np.ndarray]


def private_job(
    target: str = "binary", noise: str = "enclave", multiplier: float = 0.5, **more: Any
) -> TrainingSpec:
    """A private job of a few low trees; its noise is small beside these rows."""
    members = private(noise, multiplier, **more.pop("privacy", {}))
    return job_of(target, **{**members, **more})


def noised_of(job: TrainingSpec) -> Noised:
    found = layout_of(job).noised
    assert found is not None
    return found


def made(job: TrainingSpec, rows: Rows, state: np.ndarray, folder: Any) -> np.ndarray:
    """What a party sends in the round that starts from a state, without noise."""
    state.tofile(folder / "model")
    runner_of(job, rows).train(folder / "model", folder / "update", None, seed(1, 0))
    return np.fromfile(folder / "update", "<i8")


def states_of(job: TrainingSpec, folder: Any) -> list[np.ndarray]:
    """The models from which the rounds of a job start, grown without noise."""
    state, found = initial_state(job), []
    for _ in range(job.planned_rounds):
        found.append(state)
        sums = np.sum([made(job, one, state, folder) for one in shares()], axis=0)
        state = next_model(layout_of(job), state, sums)
    return [*found, state]
