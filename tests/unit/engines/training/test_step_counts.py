"""FedNova: what a party says of its local steps moves the model no further than the caps allow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secureflow.domain.specs.base import RosterEntry, parse
from secureflow.domain.specs.training import (
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.domain.specs.updatelimits import Limits
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.training.localpart import LocalPart
from secureflow.engines.training.models import update_layout
from secureflow.engines.training.strategies import next_state
from secureflow.engines.training.strategies.fednova import most_steps, per_step
from secureflow.kit.errors import SecureFlowError

SIZE = 3
CAP = 2.0
PLAN = parse(TrainingPlan, {"strategy": "fednova", "local_epochs": 2, "batch_size": 10}, "training")
SPEC = TrainingSpec(
    "", "", "", "",
    tuple(RosterEntry(f"bank-{n}", f"{n:044}") for n in range(3)),
    features=FeatureSpec(
        Label("y", "yes"), tuple(NumericFeature(one, (-1.0, 1.0), "bounds") for one in ("x", "z"))
    ),
    plan=PLAN,
    limits=Limits(max_weight=1000, clip_norm=CAP),
)  # fmt: skip


def moved(change: list[float], steps: float) -> NDArray[np.float32]:
    """Return how far a mean change per step, and a mean number of steps, move a model of zeros."""
    release = np.array([*change, steps * per_step(SPEC)], np.float32)
    state = np.zeros(SIZE, np.float32)
    next_state(SPEC, state, release, state)
    return state


def test_no_round_moves_the_model_further_than_one_update_may() -> None:
    np.testing.assert_allclose(moved([0.1, 0.0, 0.1], 4), [0.4, 0.0, 0.4], rtol=1e-5)
    far = moved([1.0, 0.0, 1.0], most_steps(SPEC))
    assert np.linalg.norm(far) == pytest.approx(CAP, rel=1e-6)
    assert far[0] == far[2] > 0


def test_no_count_of_steps_turns_the_model_back() -> None:
    assert not moved([1.0, 0.5, 0.0], -3).any()


def updated(steps: float, rows: float) -> Any:
    parameters = np.array([0.01, 0.0, 0.0, steps * per_step(SPEC)], np.float32)
    sums = np.zeros(update_layout(SPEC).sums)
    sums[0] = rows
    return SimpleNamespace(tensors={"parameters": parameters}, sums=sums)


@pytest.mark.parametrize("told", [-8.0, 0.0, 80.0, 200.0])
def test_steps_that_no_rows_make_are_refused(told: float) -> None:
    fold = training_fold(SPEC, "train", None)
    with pytest.raises(SecureFlowError) as caught:
        fold.fold(updated(told, 40))
    assert caught.value.code == "value_out_of_bounds"
    assert fold.count == 0
    fold.fold(updated(8.0, 40))
    assert fold.count == 1


def test_who_has_more_rows_than_count_stays_within_the_caps() -> None:
    zeros = np.zeros(SIZE, np.float32)
    part = LocalPart(SPEC, zeros, zeros[:0], zeros[:0])
    change, beside, _ = part.sent(np.full(SIZE, 0.5, np.float32), 5000)
    np.testing.assert_allclose(change, 0.5 / 1000)
    assert float(beside[0]) == pytest.approx(CAP)
