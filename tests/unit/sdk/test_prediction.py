from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from secureflow.domain.specs import (
    CategoricalFeature,
    Contributor,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingSpec,
)
from secureflow.engines.preparation import design_matrix, moment_sums, moments_from_sums
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.logistic import LogisticRegression, logits
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Model

FEATURES = FeatureSpec(
    Label("income", "high"),
    (NumericFeature("age", (0.0, 100.0)), NumericFeature("hours", (0.0, 80.0), "bounds")),
    (CategoricalFeature("work", ("a", "b"), missing="indicator"),),
)
SPEC = TrainingSpec(
    project="prj_0000000000",
    name="income",
    purpose="credit",
    submitter="ada",
    roster=tuple(Contributor(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
    features=FEATURES,
)
ROWS: list[dict[str, Any]] = [
    {"age": 20, "hours": 40, "work": "a", "income": "low", "other": object()},
    {"age": 65, "hours": None, "work": None, "income": "high"},
    {"age": None, "hours": 60.5, "work": "b", "income": "high"},
    {"age": 44, "hours": 20, "work": "b", "income": "low"},
]
COLUMNS: dict[str, np.ndarray] = {
    "age": np.array([20, 65, np.nan, 44]),
    "hours": np.array([40, np.nan, 60.5, 20]),
    "work": np.array(["a", None, "b", "b"], dtype=object),
    "income": np.array(["low", "high", "high", "low"], dtype=object),
}


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Model, np.ndarray]:
    """A model as a job releases it, and the log-odds that an agent computed with it."""
    sums = moment_sums(FEATURES, COLUMNS)
    X, y = design_matrix(FEATURES, moments_from_sums(FEATURES, sums), COLUMNS)
    family = LogisticRegression()
    parameters = family.train(SPEC, family.initial(SPEC), X, y, b"seed")
    card = model_card(SPEC, parameters, moments=sums.tolist(), metrics={}, created=1)
    path = tmp_path / "income.safetensors"
    path.write_bytes(ModelFile(card, parameters).to_bytes())
    return Model.load(path), logits(parameters, X)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        iter(ROWS),
        COLUMNS,
        {name: [row.get(name) for row in ROWS] for name in ("age", "hours", "work")},
        pa.table({name: [row[name] for row in ROWS] for name in ("work", "age", "hours")}),
        {**COLUMNS, "work": np.array(["a", float("nan"), "b", "b"], dtype=object)},
    ],
    ids=["dicts", "iterator", "columns", "lists", "arrow", "pandas-like"],
)
def test_every_form_of_rows_gives_the_agents_very_numbers(
    trained: tuple[Model, np.ndarray], rows: Any
) -> None:
    model, expected = trained
    assert model.log_odds(rows).tobytes() == expected.tobytes()


def test_probabilities_and_classes(trained: tuple[Model, np.ndarray]) -> None:
    model, expected = trained
    chances = model.predict_proba(ROWS)
    assert chances.shape == (4, 2)
    assert np.allclose(chances[:, 1], 1 / (1 + np.exp(-expected.astype(float))), atol=1e-6)
    assert np.allclose(chances.sum(axis=1), 1)
    assert model.predict(ROWS).tolist() == (expected > 0).astype(int).tolist()
    assert model.predict([]).shape == (0,)
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    theirs = model.to_sklearn().predict_proba(model.inputs(ROWS))
    assert np.allclose(theirs, chances, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "code", "row"),
    [
        ([{"age": 1, "hours": 1}], "missing_column", None),
        ([{"age": 1, "hours": 1, "work": "a"}, {"work": "SECRET"}], "unknown_category", 2),
        ([{"age": "SECRET", "hours": 1, "work": "a"}], "malformed_cell", 1),
        ({"age": [1, 2], "hours": [1], "work": ["a", "b"]}, "malformed_cell", 2),
        ({"age": 1, "hours": 1, "work": "a"}, "invalid_rows", None),
        ([1, 2], "invalid_rows", None),
    ],
)
def test_rows_that_do_not_fit_are_named(
    trained: tuple[Model, np.ndarray], rows: Any, code: str, row: int | None
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        trained[0].predict(rows)
    assert (caught.value.code, caught.value.details.get("row")) == (code, row)
    assert "SECRET" not in str(caught.value.as_json())


def test_a_rehearsal_predicts_nothing() -> None:
    with pytest.raises(SecureFlowError, match="predicts nothing"):
        Model(ModelFile({"family": "rehearsal"}, np.zeros(1, np.float32)))
