from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from secureflow.domain.specs.training import (
    FeatureSpec,
    Label,
    ModelSpec,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.logistic import LogisticRegression
from secureflow.engines.training.metrics import summarise_binary
from secureflow.engines.training.models import (
    model_family,
    update_layout,
)
from secureflow.kit.errors import SecureFlowError

PLAN = TrainingPlan(local_epochs=2, batch_size=32, learning_rate=0.1)


def spec(width: int = 5, plan: TrainingPlan = PLAN, l2: float = 0.0) -> TrainingSpec:
    numeric = tuple(NumericFeature(f"x{i}", (-9.0, 9.0)) for i in range(width))
    return TrainingSpec(
        project="prj_0000000000",
        name="t",
        purpose="t",
        submitter="t",
        roster=(),
        features=FeatureSpec(Label("y", "1"), numeric),
        model=ModelSpec(l2=l2),
        plan=plan,
    )


FAMILY = LogisticRegression(spec())


def rows(count: int = 2_000, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(count, width)).astype(np.float32)
    logit = X @ np.linspace(-1, 1, width) + 0.5
    return X, (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)


def unaligned(array: np.ndarray) -> np.ndarray:
    """A copy whose memory begins at an odd multiple of the element size."""
    raw = np.empty(array.nbytes + 4, dtype=np.uint8)[4:]
    copy = raw.view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def test_training_is_bit_reproducible_whatever_the_memory_layout() -> None:
    X, y = rows()
    start = initial_parameters(spec())
    first = FAMILY.train(spec(), start, X, y, b"\x01" * 32)
    again = FAMILY.train(spec(), start.copy(), unaligned(X), unaligned(y), b"\x01" * 32)
    other = FAMILY.train(spec(), start, X, y, b"\x02" * 32)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert not start.any(), "the global model is read only"
    assert first.dtype == np.float32
    assert first.shape == (6,)


def test_training_reaches_what_scikit_learn_reaches() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="needs the extra sklearn")
    X, y = rows(20_000)
    plan = TrainingPlan(local_epochs=60, batch_size=1_000, learning_rate=0.5)
    mine = FAMILY.train(spec(plan=plan), initial_parameters(spec()), X, y, b"s")
    theirs = linear.LogisticRegression(C=np.inf).fit(X, y)
    assert np.allclose(mine[:-1], theirs.coef_[0], atol=0.02)
    assert mine[-1] == pytest.approx(theirs.intercept_[0], abs=0.02)


def test_full_batch_l2_step_is_the_formula() -> None:
    X, y = rows(64)
    plan = TrainingPlan(local_epochs=1, batch_size=64, learning_rate=0.3)
    start = np.array([0.5, -0.5, 1, 0, 0.25, 0.1], np.float32)
    got = FAMILY.train(spec(plan=plan, l2=0.1), start, X, y, b"s")
    residual = 1 / (1 + np.exp(-(X @ start[:-1] + start[-1]))) - y
    weights = start[:-1] - 0.3 * (X.T @ residual / 64 + 0.1 * start[:-1])
    assert np.allclose(got, [*weights, start[-1] - 0.3 * residual.mean()], atol=1e-6)


def test_no_rows_change_nothing() -> None:
    start = np.ones(6, np.float32)
    empty = np.zeros((0, 5), np.float32), np.zeros(0, np.float32)
    assert np.array_equal(FAMILY.train(spec(), start, *empty, b"s"), start)
    assert summarise_binary(FAMILY.metric_sums(spec(), start, *empty)) == {"rows": 0.0}


def test_divergence_is_an_error_and_no_nan_leaves() -> None:
    X, y = rows()
    wild = dataclasses.replace(PLAN, learning_rate=100.0, local_epochs=50)
    with pytest.raises(SecureFlowError) as caught:
        FAMILY.train(spec(plan=wild, l2=10.0), initial_parameters(spec()), X * 1e6, y, b"s")
    assert caught.value.code == "training_diverged"


def test_layouts_follow_from_the_spec() -> None:
    job = spec()
    trained, evaluated = update_layout(job, "train"), update_layout(job, "evaluate")
    assert update_layout(job) == trained
    assert (trained.parameters, trained.sums) == (6, 516)
    assert (evaluated.parameters, evaluated.sums) == (0, 516)
    assert update_layout(job, "moments").sums == 16
    rehearsal = dataclasses.replace(job, features=None, model=ModelSpec("rehearsal", 0.0, 1000))
    assert (update_layout(rehearsal).parameters, update_layout(rehearsal).sums) == (1000, 1)
    assert update_layout(rehearsal, "moments").sums == 1


def test_the_rehearsal_hands_its_parameters_back() -> None:
    rehearsal = dataclasses.replace(spec(), features=None, model=ModelSpec("rehearsal", 0.0, 9))
    family = model_family(rehearsal)
    model = initial_parameters(rehearsal)
    nothing = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
    assert model.shape == (9,)
    assert family.train(rehearsal, model, *nothing, b"s") is model
    assert family.metric_sums(rehearsal, model, *nothing).shape == (family.metric_count(),)


class Counted(EncodedRows):
    """Encoded rows that note how many of them are made at once."""

    made: list[int] = []  # noqa: RUF012 - one test's

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.made.append(len(rows))
        return super().__getitem__(rows)


def test_no_batch_of_a_private_job_is_wider_in_memory_than_a_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job chooses batches and widths: memory that ends would tell a party's number of rows."""
    monkeypatch.setattr("secureflow.engines.preparation.encoded.BLOCK_CELLS", 7 * 4)
    X, y = rows(300, 3)
    codes = np.where(X[:, :1] > 0, 2, -1).astype(np.int32)
    kept = Counted(X, codes, (4,))
    one_hot = np.zeros((300, 4), np.float32)
    one_hot[X[:, 0] > 0, 2] = 1.0
    asked = spec(7, dataclasses.replace(PLAN, batch_size=1 << 20))
    whole = FAMILY.train(asked, np.zeros(8, np.float32), np.hstack([X, one_hot]), y, b"s")
    parts = FAMILY.train(asked, np.zeros(8, np.float32), kept, y, b"s")
    assert max(Counted.made) == 4
    assert np.allclose(whole, parts, atol=1e-6)
