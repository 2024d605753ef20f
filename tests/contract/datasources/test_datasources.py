"""One contract for every `DataSource` adapter: the same rows, the same refusals."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.pictures import write_table

from secureflow.adapters.datasources import SourceLimits, dataset_commitment, open_source
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError

COLUMNS = (
    ColumnConfig("age", "number", bounds=(0, 120)),
    ColumnConfig("work", "category", ("private", "state, or church")),
    ColumnConfig("note", "text"),
)
ROWS: dict[str, list[Any]] = {
    "age": [31.5, None, 120.0, 0.0],
    "work": ["private", "state, or church", None, "private"],
    "note": ["plain", "two\nlines", 'a "quote"', "数据"],
    "undeclared": ["x", "y", "z", "w"],
}
Write = Callable[..., DatasetConfig]


@pytest.fixture(params=["csv", "parquet", "images", "arrays"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writes rows in the adapter's format and returns the dataset's declaration."""

    def put(
        rows: dict[str, list[Any]] = ROWS,
        columns: tuple[ColumnConfig, ...] = COLUMNS,
        **changes: Any,
    ) -> DatasetConfig:
        return write_table(tmp_path, request.param, rows, columns, **changes)

    return put


def refusal(config: DatasetConfig, columns: tuple[str, ...] = ("age", "work", "note")) -> Any:
    with pytest.raises(SecureFlowError) as caught:
        open_source(config, SourceLimits(max_bytes=100_000, max_rows=1_000)).read(columns)
    error = caught.value
    assert "SECRET" not in f"{error.as_json()} {error.__cause__!r}"
    return error.code, error.details.get("row"), error.details.get("column")


def changed(column: str, cells: list[Any]) -> dict[str, list[Any]]:
    return {**ROWS, column: cells}


def test_reads_the_declared_columns(write: Write) -> None:
    source = open_source(write())
    assert source.describe().rows == 4
    assert source.describe().columns[:3] == ("age", "work", "note")
    read = source.read(["note", "age", "work"])
    assert list(read) == ["note", "age", "work"]
    assert read["age"].dtype == np.float64
    assert np.array_equal(read["age"], [31.5, np.nan, 120.0, 0.0], equal_nan=True)
    assert read["work"].tolist() == ROWS["work"]
    assert read["note"].tolist() == ROWS["note"]


def test_an_empty_table_has_no_rows(write: Write) -> None:
    empty = {name: pa.array([], pa.string()) for name in ROWS}
    read = open_source(write(empty)).read(["age", "work"])
    assert {name: len(values) for name, values in read.items()} == {"age": 0, "work": 0}


def test_names_row_and_column_of_what_does_not_fit(write: Write) -> None:
    mismatch = "schema_mismatch"
    texts = changed("age", ["1", "2", "SECRET", "SECRET"])
    assert refusal(write(texts)) == (mismatch, 3, "age")
    assert refusal(write(changed("age", [1.0, 120.5, 3.0, 4.0]))) == (mismatch, 2, "age")
    assert refusal(write(changed("age", [1.0, 2.0, 3.0, float("inf")]))) == (mismatch, 4, "age")
    unknown = changed("work", ["private", "SECRET", "private", "SECRET"])
    assert refusal(write(unknown)) == (mismatch, 2, "work")
    lacking = {name: cells for name, cells in ROWS.items() if name != "work"}
    assert refusal(write(lacking)) == (mismatch, None, "work")
    assert refusal(write(), ("undeclared",)) == ("unknown_column", None, "undeclared")


def test_a_cell_that_is_not_read_is_not_judged(write: Write) -> None:
    unknown = write(changed("work", ["private", "unheard of", "private", "private"]))
    assert list(open_source(unknown).read(["age"])) == ["age"]


def test_sizes_are_bounded(write: Write) -> None:
    long = {name: cells * 300 for name, cells in ROWS.items()}
    assert refusal(write(long))[0] == "dataset_too_large"  # 1,200 rows
    with pytest.raises(SecureFlowError, match="bytes"):
        open_source(write(), SourceLimits(max_bytes=20)).read(["age"])


def test_what_is_no_such_file_is_unreadable(write: Write, tmp_path: Path) -> None:
    config = write()
    path = Path(config.path)
    (tmp_path / "file").touch()
    other = tmp_path / "file" if config.is_folder else tmp_path
    assert refusal(dataclasses.replace(config, path=str(other)))[0] == "dataset_unreadable"
    absent = dataclasses.replace(config, path=str(tmp_path / "absent"))
    assert refusal(absent)[0] == "dataset_unreadable"
    if config.is_folder:
        shutil.rmtree(path)
    path.write_bytes(b"")
    assert refusal(config)[0] == "dataset_unreadable"


