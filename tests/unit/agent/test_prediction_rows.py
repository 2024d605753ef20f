"""The worker's half of a prediction on real files: which rows, which columns, which bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from unit.engines.prediction.world import FEATURES, MODEL, specified

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.worker import Worker
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
ROWS = 300
ALL = ["predicted", "probability", "score"]
WORDS = {
    **FEATURES,
    "categorical": [{"column": "work", "categories": ["x", "y"], "missing": "indicator"}],
}
CLASSES = {**WORDS, "label": {"column": "income", "classes": ["low", "mid", "high"]}}
NUMBER = {**WORDS, "label": {"column": "income", "bounds": [0, 50]}}
FORMS: dict[str, dict[str, Any]] = {
    "binary": {"features": WORDS, "model": {"family": "logistic_regression"}},
    "mlp": {"features": WORDS, "model": {"family": "mlp", "hidden": [5]}},
    "classes": {"features": CLASSES, "model": {"family": "softmax"}},
    "number": {"features": NUMBER, "model": {"family": "linear"}},
    "clusters": {
        "features": {**FEATURES, "label": None},
        "model": {"family": "kmeans", "clusters": 3},
    },
    "margin": {"features": WORDS, "model": {"family": "sgd_classifier", "loss": "hinge"}},
}


@pytest.fixture
def rows() -> dict[str, list[Any]]:
    draw = np.random.default_rng(3)
    ages = [float(one) for one in draw.integers(-5, 106, ROWS)]
    work = [str(one) for one in draw.choice(["x", "y", ""], ROWS)]
    return {"age": ages, "work": work, "id": [f"{at:04}" for at in range(ROWS)]}


@pytest.fixture
def dataset(tmp_path: Path, rows: dict[str, list[Any]]) -> DatasetConfig:
    """A dataset without the label: nobody knows it yet."""
    lines = [",".join(map(str, one)) for one in zip(*rows.values(), strict=True)]
    (tmp_path / "people.csv").write_text("\n".join(["age,work,id", *lines]) + "\n")
    columns = (
        ColumnConfig("age", "number", bounds=(-10.0, 110.0)),
        ColumnConfig("work", "category", categories=("x", "y")),
        ColumnConfig("id", "text"),
    )
    return DatasetConfig("people", str(tmp_path / "people.csv"), "csv", columns)


def written(
    dataset: DatasetConfig, spec: PredictionSpec, folder: Path, name: str = "out"
) -> tuple[list[float], Path]:
    """Have a fresh worker write the file; return its counts and the file."""
    parameters = np.random.default_rng(7).normal(size=spec.model.bytes // 4).astype("<f4")
    (folder / "model").write_bytes(parameters.tobytes())
    worker = Worker(SourceLimits())
    worker.prepare("job_1", dump(spec), dump(dataset), "00" * 32)
    asked = {"model": str(folder / "model"), "result": str(folder / name)}
    return worker.compute("predict", "job_1", **asked)["sums"], folder / name


def predictor(spec: PredictionSpec, folder: Path) -> Predictor:
    """The same model as everybody downloads it."""
    weights = np.fromfile(folder / "model", "<f4")
    card = model_card(spec.model.trained, weights, moments=None, metrics={}, created=1)
    return Predictor(ModelFile(card, weights))


@pytest.mark.parametrize("form", sorted(FORMS))
def test_scores_are_those_of_the_sdk_bit_for_bit(
    dataset: DatasetConfig, rows: dict[str, list[Any]], tmp_path: Path, form: str
) -> None:
    outputs = {"number": ["predicted", "score"], "margin": ["predicted", "score"],
               "clusters": ["predicted"]}.get(form, ALL)  # fmt: skip
    spec = specified(ROSTER, model={**MODEL, **FORMS[form]}, outputs=outputs, columns=["id"])
    counts, path = written(dataset, spec, tmp_path)
    assert counts == [ROWS, 0]
    found = pq.read_table(path)
    assert found.column_names == ["row", "id", *spec.titles]
    assert found["row"].to_pylist() == list(range(1, ROWS + 1))
    assert found["id"].to_pylist() == rows["id"]
    model = predictor(spec, tmp_path)
    given = {"age": rows["age"], "work": [one or None for one in rows["work"]]}
    expected = model.predict_frame(given)
    for name in expected.column_names:
        assert found[name].equals(expected[name]), name
    titles = [one for one in spec.titles if one.startswith("score")]
    assert bool(titles) == ("score" in outputs)
    if titles:
        scores = np.stack([found[one].to_numpy() for one in titles], 1)
        assert np.array_equal(scores, model.outputs(given))


def test_the_bytes_are_the_same_in_another_process_and_say_what_they_are(
    dataset: DatasetConfig, tmp_path: Path
) -> None:
    spec = specified(ROSTER, outputs=ALL, columns=["id", "work"])
    _, first = written(dataset, spec, tmp_path)
    _, second = written(dataset, spec, tmp_path, "again")
    assert first.read_bytes() == second.read_bytes()
    about = json.loads(pq.read_schema(first).metadata[b"secureflow"])
    assert about == {"job": "job_1", "model": MODEL["digest"], "spec": spec_digest(spec)}


def test_a_column_of_numbers_stands_beside_the_scores_as_it_is(
    dataset: DatasetConfig, rows: dict[str, list[Any]], tmp_path: Path
) -> None:
    spec = specified(ROSTER, columns=["age", "work"])
    found = pq.read_table(written(dataset, spec, tmp_path)[1])
    assert found["age"].to_pylist() == rows["age"]
    assert found["work"].to_pylist() == [one or None for one in rows["work"]]


def with_gap(dataset: DatasetConfig) -> DatasetConfig:
    """A dataset of which one row has no age."""
    path = Path(dataset.path)
    path.write_text(path.read_text() + ",x,9999\n")
    return dataset


def recipe_spec() -> PredictionSpec:
    """A model whose recipe scales an age, and has nothing for a row without one."""
    fit: dict[str, Any] = {"columns": {}}
    recipe = {
        "job": "job_cccccccccc", "spec": "ef" * 32, "rows": 10, "label": None,
        "columns": [{"column": "age", "type": "number", "bounds": [-10, 110]}],
        "steps": [{"step": "clip", "columns": ["age"], "low": 0, "high": 100}], "fits": [fit],
        "outputs": [{"name": "age", "type": "number"}],
    }  # fmt: skip
    features = {
        "label": FEATURES["label"], "recipe": recipe,
        "numeric": [{"column": "age", "bounds": [0, 100], "scale": "none"}],
    }  # fmt: skip
    return specified(ROSTER, model={**MODEL, "features": features})


def test_a_row_that_fits_no_step_ends_the_job_by_its_column(
    dataset: DatasetConfig, tmp_path: Path
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        written(with_gap(dataset), recipe_spec(), tmp_path)
    assert caught.value.code == "malformed_cell"
    assert caught.value.details == {"column": "age", "row": ROWS + 1}


def test_where_an_owner_demands_privacy_no_row_ends_the_job_and_none_is_left_out(
    dataset: DatasetConfig, tmp_path: Path
) -> None:
    private = replace(dataset, privacy=DatasetPrivacy("people", 5.0, 1e-5))
    counts, path = written(with_gap(private), recipe_spec(), tmp_path)
    assert counts == [ROWS + 1, 1]
    found = pq.read_table(path)["predicted"]
    assert (len(found), found.null_count, found[ROWS].as_py()) == (ROWS + 1, 1, None)
    open_ = pq.read_table(written(dataset_without_gap(dataset), recipe_spec(), tmp_path)[1])
    assert found.slice(0, ROWS).equals(open_["predicted"])


def dataset_without_gap(dataset: DatasetConfig) -> DatasetConfig:
    path = Path(dataset.path)
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    return dataset


@pytest.mark.parametrize("size", [0, 4, 12])
def test_a_model_of_another_size_is_not_computed_with(
    dataset: DatasetConfig, tmp_path: Path, size: int
) -> None:
    spec = specified(ROSTER)
    worker = Worker(SourceLimits())
    worker.prepare("job_1", dump(spec), dump(dataset), "00" * 32)
    (tmp_path / "model").write_bytes(bytes(size))
    asked = {"model": str(tmp_path / "model"), "result": str(tmp_path / "out")}
    with pytest.raises(SecureFlowError, match="its features need 8"):
        worker.compute("predict", "job_1", **asked)
    assert not (tmp_path / "out").exists()
