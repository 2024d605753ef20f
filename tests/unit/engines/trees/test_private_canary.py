"""An audit of the noised sums of a level, which under masks everybody sees: measured ε and charged.

The canary is a row of which the model is sure, and wrong: its gradient is about as long as one can
be. Whoever looks for it knows all other rows, and projects a release on what it adds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from unit.engines.training.family_world import shares
from unit.engines.trees.private_world import made, private_job
from unit.engines.trees.test_growing import ALL

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.privacy import epsilon
from secureflow.engines.privacy.audit import best_threshold, count, epsilon_lower_bound
from secureflow.engines.training.models import initial_state
from secureflow.engines.training.noising import noise_of
from secureflow.engines.training.private import charge
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.growing import next_model

RUNS, DELTA = 400, 1e-6


def job_with(multiplier: float) -> TrainingSpec:
    privacy = {"metrics_noise": None, "delta": DELTA}
    return private_job(
        multiplier=multiplier, plan=ALL, privacy=privacy, model={"base_score": 0.999}
    )


def measured(multiplier: float, folder: Path) -> float:
    """Return the lower bound on ε that releases of one level show."""
    job, rows = job_with(multiplier), shares()[1]
    layout, state = layout_of(job), initial_state(job)
    state = next_model(layout, state, made(job, rows, state, folder))
    no = int(np.flatnonzero(rows["y"] == "no")[0])
    canary = made(job, {name: one[no : no + 1] for name, one in rows.items()}, state, folder)
    whole = made(job, rows, state, folder)
    without = made(job, {name: np.delete(one, no) for name, one in rows.items()}, state, folder)
    np.testing.assert_array_equal(whole - without, canary)
    scores = {
        present: [
            float((sums + noise_of(job, "train", f"{run}/{present}".encode())) @ canary)
            for run in range(2 * RUNS)
        ]
        for present, sums in ((True, whole), (False, without))
    }
    pilot = best_threshold(scores[True][:RUNS], scores[False][:RUNS], DELTA)
    return epsilon_lower_bound(count(scores[True][RUNS:], scores[False][RUNS:], pilot), DELTA)


def test_the_measured_bound_stays_below_what_is_charged(tmp_path: Path) -> None:
    bound = measured(1.0, tmp_path)
    assert bound <= epsilon(charge(job_with(1.0), 1), DELTA)
    assert bound > 0.4  # the canary shows: with too little noise it would show more


def test_noise_that_is_too_small_is_seen(tmp_path: Path) -> None:
    assert measured(0.5, tmp_path) > epsilon(charge(job_with(5.0), 1), DELTA)


@pytest.mark.parametrize("multiplier", [1.0, 4.0])
def test_it_is_the_multiplier_of_the_spec_that_is_charged(multiplier: float) -> None:
    (mechanism,) = charge(job_with(multiplier), 1)
    assert (mechanism.noise, mechanism.sampling, mechanism.count) == (multiplier, 1.0, 1)