def test_a_text_is_no_longer_than_declared(write: Write) -> None:
    note = ColumnConfig("note", "text", length=9)
    columns = (*COLUMNS[:2], note)
    assert open_source(write(columns=columns)).describe().rows == 4
    long = write(
        changed("note", ["plain", "two\nlines", "数据数据数据数据数据", "x"]), columns=columns
    )
    assert refusal(long) == ("schema_mismatch", 3, "note")
    tolerant = open_source(long, tolerant=True).read(["note"])["note"]
    assert tolerant.tolist()[2] == "数据数据数据数据数"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_rows_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, headed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk"
    path.write_bytes((b"age,work,note\n" if headed else b"") + junk)
    for kind in ("csv", "parquet"):
        config = DatasetConfig("clients", str(path), kind, COLUMNS)  # type: ignore[arg-type]
        code = "read"
        try:
            open_source(config).describe()
        except SecureFlowError as error:
            code = error.code
        assert code in {"read", "schema_mismatch", "dataset_unreadable"}


def csv_dataset(path: Path, text: bytes) -> DatasetConfig:
    path.write_bytes(text)
    return DatasetConfig("clients", str(path), "csv", COLUMNS, missing=("", "?"))


def test_csv_details(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = csv_dataset(path, b"\xef\xbb\xbfage,work,note\r\n 41 ,?,\r\n")
    read = open_source(good).read(["age", "work", "note"])
    assert [read[name].tolist() for name in read] == [[41.0], [None], [None]]
    ragged = csv_dataset(path, b"age,work,note\n1,private,a\n2,private\n")
    assert refusal(ragged) == ("schema_mismatch", 2, "note")
    assert refusal(csv_dataset(path, b"age,work,note\nnan,private,a\n"))[1:] == (1, "age")
    latin = csv_dataset(path, b"age,work,note\n1,private,ok\n2,private,\xfcSECRET\n")
    assert refusal(latin) == ("schema_mismatch", 2, "note")
    assert refusal(csv_dataset(path, b"age,work,note,age\n1,private,a,2\n"))[2] == "age"


def test_parquet_details(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "age": pa.array([1, None, 3], pa.int16()),
            "work": pa.array(["private", None, "private"]).dictionary_encode(),
            "note": pa.array([7, None, -1]),
        }
    )
    pa.parquet.write_table(table, path)
    config = DatasetConfig("clients", str(path), "parquet", COLUMNS)
    read = open_source(config).read(["age", "work", "note"])
    assert np.array_equal(read["age"], [1, np.nan, 3], equal_nan=True)
    assert read["work"].tolist() == ["private", None, "private"]
    assert read["note"].tolist() == ["7", None, "-1"]
    broken = table.set_column(2, "note", pa.array([b"ok", None, b"\xff\xfeSECRET"]))
    pa.parquet.write_table(broken, path)
    assert refusal(config) == ("schema_mismatch", 3, "note")
    nested = table.set_column(0, "age", pa.array([[1], [2], [3]]))
    pa.parquet.write_table(nested, path)
    assert refusal(config) == ("schema_mismatch", None, "age")
    floats = table.set_column(1, "work", pa.array([1.0, 2.0, 3.0]))
    pa.parquet.write_table(floats, path)
    assert refusal(config) == ("schema_mismatch", None, "work")


def test_commitments_bind_the_file_and_hide_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"rows")
    first = dataset_commitment(path, b"\x00" * 32)
    assert first == dataset_commitment(path, b"\x00" * 32)
    assert first != dataset_commitment(path, b"\x01" * 32)
    path.write_bytes(b"other rows")
    assert first != dataset_commitment(path, b"\x00" * 32)
    with pytest.raises(ValueError, match="salt"):
        dataset_commitment(path, b"short")


def test_declaring_a_source_imports_neither_pyarrow_nor_pillow() -> None:
    code = (
        "import sys, secureflow.adapters.datasources as d; "
        "sys.exit(len({'pyarrow', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_is_cut_short_while_it_is_hashed_kills_nobody(tmp_path: Path) -> None:
    """An agent hashes the file before each job; its owner's export may be writing it just then."""
    path = tmp_path / "rows.csv"
    path.touch()
    os.truncate(path, 1 << 30)
    hashing = (
        "import sys; from pathlib import Path\n"
        "from secureflow.kit.filedigest import file_digest\n"
        "print('begins', flush=True); print(file_digest(Path(sys.argv[1])).hex())"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", hashing, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begins\n"
    time.sleep(0.05)  # within the file: it takes many times as long
    os.truncate(path, 4096)
    assert len(child.communicate()[0].strip()) == 64
    assert child.returncode == 0


def test_numbers_are_clipped_where_the_owner_says_so(write: Write) -> None:
    cells = [-5.0, 0.0, 3.5, 10.0, 99_999.0]
    column = ColumnConfig("gain", "number", bounds=(0.0, 10.0), clip=True)
    declared = write({"gain": cells}, columns=(column,))
    clipped = [0.0, 0.0, 3.5, 10.0, 10.0]
    np.testing.assert_array_equal(open_source(declared).read(["gain"])["gain"], clipped)
    strict = write({"gain": cells}, columns=(dataclasses.replace(column, clip=False),))
    assert refusal(strict, ("gain",)) == ("schema_mismatch", 1, "gain")
