from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secureflow.adapters.datasources import open_source
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingSpec,
)
from secureflow.engines.preparation import design_matrix, moment_sums, moments_from_sums
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.logistic import LogisticRegression, logits
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor

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
    roster=tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
    features=FEATURES,
)
ROWS: list[dict[str, Any]] = [
    {"age": 20, "hours": 40, "work": "a", "income": "low", "other": object()},
    {"age": 65, "hours": None, "work": None, "income": "high"},
    {"age": None, "hours": 60.5, "work": "b", "income": "high"},
    {"age": 44, "hours": 20, "work": "b", "income": "low"},
]
TABLE = pa.table({name: [row[name] for row in ROWS] for name in ("work", "age", "hours")})
COLUMNS: dict[str, np.ndarray] = {
    "age": np.array([20, 65, np.nan, 44]),
    "hours": np.array([40, np.nan, 60.5, 20]),
    "work": np.array(["a", None, "b", "b"], dtype=object),
    "income": np.array(["low", "high", "high", "low"], dtype=object),
}


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Predictor, np.ndarray]:
    """A model as a job releases it, and the log-odds that an agent computed with it."""
    sums = moment_sums(FEATURES, COLUMNS)
    X, y = design_matrix(FEATURES, moments_from_sums(FEATURES, sums), COLUMNS)
    family = LogisticRegression()
    parameters = family.train(SPEC, initial_parameters(SPEC), X, y, b"seed")
    card = model_card(SPEC, parameters, moments=sums.tolist(), metrics={}, created=1)
    path = tmp_path / "income.safetensors"
    path.write_bytes(ModelFile(card, parameters).to_bytes())
    return Predictor.load(path), logits(parameters, X)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        iter(ROWS),
        COLUMNS,
        {name: [row.get(name) for row in ROWS] for name in ("age", "hours", "work")},
        pa.table({name: [row[name] for row in ROWS] for name in ("work", "age", "hours")}),
        pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches()),
        {**COLUMNS, "work": np.array(["a", float("nan"), "b", "b"], dtype=object)},
    ],
    ids=["dicts", "iterator", "columns", "lists", "arrow", "arrow-stream", "pandas-like"],
)
def test_every_form_of_rows_gives_the_agents_very_numbers(
    trained: tuple[Predictor, np.ndarray], rows: Any
) -> None:
    model, expected = trained
    assert model.log_odds(rows).tobytes() == expected.tobytes()


@pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
def test_every_kind_of_pandas_frame_gives_the_agents_very_numbers(
    trained: tuple[Predictor, np.ndarray], backend: Any
) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame([{name: row.get(name) for name in COLUMNS} for row in ROWS])
    if backend is not None:
        frame = frame.convert_dtypes(dtype_backend=backend)
        assert frame["age"].isna().any()
    model, expected = trained
    assert model.log_odds(frame).tobytes() == expected.tobytes()


CODED = FeatureSpec(
    Label("income", "1"),
    (NumericFeature("age", (0.0, 100.0), "bounds"),),
    (
        CategoricalFeature("branch", ("1", "2", "30"), missing="indicator"),
        CategoricalFeature("member", ("false", "true"), missing="indicator"),
    ),
)


def test_numbers_and_booleans_of_a_category_are_what_the_agent_trained_on(tmp_path: Path) -> None:
    """The file is read by the agent's data source, and the same values predicted in each form."""
    values: dict[str, list[Any]] = {
        "age": [20, 65, 30, 44], "branch": [1, 30, None, 2], "member": [True, False, True, None],
        "income": [1, 0, 0, 1],
    }  # fmt: skip
    pq.write_table(pa.table(values), tmp_path / "coded.parquet")
    declared = (
        ColumnConfig("age", "number", bounds=(0.0, 100.0)),
        ColumnConfig("branch", "category", categories=("1", "2", "30")),
        ColumnConfig("member", "category", categories=("false", "true")),
        ColumnConfig("income", "category", categories=("0", "1")),
    )
    path = str(tmp_path / "coded.parquet")
    read = open_source(DatasetConfig("coded", path, "parquet", declared)).read(CODED.columns)
    moments = moments_from_sums(CODED, moment_sums(CODED, read))
    X, y = design_matrix(CODED, moments, read)
    spec, family = replace(SPEC, features=CODED), LogisticRegression()
    parameters = family.train(spec, initial_parameters(spec), X, y, b"seed")
    card = model_card(spec, parameters, moments=None, metrics={}, created=1)
    model, expected = Predictor(ModelFile(card, parameters)), logits(parameters, X)
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    forms: list[Any] = [values, pa.table(values), rows]
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(values)
    assert frame["branch"].dtype == float  # a whole number beside a missing one
    forms += [
        frame,
        *(frame.convert_dtypes(dtype_backend=b) for b in ("numpy_nullable", "pyarrow")),
    ]
    for form in forms:
        assert model.log_odds(form).tobytes() == expected.tobytes()
    plain = {"age": np.array([20]), "branch": np.array([1]), "member": np.array([True])}
    assert model.log_odds(plain).tobytes() == expected[:1].tobytes()


