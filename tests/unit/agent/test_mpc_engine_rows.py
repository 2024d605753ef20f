"""The worker's part of engines' programs: what is brought, and what comes of what they say."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unit.engines.mpc.engine_world import computed

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.mpc_engine_rows import EngineRows
from secureflow.agent.compute.ownprogram_rows import write_csv
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.kit.errors import SecureFlowError

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
SIDES = [
    {"party": "bank-a", "columns": ["x", "y"]}, {"party": "bank-b", "columns": ["w"]},
    {"party": "bank-c", "columns": ["z"]},
]  # fmt: skip
LOGISTIC = {"name": "logistic", "model": "bank-b"}


def spec_of(name: str, **more: Any) -> MpcSpec:
    sides = SIDES if name in {"logistic", "correlation"} else [
        {"party": one["party"], "columns": ["x"]} for one in ROSTER
    ]  # fmt: skip
    computation = {**LOGISTIC, **more} if name == "logistic" else {"name": name, **more}
    return computed(ROSTER, computation=computation, sides=sides)


def rows_of(spec: MpcSpec, tmp_path: Path, **columns: Any) -> EngineRows:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(columns), path)
    declared = tuple(ColumnConfig(name, "number") for name in columns)
    return EngineRows(spec, DatasetConfig("d", str(path), "parquet", declared), SourceLimits())


def written(tmp_path: Path) -> Path:
    path = tmp_path / "update"
    path.write_bytes(b"of an earlier attempt, and longer than what follows" * 99)
    return path


def result(spec: MpcSpec, tmp_path: Path, **outputs: Any) -> dict[str, list[Any]]:
    folder = tmp_path / "outputs"
    folder.mkdir(exist_ok=True)
    for name, array in outputs.items():
        np.save(folder / f"{name}.npy", array)
    path = written(tmp_path)
    (lines,) = EngineRows(spec, None, SourceLimits()).write_result("bank-a", folder, path)
    table = pq.read_table(path)
    assert table.num_rows == lines
    found: dict[str, list[Any]] = table.to_pydict()
    return found


def test_what_is_brought_has_the_shape_that_the_program_takes(tmp_path: Path) -> None:
    path = written(tmp_path)
    rows = rows_of(spec_of("correlation"), tmp_path, x=[1.0, 2.5], y=[3, 4])
    assert rows.write_input("bank-a", path).tolist() == [2, 2]
    assert np.load(path, allow_pickle=False).tolist() == [[1.0, 3.0], [2.5, 4.0]]
    rows = rows_of(spec_of("logistic"), tmp_path, w=[0.5, -1.0, 2.0, 0.1])
    assert rows.write_input("bank-b", path).tolist() == [4, 1]
    assert np.load(path, allow_pickle=False).shape == (4,)
    rows = rows_of(spec_of("ranking"), tmp_path, x=[7])
    rows.write_input("bank-c", path)
    assert np.load(path, allow_pickle=False).tolist() == [7.0]


def test_an_empty_cell_is_refused_by_its_column(tmp_path: Path) -> None:
    rows = rows_of(spec_of("ranking"), tmp_path, x=[1.0, None])
    with pytest.raises(SecureFlowError, match="Column 'x' has empty cells"):
        rows.write_input("bank-a", written(tmp_path))


def test_results_name_parties_and_columns(tmp_path: Path) -> None:
    ranks = np.array([[1, 3], [2, 2], [3, 1]])
    assert result(spec_of("ranking"), tmp_path, ranks=ranks) == {
        "measure": [1, 2], "bank-a": [1, 3], "bank-b": [2, 2], "bank-c": [3, 1],
    }  # fmt: skip
    bids = {"winner": np.array([2, 0]), "price": np.array([500, 70])}
    assert result(spec_of("sealed-bid"), tmp_path, **bids) == {
        "lot": [1, 2], "winner": ["bank-c", "bank-a"], "price": [500, 70],
    }  # fmt: skip
    matrix = np.array([[1, 0.5, 0, 0.1], [0.5, 1, 0.2, 0.3], [0, 0.2, 1, 0.4], [0.1, 0.3, 0.4, 1]])
    found = result(spec_of("correlation"), tmp_path, correlation=matrix)
    assert len(found["correlation"]) == 10
    at = found["other_column"].index("w")
    assert (found["party"][at], found["column"][at], found["correlation"][at]) == ("bank-a", "x", 0)
    chances = {"probability": np.array([0.25, 1.0])}
    assert result(spec_of("logistic"), tmp_path, **chances)["row"] == [1, 2]
    classes = {"class": np.array([0, 1])}
    assert result(spec_of("logistic", output="class"), tmp_path, **classes)["class"] == [0, 1]


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("ranking", {}),
        ("ranking", {"ranks": np.array([1, 2, 3])}),
        ("ranking", {"ranks": np.array([[1], [2]])}),
        ("ranking", {"ranks": np.array([[1], [2], [4]])}),
        ("ranking", {"ranks": np.array([[1.0], [2.0], [3.0]])}),
        ("ranking", {"ranks": np.array([[None], [1], [2]], object)}),
        ("sealed-bid", {"winner": np.array([3]), "price": np.array([5])}),
        ("sealed-bid", {"winner": np.array([1]), "price": np.array([5, 6])}),
        ("correlation", {"correlation": np.eye(3)}),
        ("correlation", {"correlation": np.full((4, 4), 1.5)}),
        ("correlation", {"correlation": np.full((4, 4), np.nan)}),
        ("logistic", {"probability": np.array([1.5])}),
        ("logistic", {"probability": np.array([np.nan])}),
        ("logistic", {"class": np.array([1])}),
    ],
)
def test_what_no_program_gives_is_refused(
    tmp_path: Path, name: str, outputs: dict[str, Any]
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        result(spec_of(name), tmp_path, **outputs)
    assert caught.value.code == "engine_output_refused"


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    (folder / "ranks.npy").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(SecureFlowError, match="not what the program gives"):
        EngineRows(spec_of("ranking"), None, SourceLimits()).write_result(
            "bank-a", folder, written(tmp_path)
        )


def test_a_row_of_csv_is_one_row_whatever_its_cells_hold() -> None:
    texts = ["plain", "a\rb", "c\r\nd", "e\nf", 'g"h', "i,j", "", "\r"]
    for columns in ({"text": texts}, {"text": texts, "number": [1.0, *[0.5] * 7]}):
        file = io.BytesIO()
        write_csv({name: np.array(one, object) for name, one in columns.items()}, file)
        read = list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))
        assert [row["text"] for row in read] == texts
