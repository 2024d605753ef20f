"""What the enclave adds up of trees: whole numbers that rows may have, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from unit.engines.trees.trees_world import job_of

from secureflow.enclave.models import GlobalModel
from secureflow.enclave.trainingfolds import HistogramFold, training_fold
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.layout import LIMIT, parts_of
from secureflow.kit.errors import SecureFlowError

JOB = job_of(plan={"validation": 0.2})


def update(histograms: np.ndarray, rows: float = 10.0) -> OpenedUpdate:
    sums = np.zeros(update_layout(JOB).sums)
    sums[0] = rows
    return OpenedUpdate(None, "", {"parameters": histograms, "sums": sums})  # type: ignore[arg-type]


def counted(*cells: int) -> np.ndarray:
    found = np.zeros(JOB.update_parameters, np.int64)
    found[list(cells)] = 5
    return found


def test_parties_that_come_in_another_order_give_the_same_model() -> None:
    models = []
    for order in ((0, 1, 2), (2, 0, 1)):
        fold, model = training_fold(JOB, "train", None), GlobalModel.of(initial_state(JOB))
        for one in order:
            fold.fold(update(counted(one, 40 + one)))
        assert fold.advance(model, lambda: b"") is None  # no sum leaves the enclave
        assert fold.sums(lambda: b"")[0] == 30.0
        models.append(model.digest)
        fold.reset()
        assert not fold.count
    assert models[0] == models[1]
    assert parts_of(layout_of(JOB), model.parameters).known


@pytest.mark.parametrize(
    ("histograms", "code"),
    [
        (counted(1)[1:], "update_shape_wrong"),
        (counted(1).astype(np.float64), "update_shape_wrong"),
        (-counted(JOB.update_parameters - 1), "value_out_of_bounds"),
        (counted(0) * LIMIT, "value_out_of_bounds"),
        (-counted(0) * LIMIT, "value_out_of_bounds"),
    ],
)
def test_a_hostile_party_is_left_out(histograms: np.ndarray, code: str) -> None:
    fold = HistogramFold(JOB)
    fold.fold(update(counted(3)))
    with pytest.raises(SecureFlowError) as caught:
        fold.fold(update(histograms))
    assert caught.value.code == code
    assert fold.count == 1
    clean, model = HistogramFold(JOB), GlobalModel.of(initial_state(JOB))
    clean.fold(update(counted(3)))
    other = GlobalModel.of(initial_state(JOB))
    fold.advance(model, lambda: b"")
    clean.advance(other, lambda: b"")
    assert model.digest == other.digest


def test_figures_beyond_the_caps_are_refused_with_their_histograms() -> None:
    fold = HistogramFold(JOB)
    with pytest.raises(SecureFlowError) as caught:
        fold.fold(update(counted(3), rows=1e18))
    assert caught.value.code == "weight_out_of_bounds"
    with pytest.raises(SecureFlowError) as caught:
        fold.advance(GlobalModel.of(initial_state(JOB)), lambda: b"")
    assert caught.value.code == "nothing_folded"
