"""Predictions beside their rows: a table of the kind that came in, with index, ids and types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from unit.engines.training.family_world import spec, table

from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor

pandas = pytest.importorskip("pandas", reason="pandas is not installed")


def predictor(family: str, target: str, **more: Any) -> Predictor:
    job = spec(family, target, **more)
    state = initial_parameters(job)
    state = np.linspace(-1, 1, len(state), dtype=np.float32)
    return Predictor(ModelFile(model_card(job, state, moments=None, metrics={}, created=1), state))


class Streaming:
    """A table of another library: all that is known of it is Arrow's PyCapsule interface."""

    columns = ("no", "list", "of", "ours")

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def frame() -> Any:
    some = {name: held[:6] for name, held in table(6).items()}
    made = pandas.DataFrame(some, index=pandas.Index(list("uvwxyz"), name="key"))
    made["id"] = pandas.array([1, None, 2**60 + 1, 4, 5, 6], dtype="Int64")
    return made


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_a_frame_keeps_its_index_and_the_types_of_its_ids(backend: Any) -> None:
    model, rows = predictor("softmax", "classes"), frame().convert_dtypes(dtype_backend=backend)
    found = model.predict_frame(rows, ids=["id", "word"])
    assert list(found.columns) == ["id", "word", "predicted", "P(kind=a)", "P(kind=b)", "P(kind=c)"]
    assert found.index.equals(rows.index)
    assert (found.dtypes["id"], found.dtypes["word"]) == (rows.dtypes["id"], rows.dtypes["word"])
    assert found["id"].tolist()[2] == 2**60 + 1
    assert found["predicted"].tolist() == model.predict(rows).tolist()
    chances = found[[f"P(kind={one})" for one in "abc"]].to_numpy()
    assert chances.tobytes() == model.predict_proba(rows).tobytes()


def test_every_target_has_its_columns_and_types() -> None:
    rows = pa.Table.from_pandas(frame())
    binary = predictor("logistic_regression", "binary").predict_frame(rows, "id")
    assert binary.schema.field("predicted").type == pa.bool_()
    assert binary.column_names == ["id", "predicted", "P(y=yes)"]
    assert binary.schema.field("id").type == pa.int64()
    number = predictor("linear", "number").predict_frame(rows)
    assert (number.column_names, number.schema.types) == (["predicted"], [pa.float64()])
    hinge = predictor("sgd_classifier", "classes", model={"loss": "hinge"}).predict_frame(rows)
    assert (hinge.column_names, hinge.schema.types) == (["predicted"], [pa.string()])
    assert hinge["predicted"].to_pylist()[0] in {"a", "b", "c"}


def test_dicts_columns_and_arrays_give_arrow_tables() -> None:
    model = predictor("logistic_regression", "binary")
    dicts = frame().to_dict("records")
    for one in dicts:
        one["id"] = None if one["id"] is pandas.NA else one["id"]
    columns = {name: [row[name] for row in dicts] for name in dicts[0]}
    expected = model.predict_proba(dicts)[:, 1].tolist()
    arrow = pa.Table.from_pylist(dicts)
    kinds = (dicts, iter(dicts), columns, arrow, arrow.to_batches()[0], Streaming(arrow))
    for rows in kinds:
        found = model.predict_frame(rows, ids=("id",))
        assert isinstance(found, pa.Table)
        assert found["id"].to_pylist() == columns["id"]
        assert found["P(y=yes)"].to_pylist() == expected
    odd = [{**row, "other": object()} for row in dicts]
    assert model.predict_frame(odd, ids="id").num_columns == 3
    numbers = predictor("logistic_regression", "binary", features={"categorical": []})
    array = np.linspace(-1, 1, 8).reshape(4, 2)
    assert numbers.predict_frame(array, ids="x1")["x1"].to_pylist() == array[:, 1].tolist()
    every = model.predict_frame(dicts, keep_all=True)
    assert every.column_names == [*columns, "predicted", "P(y=yes)"]


def test_ids_that_cannot_be_passed_through_are_refused() -> None:
    model, rows = predictor("logistic_regression", "binary"), frame()
    twice = pandas.concat([rows, rows[["id"]]], axis=1)
    called = rows.assign(predicted=1)
    mixed = [{"x0": 0, "x1": 0, "word": "l", "id": 1}, {"x0": 0, "x1": 0, "word": "l", "id": "a"}]
    for given, ids, code in (
        (rows, "nr", "missing_column"),
        (twice, "id", "invalid_rows"),
        (called, "predicted", "invalid_rows"),
        (mixed, "id", "invalid_rows"),
    ):
        with pytest.raises(SecureFlowError) as caught:
            model.predict_frame(given, ids)
        assert caught.value.code == code
        assert ids in caught.value.message
