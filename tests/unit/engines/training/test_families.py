from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import (
    LEARNERS,
    federate,
    pooled,
    shares,
    spec,
    table,
)

import secureflow
from secureflow.adapters.frameworks import NumpyRunner
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.contribution_rules import MEASURED
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.scoring import FAMILIES as SCORED
from secureflow.engines.preparation import (
    declared_moments,
    design_matrix,
    encode_rows,
    weight_vector,
)
from secureflow.engines.training.families import FAMILIES
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.models import model_family
from secureflow.engines.training.ridge import Ridge, solve
from secureflow.engines.training.sections import sections
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement.closure import closure

SOURCE = Path(secureflow.__file__).parent
linear_model = pytest.importorskip("sklearn.linear_model", reason="needs the extra sklearn")


def prepared(job: TrainingSpec, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    assert job.features is not None
    return design_matrix(job.features, declared_moments(job.features), rows)


def whole_batch(job: TrainingSpec, steps: int, rate: float) -> TrainingSpec:
    plan = dataclasses.replace(job.plan, local_epochs=steps, batch_size=1 << 20, learning_rate=rate)
    return dataclasses.replace(job, plan=plan)


@pytest.mark.parametrize(("family", "target"), LEARNERS)
def test_every_family_learns_its_target(family: str, target: str, tmp_path: Path) -> None:
    more = {} if family == "ridge" else {"plan": {"rounds": 12, "learning_rate": 0.5}}
    job = spec(family, target, **more)
    start = {name: value for name, value in first_figures(job).items() if name != "rows"}
    _, sums = federate(job, shares(), tmp_path)
    told = summarise(job, sums)
    assert told["loss"] < 0.6 * start["loss"]
    if target == "number":
        assert told["r2"] > 0.8
    else:
        assert told["accuracy"] > 0.8


def first_figures(job: TrainingSpec) -> dict[str, float]:
    inputs, labels = prepared(job, table())
    family = model_family(job)
    sums = family.metric_sums(job, initial_parameters(job), inputs, labels)
    return summarise(job, [1.0, *sums])


@pytest.mark.parametrize("counted", [False, True])
def test_ridge_is_the_pooled_solution_up_to_float32(counted: bool, tmp_path: Path) -> None:
    weight = {"weight": {"column": "count", "bounds": [0, 2]}} if counted else {}
    job = spec("ridge", "number", features=weight, plan={"validation": 0.0}, model={"l2": 0.01})
    assert job.features is not None
    parts = shares()
    state, _ = federate(job, parts, tmp_path)
    rows = pooled(parts)
    inputs, labels = prepared(job, rows)
    theirs = linear_model.Ridge(alpha=0.01 * len(labels), tol=1e-12, solver="cholesky").fit(
        inputs, labels, weight_vector(job.features, rows)
    )
    mine = Ridge(job).coefficients(state)
    assert np.allclose(mine, [*theirs.coef_, theirs.intercept_], atol=2e-5)


def test_a_singular_system_is_solved_and_a_column_of_zeros_has_no_coefficient() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(50, 3))
    rows = np.column_stack([rows, rows[:, 0] + rows[:, 1], np.zeros(50)])
    gram, right = rows.T @ rows / 50, rows.T @ rows[:, 2] / 50
    found = solve(gram.copy(), right.copy())
    assert np.allclose(rows @ found, rows[:, 2], atol=1e-9)
    assert (found[3], found[4]) == (0.0, 0.0)


def test_the_solution_has_the_bits_of_one_operation_at_a_time() -> None:
    """Agents solve for themselves: what a BLAS or a wider register rounds must not show."""
    size = 40
    places = np.arange(size)
    matrix = 1.0 / (places[:, None] + places[None, :] + 1.0) + np.eye(size)
    right = places % 7 - 3.0
    found = solve(matrix.copy(), right.copy())
    assert np.allclose(matrix @ found, right)
    assert found.tolist() == by_hand(matrix.tolist(), right.tolist())


def by_hand(rows: list[list[float]], right: list[float]) -> list[float]:
    """Eliminate with Python's own numbers."""
    size = len(right)
    for at in range(size):
        for row in range(at + 1, size):
            factor = rows[row][at] / rows[at][at]
            for column in range(at + 1, size):
                rows[row][column] -= factor * rows[at][column]
            right[row] -= factor * right[at]
    for at in range(size - 1, -1, -1):
        right[at] /= rows[at][at]
        for row in range(at):
            right[row] -= rows[row][at] * right[at]
    return right


