"""What the enclave adds up of trees: whole numbers that rows may have, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from unit.engines.training.family_world import federate, shares
from unit.engines.trees.trees_world import job_of

from secureflow.adapters.frameworks import runner_of
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.training import TRAINING_ENCLAVE
from secureflow.enclave.trainingfolds import HistogramFold, training_fold
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.growing import split_sums
from secureflow.engines.trees.layout import LIMIT, UNIT, parts_of
from secureflow.kit.errors import SecureFlowError

JOB = job_of(plan={"validation": 0.2})
LAYOUT = layout_of(JOB)


def update(histograms: np.ndarray, rows: float = 10.0) -> OpenedUpdate:
    sums = np.zeros(update_layout(JOB).sums)
    sums[0] = rows
    return OpenedUpdate(None, "", {"parameters": histograms, "sums": sums})  # type: ignore[arg-type]


def counted(*cells: int) -> np.ndarray:
    """Counts of ten rows: those of both numbers are in the same cells."""
    found = np.zeros(JOB.update_parameters, np.int64)
    for number in (0, 1):
        for cell in cells:
            found[number * LAYOUT.fine + cell] += 10 // len(cells)
    return found


def begun() -> tuple[HistogramFold, GlobalModel]:
    """An empty sum of the first round, and the model that it starts from."""
    fold, model = training_fold(JOB, "train", None), GlobalModel.of(initial_state(JOB))
    TRAINING_ENCLAVE.starts(fold, model)
    assert isinstance(fold, HistogramFold)
    return fold, model


def test_parties_that_come_in_another_order_give_the_same_model() -> None:
    models = []
    for order in ((0, 1, 2), (2, 0, 1)):
        fold, model = begun()
        for one in order:
            fold.fold(update(counted(one, 40 + one)))
        assert fold.advance(model, lambda: b"") is None  # no sum leaves the enclave
        assert fold.sums(lambda: b"")[0] == 30.0
        models.append(model.digest)
        fold.reset()
        assert not fold.count
    assert models[0] == models[1]
    assert parts_of(LAYOUT, model.parameters).known


def negative() -> np.ndarray:
    found = counted(1, 2)
    found[:4] = 12, -2, 0, 0
    return found


@pytest.mark.parametrize(
    ("histograms", "rows", "code"),
    [
        (counted(1)[1:], 10, "update_shape_wrong"),
        (counted(1).astype(np.float64), 10, "update_shape_wrong"),
        (counted(0) * LIMIT, 10, "value_out_of_bounds"),
        (negative(), 10, "value_out_of_bounds"),
        (counted(0), 9, "value_out_of_bounds"),
        (counted(0), JOB.limits.max_weight + 1, "weight_out_of_bounds"),
    ],
)
def test_a_hostile_party_is_left_out(histograms: np.ndarray, rows: int, code: str) -> None:
    """It alone is told, and what it sent is in no sum: the others' round goes on."""
    fold, model = begun()
    fold.fold(update(counted(3)))
    with pytest.raises(SecureFlowError) as caught:
        fold.fold(update(histograms, rows))
    assert caught.value.code == code
    assert fold.count == 1
    clean, other = begun()
    clean.fold(update(counted(3)))
    fold.advance(model, lambda: b"")
    clean.advance(other, lambda: b"")
    assert model.digest == other.digest


def test_a_level_is_checked_against_the_nodes_that_its_model_opened() -> None:
    """After a release the sum knows the next model, which it moved in place."""
    fold, model = begun()
    fold.fold(update(counted(3)))
    fold.advance(model, lambda: b"")
    fold.reset()
    level = np.zeros(JOB.update_parameters, np.int64)
    gradients, seconds = split_sums(LAYOUT, level)
    for row in (0, 1):
        gradients[row, LAYOUT.offsets] = UNIT
        seconds[row, LAYOUT.offsets] = UNIT
    with pytest.raises(SecureFlowError, match="of no open node"):
        fold.fold(update(level))  # the root alone is open
    gradients[1], seconds[1] = 0, 0
    fold.fold(update(level))
    assert fold.count == 1


def test_a_party_with_more_rows_than_count_is_within_what_it_says(tmp_path: Path) -> None:
    """Its weight is 50 · (29 / 50), which is less than 29 in float64."""
    job = job_of(plan={"validation": 0.0, "rounds": 1}, limits={"max_weight": 29})
    assert runner_of(job, shares()[0]).rows[0] * (29 / 50) < 29
    state, _ = federate(job, shares(), tmp_path)
    assert parts_of(layout_of(job), state).done == 1


def test_figures_beyond_the_caps_are_refused_with_their_histograms() -> None:
    fold, _ = begun()
    with pytest.raises(SecureFlowError) as caught:
        fold.fold(update(counted(3), rows=1e18))
    assert caught.value.code == "weight_out_of_bounds"
    with pytest.raises(SecureFlowError) as caught:
        fold.advance(GlobalModel.of(initial_state(JOB)), lambda: b"")
    assert caught.value.code == "nothing_folded"