def test_probabilities_and_classes(trained: tuple[Predictor, np.ndarray]) -> None:
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
    trained: tuple[Predictor, np.ndarray], rows: Any, code: str, row: int | None
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        trained[0].predict(rows)
    assert (caught.value.code, caught.value.details.get("row")) == (code, row)
    assert "SECRET" not in str(caught.value.as_json())


TWO = {"hours": [1, 2], "work": ["a", "b"]}
ODD: dict[str, tuple[Any, str]] = {
    "nothing": (None, "invalid_rows"),
    "a number": (5, "invalid_rows"),
    "an array of no dimension": (np.array(5.0), "invalid_rows"),
    "a matrix as a column": ({**TWO, "age": np.ones((2, 2))}, "invalid_rows"),
    "a column of no dimension": ({**TWO, "age": np.array(5.0)}, "invalid_rows"),
    "pandas' to_dict": ({**TWO, "age": {0: 20, 1: 30}}, "invalid_rows"),
    "a set": ({**TWO, "age": {20, 30}}, "invalid_rows"),
    "bytes": ({**TWO, "age": b"ab"}, "invalid_rows"),
    "complex numbers": ({**TWO, "age": np.array([1j, 2])}, "invalid_rows"),
    "times": ({**TWO, "age": np.array(["2020-01-01", "NaT"], "M8[D]")}, "invalid_rows"),
    "times in a list": ({**TWO, "age": [np.datetime64("2020-01-01"), 1]}, "invalid_rows"),
    "arrays in cells": ({**TWO, "age": [np.array([1, 2]), 3]}, "malformed_cell"),
    "arrays in a category": ({**TWO, "age": [1, 2], "work": [np.ones(2), "b"]}, "unknown_category"),
    "a signalling NaN": ({**TWO, "age": [Decimal("sNaN"), 1]}, "malformed_cell"),
    "beyond every double": ({**TWO, "age": [10**400, 1]}, "malformed_cell"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_rows_are_refused_by_name(trained: tuple[Predictor, np.ndarray], name: str) -> None:
    rows, code = ODD[name]
    with pytest.raises(SecureFlowError) as caught:
        trained[0].predict(rows)
    assert caught.value.code == code


def test_two_columns_of_one_name_are_refused(trained: tuple[Predictor, np.ndarray]) -> None:
    table = pa.table({name: [row[name] for row in ROWS] for name in ("work", "age", "hours")})
    twice: list[Any] = [table.append_column("age", [[1, 2, 3, 4]])]
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(ROWS)
    twice.append(pandas.concat([frame, frame[["age"]]], axis=1))
    twice.append(twice[-1].iloc[:2])  # as many rows as columns of the name
    for rows in twice:
        with pytest.raises(SecureFlowError, match="two columns 'age'"):
            trained[0].predict(rows)


def test_what_a_mask_hides_is_missing(trained: tuple[Predictor, np.ndarray]) -> None:
    model, expected = trained
    age = np.ma.array([20.0, 65.0, 99.0, 44.0], mask=[False, False, True, False])
    assert model.log_odds({**COLUMNS, "age": age}).tobytes() == expected.tobytes()


def test_a_rehearsal_predicts_nothing() -> None:
    with pytest.raises(SecureFlowError, match="cannot predict"):
        Predictor(ModelFile({"family": "rehearsal"}, np.zeros(1, np.float32)))


def test_it_shows_what_it_is(trained: tuple[Predictor, np.ndarray]) -> None:
    assert repr(trained[0]) == "<Predictor 'income': logistic_regression, 6 parameters>"
