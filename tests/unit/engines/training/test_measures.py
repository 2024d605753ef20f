from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.training.measures import (
    MAX_CELLS,
    ClassesMeasure,
    NumberMeasure,
)
from secureflow.engines.training.metrics import LOSS_CAP, PRIVATE_LOSS_CAP
from secureflow.engines.training.private import METRIC_UNIT

skmetrics = pytest.importorskip("sklearn.metrics", reason="needs the extra sklearn")
ANY = (0.0, 1.0)


def scores(classes: int, rows: int = 500, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    outputs = rng.normal(size=(rows, classes))
    outputs[np.arange(rows), labels] += 1.5
    return outputs.astype(np.float32), labels.astype(np.float32)


@pytest.mark.parametrize("classes", [2, 5, MAX_CELLS, MAX_CELLS + 1])
def test_figures_of_classes_agree_with_scikit_learn(classes: int) -> None:
    outputs, labels = scores(classes)
    measure = ClassesMeasure(classes)
    sums = measure.sums(outputs, labels, ANY)
    assert sums.shape == (measure.count,)
    told = measure.summarise(sums)
    predicted = outputs.argmax(axis=1)
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    loss = skmetrics.log_loss(labels, shares, labels=range(classes))
    assert told["loss"] == pytest.approx(loss, rel=1e-5)
    assert told["accuracy"] == pytest.approx(skmetrics.accuracy_score(labels, predicted))
    balanced = skmetrics.balanced_accuracy_score(labels, predicted)
    assert told["balanced_accuracy"] == pytest.approx(balanced)
    if classes <= MAX_CELLS:
        f1 = skmetrics.f1_score(labels, predicted, average="macro")
        assert told["macro_f1"] == pytest.approx(f1)
        matrix = skmetrics.confusion_matrix(labels, predicted, labels=range(classes))
        assert np.array_equal(measure.matrix(sums), matrix)
    else:
        assert "macro_f1" not in told


def test_figures_of_numbers_agree_with_scikit_learn_in_the_labels_unit() -> None:
    rng = np.random.default_rng(2)
    z = rng.uniform(-1, 1, 400).astype(np.float32)
    found = (z + 0.2 * rng.normal(size=400)).astype(np.float32)
    measure = NumberMeasure(50.0)
    told = measure.summarise(measure.sums(found[:, None], z, ANY))
    y, predicted = 100 + 50.0 * z, 100 + 50.0 * found
    assert told["mse"] == pytest.approx(skmetrics.mean_squared_error(y, predicted), rel=1e-5)
    assert told["mae"] == pytest.approx(skmetrics.mean_absolute_error(y, predicted), rel=1e-5)
    assert told["r2"] == pytest.approx(skmetrics.r2_score(y, predicted), abs=1e-5)


@pytest.mark.parametrize("measure", [ClassesMeasure(4), ClassesMeasure(40), NumberMeasure(3.0)])
def test_sums_add_up_over_parties_and_nobody_has_no_figures(
    measure: ClassesMeasure | NumberMeasure,
) -> None:
    outputs, labels = rows_of(measure)
    whole = measure.sums(outputs, labels, ANY)
    parts = [measure.sums(outputs[at], labels[at], ANY) for at in (slice(0, 7), slice(7, None))]
    assert np.allclose(parts[0] + parts[1], whole)
    nobody = measure.sums(outputs[:0], labels[:0], ANY)
    assert measure.summarise(nobody) == {"rows": 0.0}
    assert measure.summarise(np.zeros(0)) == {}
    assert not measure.steps(outputs[:0], labels[:0], ANY, METRIC_UNIT).any()


def rows_of(
    measure: ClassesMeasure | NumberMeasure, rows: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(measure, ClassesMeasure):
        return scores(measure.classes, rows)
    rng = np.random.default_rng(5)
    z = rng.uniform(-1, 1, rows).astype(np.float32)
    return rng.normal(size=(rows, 1)).astype(np.float32), z


@pytest.mark.parametrize("measure", [ClassesMeasure(3), ClassesMeasure(40), NumberMeasure(3.0)])
@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-3, 1e30), seed=st.integers(0, 1000))
def test_one_row_moves_the_steps_by_at_most_two_units_and_the_sums_by_their_cap(
    measure: ClassesMeasure | NumberMeasure, scale: float, seed: int
) -> None:
    outputs, labels = rows_of(measure, 1)
    outputs = (outputs * np.float32(scale)).astype(np.float32)
    steps = measure.steps(outputs, labels, ANY, METRIC_UNIT)
    assert np.linalg.norm(steps) <= 2 * METRIC_UNIT
    assert np.abs(measure.sums(outputs, labels, ANY)).max() <= LOSS_CAP
    for wild in (np.inf, -np.inf, np.nan):
        outputs[0, 0] = wild
        assert np.linalg.norm(measure.steps(outputs, labels, ANY, METRIC_UNIT)) <= 2 * METRIC_UNIT
        assert np.isfinite(measure.sums(outputs, labels, ANY)).all()


def test_steps_are_the_sums_within_their_caps() -> None:
    for measure in (ClassesMeasure(4), NumberMeasure(3.0)):
        outputs, labels = rows_of(measure, 50)
        outputs = (outputs * 0.3).astype(np.float32)
        steps = measure.steps(outputs, labels, ANY, METRIC_UNIT).astype(float)
        back = measure.sums_of_steps(steps, METRIC_UNIT)
        assert np.allclose(
            back, measure.sums(outputs, labels, ANY), atol=50 * PRIVATE_LOSS_CAP / 500
        )


@pytest.mark.parametrize("measure", [ClassesMeasure(4), ClassesMeasure(40), NumberMeasure(7.0)])
def test_told_errors_are_the_spread_of_noised_figures(
    measure: ClassesMeasure | NumberMeasure,
) -> None:
    outputs, labels = rows_of(measure, 5000)
    outputs = outputs if isinstance(measure, ClassesMeasure) else outputs * np.float32(0.2)
    exact = measure.steps(outputs, labels, ANY, METRIC_UNIT).astype(float)
    sigma, rng = 3.0, np.random.default_rng(9)
    drawn = [
        measure.summarise(
            measure.sums_of_steps(
                exact + rng.normal(0, sigma * METRIC_UNIT, len(exact)), METRIC_UNIT
            )
        )
        for _ in range(400)
    ]
    told = measure.noise_errors(measure.sums_of_steps(exact, METRIC_UNIT), sigma)
    for name, error in told.items():
        if name == "balanced_accuracy" and measure.count > 40:
            continue  # classes of a few rows: first order does not hold
        found = float(np.std([one[name] for one in drawn]))
        assert error == pytest.approx(found, rel=0.2), name