def test_softmax_and_linear_reach_the_pooled_optimum() -> None:
    for family, target in (("softmax", "classes"), ("linear", "number")):
        job = whole_batch(spec(family, target, model={"l2": 0.01}), 4000, 0.5)
        inputs, labels = prepared(job, table())
        trained = model_family(job).train(job, initial_parameters(job), inputs, labels, b"s")
        outputs = model_family(job).outputs(trained, inputs)
        if family == "linear":
            theirs = linear_model.Ridge(alpha=0.01 * len(labels)).fit(inputs, labels)
            assert np.allclose(outputs[:, 0], theirs.predict(inputs), atol=1e-3)
        else:
            one = linear_model.LogisticRegression(C=1 / (0.01 * len(labels)), tol=1e-8)
            theirs = one.fit(inputs, labels)
            wanted = theirs.decision_function(inputs)
            centred = outputs - outputs.mean(axis=1, keepdims=True)
            assert np.allclose(centred, wanted, atol=0.02)


@pytest.mark.parametrize(("family", "target"), LEARNERS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_step_is_the_numeric_gradient(family: str, target: str, activation: str) -> None:
    if family == "ridge" or (family != "mlp" and activation == "tanh"):
        pytest.skip("no such gradient")
    more = {"activation": activation, "hidden": [4, 3]} if family == "mlp" else {}
    job = whole_batch(spec(family, target, model=more), 1, 1e-3)
    inputs, labels = prepared(job, table(40))
    rng = np.random.default_rng(3)
    start = rng.normal(0, 0.4, job.parameters).astype(np.float32)
    model = model_family(job)
    moved = model.train(job, start, inputs, labels, b"s").astype(np.float64) - start

    def loss(parameters: np.ndarray) -> float:
        outputs = model.outputs(parameters.astype(np.float64), inputs.astype(np.float64))  # type: ignore[arg-type]
        return float(row_losses(target, outputs.astype(np.float64), labels).mean())

    direction = rng.normal(size=job.parameters)
    step = 1e-3 if family == "logistic_regression" else 1e-5
    ahead, behind = loss(start + step * direction), loss(start - step * direction)
    slope = (ahead - behind) / (2 * step)
    assert -(moved @ direction) / 1e-3 == pytest.approx(slope, rel=0.02, abs=2e-3)


def row_losses(target: str, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if target == "number":
        return (outputs[:, 0] - labels) ** 2 / 2
    if target == "binary":
        return np.logaddexp(0, np.where(labels > 0.5, -1, 1) * outputs[:, 0])
    total = np.log(np.exp(outputs).sum(axis=1))
    return total - outputs[np.arange(len(labels)), labels.astype(int)]


@pytest.mark.parametrize(("family", "target"), LEARNERS)
def test_weights_are_repeated_rows(family: str, target: str) -> None:
    """A whole weight is as if the row were there that often, but for the number of rows."""
    job = spec(family, target, model={} if family != "ridge" else {"l2": 0.0})
    job = whole_batch(job, 1, 0.1)
    inputs, labels = prepared(job, table(60))
    times = np.random.default_rng(2).integers(0, 4, 60)
    times[0] += 120 - times.sum()
    model, start = model_family(job), initial_parameters(job)
    counted = model.train(job, start, inputs, labels, b"s", times.astype(np.float32)) - start
    repeated = (
        model.train(job, start, np.repeat(inputs, times, 0), np.repeat(labels, times), b"s") - start
    )
    assert np.allclose(counted, 2 * repeated, atol=1e-5)
    assert not np.allclose(counted, model.train(job, start, inputs, labels, b"s") - start)


@pytest.mark.parametrize(
    ("family", "target"), [one for one in LEARNERS if one[1] in {"binary", "classes"}]
)
def test_class_weights_multiply_the_rows_of_their_class(family: str, target: str) -> None:
    weights = [1.0, 3.0] if target == "binary" else [1.0, 3.0, 0.5]
    plain = whole_batch(spec(family, target), 2, 0.1)
    job = whole_batch(spec(family, target, model={"class_weights": weights}), 2, 0.1)
    inputs, labels = prepared(job, table(80))
    start = initial_parameters(job)
    own = np.array(weights, np.float32)[labels.astype(int)]
    weighted = model_family(job).train(job, start, inputs, labels, b"s")
    same = model_family(plain).train(plain, start, inputs, labels, b"s", own)
    assert weighted.tobytes() == same.tobytes()
    assert (
        weighted.tobytes()
        != model_family(plain).train(plain, start, inputs, labels, b"s").tobytes()
    )


@pytest.mark.parametrize(("family", "target"), LEARNERS)
def test_training_is_bit_equal_when_repeated_and_leaves_the_model_alone(
    family: str, target: str
) -> None:
    job = spec(family, target)
    inputs, labels = prepared(job, table())
    model, start = model_family(job), initial_parameters(job)
    kept = start.copy()
    first = model.train(job, start, inputs, labels, b"\x01" * 32)
    again = model_family(job).train(job, start.copy(), inputs.copy(), labels, b"\x01" * 32)
    assert first.tobytes() == again.tobytes()
    assert (start == kept).all()
    if family != "ridge":
        assert first.tobytes() != model.train(job, start, inputs, labels, b"\x02" * 32).tobytes()


def test_a_private_row_is_prepared_and_trained_like_a_whole_one() -> None:
    job = spec("mlp", "classes", features={"weight": {"column": "count", "bounds": [0, 2]}})
    assert job.features is not None
    moments = declared_moments(job.features)
    inputs, labels = prepared(job, table())
    encoded, private = encode_rows(job.features, moments, table())
    assert encoded.weights is not None
    model, start = model_family(job), initial_parameters(job)
    counts = weight_vector(job.features, table())
    assert counts is not None
    assert np.array_equal(labels, private)
    assert np.array_equal(counts, encoded.weights)
    exact = model.train(job, start, inputs, labels, b"s", counts)
    assert np.allclose(exact, model.train(job, start, encoded, private, b"s", counts), atol=1e-5)


def test_the_first_weights_of_an_mlp_are_pinned() -> None:
    """Every party and the enclave draw them: other bits would be another model."""
    job = spec("mlp", "classes")
    first = initial_parameters(job)
    assert first.tobytes() == initial_parameters(job).tobytes()
    assert [float(one) for one in first[:3]] == PINNED
    limit = (6 / (5 + 6)) ** 0.5
    assert float(np.abs(first[:30]).max()) <= limit
    assert not first[30:36].any()
    other = dataclasses.replace(job, plan=dataclasses.replace(job.plan, seed=8))
    assert first.tobytes() != initial_parameters(other).tobytes()


PINNED = [0.18477824330329895, 0.5867236852645874, 0.4072147607803345]


@pytest.mark.parametrize(("family", "target"), LEARNERS)
def test_a_diverging_training_is_an_error_and_no_nan_leaves(family: str, target: str) -> None:
    if family == "ridge":
        pytest.skip("it takes no steps")
    job = whole_batch(spec(family, target, model={"l2": 10.0}), 200, 100.0)
    inputs, labels = prepared(job, table(50))
    with pytest.raises(SecureFlowError) as caught:
        model_family(job).train(job, initial_parameters(job) + 1, inputs, labels, b"s")
    assert caught.value.code == "training_diverged"


@pytest.mark.parametrize(
    ("target", "column", "cell", "code"),
    [
        ("classes", "kind", "z", "unknown_class"),
        ("classes", "kind", None, "missing_label"),
        ("number", "price", 21.0, "label_out_of_range"),
        ("number", "price", float("nan"), "missing_label"),
        ("binary", "count", 2.5, "malformed_cell"),
        ("binary", "count", float("nan"), "malformed_cell"),
    ],
)
def test_a_row_that_does_not_fit_is_named_before_the_first_round(
    target: str, column: str, cell: Any, code: str
) -> None:
    family = {"classes": "softmax", "number": "linear", "binary": "logistic_regression"}[target]
    job = spec(family, target, features={"weight": {"column": "count", "bounds": [0, 2]}})
    rows = table(30)
    rows[column] = rows[column].copy()
    rows[column][7] = cell
    with pytest.raises(SecureFlowError) as caught:
        NumpyRunner(job, rows)
    assert caught.value.code == code
    assert caught.value.details == {"row": 8, "column": column}


def test_classes_in_a_column_of_numbers_are_compared_as_numbers() -> None:
    job = spec("softmax", "classes")
    assert job.features is not None
    label = dataclasses.replace(job.features.label, classes=("0", "1", "2"))  # type: ignore[type-var]
    job = dataclasses.replace(job, features=dataclasses.replace(job.features, label=label))
    rows = table(30) | {"kind": np.arange(30.0) % 3}
    _, labels = prepared(job, rows)
    assert np.array_equal(labels, np.arange(30) % 3)


def test_what_a_spec_of_today_says_is_what_it_said() -> None:
    written = dump(spec("logistic_regression", "binary"))
    assert written["model"] == {"family": "logistic_regression", "l2": 0.0, "parameters": 0}
    assert set(written["features"]) == {"label", "numeric", "categorical"}
    assert "keep" not in written["plan"]
    assert not {"initial", "wire"} & set(written)


@pytest.mark.parametrize("wire", ["float16", "bfloat16"])
@pytest.mark.parametrize(("family", "target"), [one for one in LEARNERS if one[0] != "ridge"])
def test_a_narrow_wire_halves_an_update_and_trains_as_well(
    wire: str, family: str, target: str, tmp_path: Path
) -> None:
    parts = shares()
    whole, _ = federate(spec(family, target), parts, tmp_path)
    job = spec(family, target, wire=wire)
    narrow, sums = federate(job, parts, tmp_path)
    assert (tmp_path / "delta").stat().st_size == 2 * job.parameters
    assert not np.array_equal(whole, narrow)
    assert np.allclose(whole, narrow, atol=0.02)
    assert summarise(job, sums)["rows"] > 40


@pytest.mark.parametrize("wire", ["float32", "float16", "bfloat16"])
def test_a_clipped_update_is_within_its_cap_on_every_wire(wire: str, tmp_path: Path) -> None:
    """Rounding may lengthen a change: the enclave would refuse what an honest party clipped."""
    for number in range(5):
        job = spec("mlp", "classes", wire=wire, limits={"clip_norm": 0.01}, plan={"seed": number})
        federate(job, shares(), tmp_path)  # `norm_exceeded`, were it longer


def test_smallest_changes_do_not_grow_above_the_cap_by_rounding(tmp_path: Path) -> None:
    """float16 has steps of 6e-8 next to zero: just above half a step, rounding doubles a value."""
    job = spec("mlp", "classes", wire="float16", limits={"clip_norm": 1e-6})
    runner = NumpyRunner(job, shares()[0])
    delta = np.full(job.parameters, 1e-6 / np.sqrt(job.parameters), np.float32)
    delta = np.where(np.arange(job.parameters) % 3, np.float32(3.1e-8), np.float32(1e-9))
    clipped = runner._clipped(delta * np.float32(9.9e-7 / np.linalg.norm(delta)))
    assert np.linalg.norm(clipped.astype(np.float16).astype(np.float64)) > 1e-6  # as it was sent
    runner._write(tmp_path / "delta", clipped)
    sent = np.fromfile(tmp_path / "delta", "<f2").astype(np.float64)
    assert np.linalg.norm(sent) <= 1e-6


def test_a_report_tells_which_classes_were_taken_for_which(tmp_path: Path) -> None:
    job = spec("softmax", "classes")
    _, sums = federate(job, shares(), tmp_path)
    ((title, rows),) = (one.values() for one in sections(job, sums))
    assert [row["label"] for row in rows] == ["a", "b", "c"]
    counted = [int(told.split(": ")[1]) for row in rows for told in row["value"]]
    assert sum(counted) == summarise(job, sums)["rows"]
    assert "predicted" in title
    assert sections(spec("linear", "number"), sums) == []
    assert sections(job, [1.0]) == []


def test_the_enclave_imports_no_family_but_those_that_it_scores() -> None:
    """It needs lengths, first weights and the next state: what is measured stays small."""
    names = ("families", "ridge", "bayes", "fitted", "noop", "torch_network", "export", "tensors")
    found = closure("secureflow.enclave.__main__", SOURCE).modules
    assert "secureflow.engines.training.strategies" in found
    assert not {f"secureflow.engines.training.{name}" for name in names} & set(found)
    assert set(SCORED) == MEASURED
    assert all(SCORED[name] is FAMILIES[name] for name in SCORED)


def test_rows_without_a_target_are_prepared_with_zeros() -> None:
    features = dataclasses.replace(spec("linear", "number").features, label=None)  # type: ignore[type-var]
    rows = {name: cells for name, cells in table(20).items() if name != "price"}
    inputs, labels = design_matrix(features, declared_moments(features), rows)
    encoded, private = encode_rows(features, declared_moments(features), rows)
    assert np.array_equal(labels, np.zeros(20))
    assert np.array_equal(private, labels)
    assert np.array_equal(encoded[np.arange(20)], inputs)
