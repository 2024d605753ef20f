"""The tolerant reading: fixed rules for each cell, the same in both formats, and no refusal."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError

COLUMNS = (
    ColumnConfig("age", "number", bounds=(0, 120)),
    ColumnConfig("work", "category", ("private", "1", "é")),
    ColumnConfig("note", "text"),
)
NAMES = ("age", "work", "note")


def read(path: Path, kind: Any, names: tuple[str, ...] = NAMES) -> dict[str, list[Any]]:
    config = DatasetConfig("clients", str(path), kind, COLUMNS, missing=("", "–"))
    found = open_source(config, tolerant=True).read(names)
    return {name: [None if one != one else one for one in found[name].tolist()] for name in names}


def csv(directory: Path, data: bytes, names: tuple[str, ...] = NAMES) -> dict[str, list[Any]]:
    path = directory / "a.csv"
    path.write_bytes(b"age,work,note\n" + data)
    return read(path, "csv", names)


def parquet(directory: Path, **columns: Any) -> dict[str, list[Any]]:
    path = directory / "a.parquet"
    pq.write_table(pa.table(columns), path)
    return read(path, "parquet", tuple(columns))


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("7", 7.0), (" 7 ", 7.0), ("130", 120.0), ("-1", 0.0), ("1e999", 120.0), ("-inf", 0.0),
        ("nan", None), ("x", None), ("1_0", None), ("", None), ("–", None), ("١", None),
        ("0x1", None), ("1\x00", None),
    ],
)  # fmt: skip
def test_numbers(tmp_path: Path, cell: str, number: float | None) -> None:
    assert csv(tmp_path, f"{cell},,\n5,,\n".encode())["age"] == [number, 5.0]
    assert parquet(tmp_path, age=pa.array([cell, "5"]))["age"] == [number, 5.0]


def test_texts_and_categories(tmp_path: Path) -> None:
    found = csv(tmp_path, "1,é,–\n2,e\u0301,\u202e\n3,public,ok\n".encode() + b"4,private,\xfc\n")
    assert found["work"] == ["é", None, None, "private"]
    assert found["note"] == [None, "\u202e", "ok", None]
    assert found["age"] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("line", [b"1\n", b"1,private\n", b"1,b,c,d\n", b"\xff\n", b"\xff,\n"])
def test_a_row_of_another_length_is_not_there(tmp_path: Path, line: bytes) -> None:
    assert csv(tmp_path, b"7,private,a\n" + line + b"8,private,b\n")["age"] == [7.0, 8.0]


def test_a_long_cell_moves_no_other(tmp_path: Path) -> None:
    """Arrow reads a file in blocks, and refuses one whose cell is longer than a block."""
    found = csv(tmp_path, b"7,private,a\n8,private," + b"x" * (3 << 20) + b"\n9,private,b\n")
    assert found["age"] == [7.0, 8.0, 9.0]


@pytest.mark.parametrize("text", ["age,work,note", "age,work,note\n", "\ufeffage,work,note\r\n\n"])
def test_a_header_alone_has_no_rows(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read(path, "csv") == {"age": [], "work": [], "note": []}


def test_parquet_columns_of_any_type(tmp_path: Path) -> None:
    beyond = pa.array([1 << 60, None, 3], pa.int64())
    assert parquet(tmp_path, age=beyond)["age"] == [120.0, None, 3.0]
    assert parquet(tmp_path, age=pa.array([True, None]))["age"] == [1.0, None]
    assert parquet(tmp_path, age=pa.array([None, None]))["age"] == [None, None]
    # One missing cell, and a writer has floats instead of integers: the others must not change.
    whole = [parquet(tmp_path, work=pa.array(cells))["work"][0] for cells in ([1, 2], [1.0, None])]
    assert whole == ["1", "1"]
    halves = pa.array([1.0, 1.5, float("inf"), None])
    assert parquet(tmp_path, work=halves)["work"] == ["1", None, None, None]
    coded = pa.array(["private", None, "public"]).dictionary_encode()
    assert parquet(tmp_path, work=coded)["work"] == ["private", None, None]
    raw = pa.array([b"private", b"\xff", None], pa.binary())
    assert parquet(tmp_path, work=raw, note=raw) == {
        "work": ["private", None, None], "note": ["private", None, None],
    }  # fmt: skip


def test_what_no_cell_decides_is_refused_before_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"age": pa.array([[1.0]]), "work": pa.array(["private"])}), path)
    config = DatasetConfig("clients", str(path), "parquet", COLUMNS)
    for name in ("age", "note"):
        with pytest.raises(SecureFlowError) as caught:
            open_source(config, tolerant=True).check([name])
        assert (caught.value.code, caught.value.details["row"]) == ("schema_mismatch", None)


def test_sizes_say_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("age,work,note\n" + "1,private,a\n" * 31)
    config = DatasetConfig("clients", str(path), "csv", COLUMNS)
    for limits in (SourceLimits(max_rows=30), SourceLimits(max_bytes=300)):
        with pytest.raises(SecureFlowError) as caught:
            open_source(config, limits, tolerant=True).read(["age"])
        assert not set("0123456789") & set(f"{caught.value.message}{caught.value.hint}")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b"7", b"x", b"private", b"", b'"', b"\xff", b"\x00", b"\r", b"\n"])),
    st.lists(st.sampled_from([b",", b"\n", b'"', b"a", b" "])),
)
def test_any_bytes_are_rows(
    tmp_path_factory: pytest.TempPathFactory, cells: list[bytes], marks: list[bytes]
) -> None:
    data = b"".join(a + b for a, b in zip(cells, marks, strict=False))
    found = csv(tmp_path_factory.getbasetemp(), data)
    assert len({len(values) for values in found.values()}) == 1
    assert all(one is None or 0 <= one <= 120 for one in found["age"])


def test_strict_and_tolerant_agree_where_everything_fits(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('age,work,note\n7,private,"two\nlines"\n,é,\n120,1,"q""q"\n', encoding="utf-8")
    config = DatasetConfig("clients", str(path), "csv", COLUMNS)
    strict, tolerant = (open_source(config, tolerant=one).read(NAMES) for one in (False, True))
    for name in NAMES:
        equal = strict[name] == tolerant[name]
        both = [a != a and b != b for a, b in zip(strict[name], tolerant[name], strict=True)]
        assert np.logical_or(equal, both).all()


ARROW = (
    pa.array(["1", "x", None, "é", ""], pa.string_view()),
    pa.array(["1", " 2 ", None], pa.string_view()),
    pa.array([b"1", b"\xff", None, b"x"], pa.binary_view()),
    pa.array(["1", "x", None, ""], pa.large_string()),
    pa.array([b"12", b"\xff\xfe", None], pa.binary(2)),
    pa.array([Decimal("1.50"), None, Decimal("7.00")], pa.decimal128(12, 2)),
    pa.array([Decimal("9" * 70), None], pa.decimal256(76, 2)),
    pa.array([True, None, False]),
    pa.array([None, None], pa.null()),
    pa.array([1.5, None, float("inf"), float("nan")], pa.float32()),
    pa.array([2**64 - 1, None, 0], pa.uint64()),
    pa.array([2**62, None, 0], pa.timestamp("us")),
    pa.array([1.5, None, 2.0]).dictionary_encode(),
    pa.array([b"1", b"\xff", None]).dictionary_encode(),
)


@pytest.mark.parametrize("declared", ["number", "category", "text"])
@pytest.mark.parametrize("cells", ARROW, ids=lambda cells: str(cells.type))
def test_no_type_of_column_fails_by_a_cell_and_what_is_published_reads_alike(
    tmp_path: Path, cells: pa.Array, declared: Any
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"c": cells}), path)
    known = ("1", "x", "1.50", "7.00") if declared == "category" else ()
    config = DatasetConfig("clients", str(path), "parquet", (ColumnConfig("c", declared, known),))
    tolerant = open_source(config, tolerant=True)
    try:
        tolerant.check(("c",))
    except SecureFlowError:  # by its type, before anything is paid for
        return
    found = tolerant.read(("c",))["c"].tolist()
    assert len(found) == len(cells)
    try:
        strict = open_source(config).read(("c",))["c"].tolist()
    except SecureFlowError:
        return
    assert repr(found) == repr(strict)
