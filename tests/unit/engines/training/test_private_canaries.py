"""An empirical audit of the real training step: the measured ε stays below the accounted one.

A canary whose gradient is as long as the clip allows is in the data or not; the distinguisher
projects the released model on its direction, at a threshold chosen on pilot runs.
"""

from __future__ import annotations

import numpy as np
import pytest
from peers.private_jobs import private_spec

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.privacy import epsilon
from secureflow.engines.privacy.audit import best_threshold, count, epsilon_lower_bound
from secureflow.engines.privacy.seeds import joint_seed
from secureflow.engines.training.noising import noise_of, noised_state, split_sums
from secureflow.engines.training.private import charge, private_delta, private_sums

CANARY = np.array([[50.0, -50.0, 50.0]], np.float32)
DELTA = 1e-6


def released(spec: TrainingSpec, run: int, *, present: bool) -> float:
    """Train as parties and enclave do; return the model's projection on the canary's direction."""
    model = np.zeros(spec.parameters, np.float32)
    random = np.random.default_rng(1)
    inputs = random.uniform(-1, 1, (40, 3)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.float32)
    if present:
        inputs = np.concatenate([inputs, CANARY])
        labels = np.append(labels, np.float32(1))
    for number in range(spec.plan.rounds):
        seed = f"{run}/{present}/{number}".encode()
        delta = private_delta(spec, model, (inputs, labels), seed)
        _, own = split_sums(spec, "train", private_sums(spec, seed))
        joint = joint_seed({"bank-a": own}, round=number)
        model = noised_state(spec, model, delta.astype(np.float64) + noise_of(spec, "train", joint))
    return float(model[:3] @ CANARY[0])


def measured(spec: TrainingSpec, runs: int) -> float:
    """Return the lower bound on ε that so many runs show."""
    scores = {p: [released(spec, r, present=p) for r in range(2 * runs)] for p in (True, False)}
    pilot = best_threshold(scores[True][:runs], scores[False][:runs], DELTA)
    return epsilon_lower_bound(count(scores[True][runs:], scores[False][runs:], pilot), DELTA)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.8, pytest.param(1.5, marks=pytest.mark.full)])
def test_the_measured_bound_stays_below_the_accounted_epsilon(noise: float) -> None:
    spec = private_spec(
        {"noise_multiplier": noise, "rows": 40},
        plan={"rounds": 2, "validation": 0.0, "learning_rate": 0.1},
    )
    bound = measured(spec, 300)
    assert bound <= epsilon(charge(spec), DELTA, "pld")
    assert bound > 0.3  # the test sees something: with too little noise it would show


def test_the_audit_sees_noise_that_is_too_small() -> None:
    """A trainer with a tenth of the noise it is charged for is caught."""
    told = private_spec({"noise_multiplier": 5.0, "rows": 40})
    weak = private_spec(
        {"noise_multiplier": 0.5, "rows": 40},
        plan={"rounds": 1, "validation": 0.0, "learning_rate": 0.1},
    )
    assert measured(weak, 300) > epsilon(charge(told, 1), DELTA, "pld")
