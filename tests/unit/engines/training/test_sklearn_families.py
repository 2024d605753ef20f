"""scikit-learn at the parties: what it computes, what it carries, and what a spec may ask of it."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import federate, federate_masked, private, shares, table
from unit.engines.training.sklearn_world import SUMMING, TRAINING, all_rows, job_of

from secureflow.adapters.frameworks import SklearnRunner, runner_of
from secureflow.adapters.frameworks.sklearn_runner import read_state
from secureflow.agent.kinds.training.kind import TRAINING_AGENT
from secureflow.application.jobs.training import _notes
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import encode_rows, moments
from secureflow.engines.training.export import ModelFile, feature_names, model_card
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.models import initial_state, model_family
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor
from tests.full import thinned

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="needs the extra sklearn"
)
TRAINED = pytest.mark.parametrize(("family", "target"), TRAINING)
FEW_TRAINED = pytest.mark.parametrize(("family", "target"), thinned(TRAINING, 2, pytest.mark.full))
EVERY = pytest.mark.parametrize(("family", "target"), [*SUMMING, *TRAINING])
FEW = pytest.mark.parametrize(
    ("family", "target"), thinned([*SUMMING, *TRAINING], 2, pytest.mark.full)
)
FILES = ("update", "after")


def once(
    job: TrainingSpec,
    folder: Path,
    before: Path | None,
    runner: Any = None,
    model: np.ndarray | None = None,
    seed: bytes = b"\x07" * 32,
) -> tuple[bytes, bytes]:
    """Train one party once, with files of state; return the update and the state after it."""
    (initial_state(job) if model is None else model).tofile(folder / "model")
    runner = runner or runner_of(job, shares()[2])
    runner.train(folder / "model", folder / "update", None, seed, (before, folder / "after"))
    return (folder / "update").read_bytes(), (folder / "after").read_bytes()


@needs_sklearn
@FEW_TRAINED
@pytest.mark.parametrize("protection", [pytest.param("sealed", marks=pytest.mark.full), "secagg"])
def test_every_family_learns(family: str, target: str, protection: str, tmp_path: Path) -> None:
    rate = {} if family.startswith("mlp") else {"learning_rate": 0.5}
    job = job_of(family, target, protection=protection, plan={"rounds": 12, **rate})
    run = federate if protection == "sealed" else federate_masked
    _, sums = run(job, shares(), tmp_path)
    told = summarise(job, sums)
    assert told["r2"] > 0.85 if target == "number" else told["accuracy"] > 0.75


@needs_sklearn
@FEW
def test_the_file_predicts_as_the_agents_and_as_the_estimator(
    family: str, target: str, tmp_path: Path
) -> None:
    job = job_of(family, target)
    state, _ = federate(job, shares(), tmp_path)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    model = Predictor(ModelFile.from_bytes(ModelFile(card, state).to_bytes()))
    rows = table(80, seed=9)
    frame = pytest.importorskip("pandas").DataFrame(rows)
    inputs, mine = model.inputs(rows), model.predict(frame)
    own = model_family(job)
    assert model.outputs(frame).tobytes() == own.outputs(state, inputs).tobytes()
    estimator = model.to_sklearn()
    theirs = estimator.predict(inputs)
    if not family.startswith("multinomial"):
        assert estimator.feature_names == feature_names(model.features)
    if target == "number":
        assert np.allclose(theirs, mine, atol=1e-4)
        return
    assert np.array_equal(theirs.astype(mine.dtype), mine)
    if target == "none":
        assert set(mine) <= {0, 1, 2}
        with pytest.raises(SecureFlowError) as caught:
            model.predict_proba(rows)
        assert caught.value.code == "no_probabilities"
        return
    assert np.allclose(estimator.predict_proba(inputs), model.predict_proba(rows), atol=1e-5)
    told = summarise(job, [1.0, *own.metric_sums(job, state, inputs, model.targets(rows))])
    right = rows["kind"] if target == "classes" else (rows["y"] == "yes").astype(int)
    assert told["accuracy"] == pytest.approx(float((mine == right).mean()), abs=1e-6)


@needs_sklearn
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber"])
def test_scores_without_a_probability_have_none(loss: str, tmp_path: Path) -> None:
    job = job_of("sgd_classifier", "classes", model={"loss": loss})
    state, _ = federate(job, shares(), tmp_path)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    model, rows = Predictor(ModelFile(card, state)), table(60, seed=9)
    theirs = model.to_sklearn().predict(model.inputs(rows))
    assert np.array_equal(model.predict(rows), theirs)
    with pytest.raises(SecureFlowError) as caught:
        model.predict_proba(rows)
    assert caught.value.code == "no_probabilities"


@needs_sklearn
@pytest.mark.parametrize("family", ["sgd_classifier", "mlp_classifier", "gaussian_nb"])
def test_two_listed_classes_are_a_binary_estimator(family: str, tmp_path: Path) -> None:
    label = {"features": {"label": {"column": "y", "classes": ["yes", "no"]}}}
    job = job_of(family, "classes", **label)
    state, _ = federate(job, shares(), tmp_path)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    model, rows = Predictor(ModelFile(card, state)), table(60, seed=9)
    estimator, inputs = model.to_sklearn(), model.inputs(rows)
    assert np.array_equal(estimator.predict(inputs), model.predict(rows))
    assert np.allclose(estimator.predict_proba(inputs), model.predict_proba(rows), atol=1e-5)
    assert float(np.mean(model.predict(rows) == rows["y"])) > 0.75


@needs_sklearn
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_each_activation_is_scikit_learns(activation: str, tmp_path: Path) -> None:
    model = {"activation": activation, "hidden": [5, 4]}
    job = job_of("mlp_regressor", "number", model=model)
    state, _ = federate(job, shares(), tmp_path)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    found, rows = Predictor(ModelFile(card, state)), table(60, seed=9)
    theirs = found.to_sklearn().predict(found.inputs(rows))
    assert np.allclose(theirs, found.predict(rows), atol=1e-4)


@needs_sklearn
@pytest.mark.parametrize("schedule", ["constant", "optimal", "invscaling"])
def test_one_party_of_sgd_is_partial_fit_itself(schedule: str, tmp_path: Path) -> None:
    """Three rounds of one pass each: with `t_` carried, three calls on one estimator."""
    from sklearn.linear_model import SGDRegressor

    model = {"schedule": schedule, "alpha": 0.01}
    job = job_of("sgd_regressor", "number", model=model, plan={"validation": 0.0})
    rows = {name: cells[:1] for name, cells in table(40).items()}  # one row: no order to draw
    runner = SklearnRunner(job, rows)
    theirs = SGDRegressor(alpha=0.01, learning_rate=schedule, eta0=0.1)
    inputs, labels = encoded(job, rows)
    state, path = initial_state(job), tmp_path / "model"
    for _ in range(3):
        state.tofile(path)
        runner.train(path, tmp_path / "update", None, bytes(32))
        state = state + np.fromfile(tmp_path / "update", "<f4")
        theirs.partial_fit(inputs.astype(np.float64), labels.astype(np.float64))
    assert np.allclose(state, [*theirs.coef_, *theirs.intercept_], atol=1e-6)


def encoded(job: TrainingSpec, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    assert job.features is not None
    found, labels = encode_rows(job.features, moments.declared_moments(job.features), rows)
    return found[np.arange(len(found))], labels


@needs_sklearn
@pytest.mark.parametrize(
    "model",
    [{"solver": "adam"}, {"solver": "sgd"}, {"solver": "sgd", "schedule": "invscaling"},
     {"solver": "sgd", "nesterovs_momentum": False}],
    ids=str,
)  # fmt: skip
def test_one_party_of_a_network_is_partial_fit_itself(
    model: dict[str, Any], tmp_path: Path
) -> None:
    """Moments, momentum, steps and the rate go on where the last round left them."""
    from secureflow.adapters.frameworks.sklearn_trainers import mlp_estimator

    job = job_of("mlp_regressor", "number", model=model, plan={"validation": 0.0, "batch_size": 4})
    rows = {name: cells[:1] for name, cells in table(40).items()}
    inputs, labels = encoded(job, rows)
    theirs = mlp_estimator(job.model, 0.01, 1)  # type: ignore[arg-type]
    theirs.partial_fit(inputs, labels)
    theirs = mlp_estimator(job.model, 0.01, 1)  # type: ignore[arg-type]
    state, path, before = initial_state(job), tmp_path / "model", None
    theirs.set_params(random_state=0).partial_fit(np.zeros_like(inputs), np.zeros_like(labels))
    put(theirs, job, state)
    for number in range(4):
        state.tofile(path)
        after = tmp_path / f"state {number}"
        # A new process each round: everything that goes on is in the file.
        runner = SklearnRunner(job, rows)
        runner.train(path, tmp_path / "update", None, bytes(32), (before, after))
        state, before = state + np.fromfile(tmp_path / "update", "<f4"), after
        theirs.partial_fit(inputs, labels)
    mine = SklearnRunner(job, rows)._fitting._trainer.weights(theirs)
    from secureflow.engines.training.tensors import flat

    assert np.allclose(state, flat(job.tensors, mine), atol=1e-6)


def put(estimator: Any, job: TrainingSpec, state: np.ndarray) -> None:
    from secureflow.adapters.frameworks.sklearn_trainers import trainer_of
    from secureflow.engines.training.tensors import named

    trainer_of(job).place(estimator, named(job.tensors, state), {})


@needs_sklearn
@TRAINED
def test_a_party_goes_on_from_its_state_and_from_nothing_else(
    family: str, target: str, tmp_path: Path
) -> None:
    job = job_of(family, target, **({} if family[0] == "m" else {"model": {"power_t": 0.5}}))
    first = once(job, tmp_path, None)
    assert once(job, tmp_path, None) == first  # the seed decides all
    kept = tmp_path / "kept"
    kept.write_bytes(first[1])
    assert set(read_state(kept)) >= ({"t"} if family.startswith("sgd") else {"rows", "steps"})
    second = once(job, tmp_path, kept)
    runner = runner_of(job, shares()[2])
    assert once(job, tmp_path, None, runner) == first
    assert once(job, tmp_path, kept, runner) == second  # a worker that lived, or a new one
    assert second[0] != first[0]  # the optimiser went on
    assert once(job, tmp_path, None, runner) == first  # what it holds in memory does not count
    assert once(job, tmp_path, None, seed=bytes(32))[0] != first[0]
    kept.write_bytes(b"\x00" * 9)
    with pytest.raises(SecureFlowError) as caught:
        once(job, tmp_path, kept)
    assert caught.value.code == "state_unreadable"


@needs_sklearn
@TRAINED
def test_weights_count_rows_and_zero_is_no_row(family: str, target: str, tmp_path: Path) -> None:
    weight = {"features": {"weight": {"column": "count", "bounds": [0, 2]}}}
    job = job_of(family, target, plan={"validation": 0.0, "batch_size": 8}, **weight)
    rows = {name: cells[:60] for name, cells in table().items()}
    none = {**rows, "count": np.zeros(60)}
    changes = []
    for some in (rows, {**rows, "count": np.ones(60)}, none):
        initial_state(job).tofile(tmp_path / "model")
        SklearnRunner(job, some).train(tmp_path / "model", tmp_path / "update", None, bytes(32))
        changes.append(np.fromfile(tmp_path / "update", "<f4"))
    weighted, plain, nothing = changes
    assert not np.allclose(weighted, plain, atol=1e-6)
    assert not nothing.any()
    assert np.isfinite(weighted).all()


@needs_sklearn
@pytest.mark.parametrize("family", ["sgd_classifier", "mlp_classifier"])
def test_class_weights_move_the_model(family: str, tmp_path: Path) -> None:
    plain = job_of(family, "classes")
    heavy = job_of(family, "classes", model={"class_weights": [1.0, 1.0, 50.0]})
    found = []
    for job in (plain, heavy):
        state, _ = federate(job, shares(), tmp_path)
        outputs = model_family(job).outputs(state, all_rows(job)[0])
        found.append(float((outputs.argmax(axis=1) == 2).mean()))
    assert found[1] > found[0] + 0.05


@needs_sklearn
@pytest.mark.parametrize(("family", "target"), [one for one in TRAINING if one[0][0] == "m"])
def test_a_diverging_training_is_an_error_and_no_nan_leaves(
    family: str, target: str, tmp_path: Path
) -> None:
    """Of its linear models scikit-learn bounds the gradients itself."""
    model = {"solver": "sgd", "activation": "identity"}
    plan = {"learning_rate": 100.0, "local_epochs": 1000}
    job = job_of(family, target, model=model, plan=plan)
    with pytest.raises(SecureFlowError) as caught:
        once(job, tmp_path, None)
    assert caught.value.code == "training_diverged"


@needs_sklearn
@TRAINED
@pytest.mark.parametrize("noise", ["enclave", "shared"])
def test_a_whole_party_is_hidden_by_the_agent_outside_of_the_trainer(
    family: str, target: str, noise: str, tmp_path: Path
) -> None:
    unit = {"unit": "party", "mechanism": "central", "party_unit_acknowledged": True}
    more = private(noise, **unit, metrics_noise=None)
    job = job_of(family, target, **more, plan={"rounds": 2, "validation": 0.0})
    run = federate if noise == "enclave" else federate_masked
    state, _ = run(job, shares(), tmp_path)
    assert np.isfinite(state).all()
    assert state.any()


@TRAINED
@pytest.mark.parametrize("noise", ["enclave", "shared", "local"])
def test_record_level_privacy_is_refused_with_the_reason(
    family: str, target: str, noise: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        job_of(family, target, **private(noise))
    assert caught.value.details == {"field": "privacy.unit"}
    assert "scikit-learn" in caught.value.message
    assert "softmax" in caught.value.hint


@EVERY
def test_a_spec_is_read_as_it_was_written(family: str, target: str) -> None:
    job = job_of(family, target)
    written = dump(job)
    assert parse(TrainingSpec, written) == job
    assert "l2" not in written["model"]
    assert "class_weights" not in written["model"]
    for wrong in ({"l2": 1.0}, {"family": family + "s"}, {"hidden": [0]}, {"clusters": 0}):
        with pytest.raises(SecureFlowError):
            parse(TrainingSpec, {**written, "model": {**written["model"], **wrong}})


@TRAINED
def test_an_agent_without_the_extra_refuses_before_it_asks_anybody(
    family: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(family, target)
    nothing = DatasetConfig("d", "/nowhere", "csv", ())
    find = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "sklearn" else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    for step in (lambda: TRAINING_AGENT.check_columns(job, nothing), lambda: runner_of(job, {})):
        with pytest.raises(SecureFlowError) as caught:
            step()
        assert caught.value.code == "missing_extra"
        assert caught.value.details == {"extra": "sklearn"}
        assert "secureflow[sklearn]" in caught.value.hint
    assert [note for note in _notes(job, {}) if "extra sklearn" in note]
    plain = job_of("gaussian_nb", "binary")
    assert not [note for note in _notes(plain, {}) if "extra sklearn" in note]


@EVERY
def test_whoever_predicts_needs_no_scikit_learn(
    family: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "sklearn":
            monkeypatch.setitem(sys.modules, name, None)
    job = job_of(family, target)
    card = model_card(job, initial_state(job), moments=None, metrics={}, created=1)
    model = Predictor(ModelFile(card, initial_state(job)))
    assert len(model.predict(table(5))) == 5
    with pytest.raises(SecureFlowError) as caught:
        model.to_sklearn()
    assert caught.value.code == "missing_extra"


def test_hidden_layers_are_drawn_alike_everywhere() -> None:
    one, other = job_of("mlp_classifier", "classes"), job_of("mlp_regressor", "number")
    assert initial_state(one).any()
    assert initial_state(one).tobytes() == initial_state(one).tobytes()
    assert initial_state(other)[:40].tobytes() == initial_state(one)[:40].tobytes()
    later = dataclasses.replace(one, plan=dataclasses.replace(one.plan, seed=9))
    assert initial_state(later).tobytes() != initial_state(one).tobytes()


def test_the_sdk_asks_for_a_job_without_a_label() -> None:
    from secureflow.domain.schemas import ColumnConfig
    from secureflow.sdk import common_features

    column = ColumnConfig("age", "number", bounds=(0.0, 90.0))

    class Told:
        columns = (column,)

    features = common_features([Told(), Told()], None, bounded=True)  # type: ignore[list-item]
    assert features.label is None
    assert [one.scale for one in features.numeric] == ["bounds"]
