"""A released model predicts what the agents compute, in the SDK and in scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import LEARNERS, federate, shares, spec, table

from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.training import NumberLabel, TrainingSpec
from secureflow.engines.training.export import (
    ModelFile,
    feature_names,
    model_card,
    uploaded_weights,
)
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.models import model_family
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor

pytest.importorskip("sklearn", reason="needs the extra sklearn")
CASES = pytest.mark.parametrize(("family", "target"), LEARNERS)


def trained(job: TrainingSpec, folder: Path) -> Predictor:
    state, _ = federate(job, shares(), folder)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    (folder / "model.safetensors").write_bytes(ModelFile(card, state).to_bytes())
    return Predictor.load(folder / "model.safetensors")


@CASES
def test_predictions_are_what_the_agents_measure(family: str, target: str, tmp_path: Path) -> None:
    job = spec(family, target)
    model = trained(job, tmp_path)
    rows = table(80, seed=9)
    outputs, targets = model.outputs(rows), model.targets(rows)
    own = model_family(job)
    sums = own.metric_sums(job, model.parameters, model.inputs(rows), targets)
    told = summarise(job, [1.0, *sums])
    predicted = model.predict(rows)
    if target == "number":
        error = float(((predicted - rows["price"]) ** 2).mean())
        assert told["mse"] == pytest.approx(error, rel=1e-5)
        with pytest.raises(SecureFlowError) as caught:
            model.predict_proba(rows)
        assert caught.value.code == "no_probabilities"
        return
    if target == "binary":
        hits = (predicted == 1) == (rows["y"] == "yes")
        assert np.allclose(model.log_odds(rows), outputs[:, 0])
    else:
        hits = predicted == rows["kind"]
        assert set(predicted) <= {"a", "b", "c"}
    assert told["accuracy"] == pytest.approx(float(np.mean(hits)), abs=1e-6)
    shares_of = model.predict_proba(rows)
    assert shares_of.shape == (80, 3 if target == "classes" else 2)
    assert np.allclose(shares_of.sum(axis=1), 1.0, atol=1e-5)


@CASES
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_scikit_learn_opens_the_model_and_predicts_the_same(
    family: str, target: str, activation: str, tmp_path: Path
) -> None:
    if family != "mlp" and activation == "tanh":
        pytest.skip("it has no hidden layer")
    more = {"model": {"activation": activation, "hidden": [5, 4]}} if family == "mlp" else {}
    model = trained(spec(family, target, **more), tmp_path)
    estimator = model.to_sklearn()
    rows = table(60, seed=9)
    inputs, mine = model.inputs(rows), model.predict(rows)
    theirs = estimator.predict(inputs)
    assert estimator.feature_names == feature_names(model.features)
    assert estimator.n_features_in_ == inputs.shape[1]
    if target == "number":
        assert np.allclose(theirs, mine, atol=1e-3)
        return
    assert np.array_equal(theirs.astype(mine.dtype), mine)
    assert np.allclose(estimator.predict_proba(inputs), model.predict_proba(rows), atol=1e-5)


def test_two_listed_classes_are_a_binary_estimator(tmp_path: Path) -> None:
    label = {"column": "y", "classes": ["yes", "no"]}
    for family, more in (("softmax", {}), ("mlp", {"model": {"hidden": [3]}})):
        model = trained(spec(family, "classes", features={"label": label}, **more), tmp_path)
        rows = table(60, seed=9)
        estimator = model.to_sklearn()
        assert np.array_equal(estimator.predict(model.inputs(rows)), model.predict(rows))
        wanted = model.predict_proba(rows)
        assert np.allclose(estimator.predict_proba(model.inputs(rows)), wanted, atol=1e-5)


def test_an_array_of_numbers_is_read_by_the_order_of_the_features(tmp_path: Path) -> None:
    numbers = {
        "numeric": [{"column": n, "bounds": [-1, 1], "scale": "bounds"} for n in ("x1", "x0")]
    }
    job = spec("linear", "number", features={**numbers, "categorical": []})
    model = trained(job, tmp_path)
    rows = table(20)
    array = np.column_stack([rows["x1"], rows["x0"]])
    assert np.array_equal(model.predict(array), model.predict(rows))
    frame = pytest.importorskip("pandas").DataFrame({name: rows[name] for name in ("x0", "x1")})
    assert np.array_equal(model.predict(frame), model.predict(rows))
    with_words = trained(spec("linear", "number"), tmp_path)
    for wrong in (array[:, :1], array.astype(object)):
        with pytest.raises(SecureFlowError) as caught:
            model.predict(wrong)
        assert caught.value.code == "invalid_rows"
    with pytest.raises(SecureFlowError):
        with_words.predict(array)


def test_a_number_is_told_in_the_labels_unit(tmp_path: Path) -> None:
    job = spec("ridge", "number")
    assert job.features is not None
    assert isinstance(job.features.label, NumberLabel)
    model = trained(job, tmp_path)
    errors = model.predict(table()) - table()["price"]
    assert float(np.abs(errors).mean()) < 3.0


@CASES
def test_a_downloaded_model_can_be_uploaded_as_a_start(
    family: str, target: str, tmp_path: Path
) -> None:
    job = spec(family, target)
    model = trained(job, tmp_path)
    tensors, vector = uploaded_weights((tmp_path / "model.safetensors").read_bytes())
    assert vector.tobytes() == model.parameters.tobytes()
    assert layout_digest(tensors) == layout_digest(job.tensors)
    library = pytest.importorskip("safetensors.numpy")
    tensors, vector = uploaded_weights(bytes(library.save(model.tensors())))
    assert vector.tobytes() == model.parameters.tobytes()
    assert layout_digest(tensors) == layout_digest(job.tensors)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"family": "mlp", "hidden": [7]}},
        {"model": {"family": "mlp", "hidden": "7"}},
        {"model": {"family": "mlp"}},
        {"model": 5},
        {"family": "forest", "model": {"family": "forest"}},
        {"features": {"label": {"column": "kind", "classes": ["a", "b"]}}},
        {"features": None},
        {"plan": []},
    ],
)
def test_a_card_that_does_not_fit_its_parameters_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    job = spec("mlp", "classes")
    state, _ = federate(job, shares(), tmp_path)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    data = ModelFile(card, state).to_bytes()
    if changes == {"plan": []}:
        assert ModelFile.from_bytes(data, {**card, **changes}).spec.plan.rounds == 0
        return
    with pytest.raises(SecureFlowError) as caught:
        ModelFile.from_bytes(data, {**card, **changes})
    assert caught.value.code == "invalid_model"
