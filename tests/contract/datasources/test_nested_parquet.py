"""Parquet columns of image bytes and of lists: the same rules as for folders."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.pictures import IMAGE, LABEL, pixels, png

from secureflow.adapters.datasources import SourceLimits, open_source, parquet_file
from secureflow.adapters.datasources.tensorcells import MisfitError, fitted, tolerated
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError

VECTOR = ColumnConfig("vector", "array", shape=(3,), dtype="float32", bounds=(0.0, 9.0))


def dataset(path: Path, *columns: ColumnConfig, **cells: Any) -> DatasetConfig:
    pq.write_table(pa.table(cells), path)
    return DatasetConfig("pets", str(path), "parquet", columns)


def refused(config: DatasetConfig, *columns: str, limits: SourceLimits | None = None) -> Any:
    with pytest.raises(SecureFlowError) as caught:
        open_source(config, limits).read(columns)
    return caught.value


def images(*cells: Any) -> dict[str, pa.Array]:
    structs = [None if cell is None else {"bytes": cell, "path": "SECRET"} for cell in cells]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return {
        "binary": pa.array(cells, pa.binary()),
        "large_binary": pa.array(cells, pa.large_binary()),
        "struct": pa.array(structs, kind),
    }


@pytest.mark.parametrize("kind", ["binary", "large_binary", "struct"])
def test_images_are_bytes_or_records_with_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.parquet"
    good = images(png(0), png(1), png(2))[kind]
    config = dataset(path, IMAGE, LABEL, image=good, label=pa.array(["cat", "dog", "cat"]))
    read = open_source(config).read(["image", "label"])
    assert [np.array_equal(read["image"][n], pixels(n)) for n in range(3)] == [True] * 3
    assert read["label"].tolist() == ["cat", "dog", "cat"]
    assert open_source(config).describe().rows == 3
    for broken in (None, b"SECRET", png(1)[:50], png(1, (6, 4, 3))):
        config = dataset(path, IMAGE, image=images(png(0), broken, png(2))[kind])
        error = refused(config, "image")
        assert (error.code, error.details["row"]) == ("schema_mismatch", 2)
        assert "SECRET" not in str(error.as_json())
        found = open_source(config, tolerant=True).read(["image"])["image"]
        assert not found[1].any()
        assert np.array_equal(found[2], pixels(2))


LISTS: dict[str, pa.Array] = {
    "list": pa.array([[1.0, 2, 3], [4, 5, 6]], pa.list_(pa.float64())),
    "fixed": pa.array([[1.0, 2, 3], [4, 5, 6]], pa.list_(pa.float32(), 3)),
    "large": pa.array([[1, 2, 3], [4, 5, 6]], pa.large_list(pa.int64())),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_are_arrays(tmp_path: Path, kind: str) -> None:
    config = dataset(tmp_path / "a.parquet", VECTOR, vector=LISTS[kind])
    found = open_source(config).read(["vector"])["vector"]
    assert (found.dtype, found.tolist()) == (np.float32, [[1, 2, 3], [4, 5, 6]])


def test_lists_within_lists_and_flat_ones_have_one_shape(tmp_path: Path) -> None:
    square = ColumnConfig("square", "array", shape=(2, 2), dtype="int16")
    for cells in ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[1, 2, 3, 4], [5, 6, 7, 8]]):
        config = dataset(tmp_path / "a.parquet", square, square=pa.array(cells))
        found = open_source(config).read(["square"])["square"]
        assert found.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    ragged = dataset(
        tmp_path / "a.parquet", square, square=pa.array([[[1, 2], [3]], [[5, 6], [7, 8]]])
    )
    assert refused(ragged, "square").details["row"] == 1
    assert open_source(ragged, tolerant=True).read(["square"])["square"][0].tolist() == [[0, 0]] * 2


@pytest.mark.parametrize(
    ("cell", "counts"),
    [(None, [0, 0, 0]), ([1.0, 2.0], [0, 0, 0]), ([1.0, None, 2.0], [0, 0, 0]),
     ([1.0, float("nan"), 2.0], [1, 0, 2]), ([1.0, float("inf"), -2.0], [1, 9, 0]),
     ([1.0, 10.0, 2.0], [1, 9, 2]), ([], [0, 0, 0])],
)  # fmt: skip
def test_a_list_that_does_not_fit_names_its_row_and_moves_no_other(
    tmp_path: Path, cell: Any, counts: list[float]
) -> None:
    cells = pa.array([[1.0, 2.0, 3.0], cell, [7.0, 8.0, 9.0]], pa.list_(pa.float64()))
    config = dataset(tmp_path / "a.parquet", VECTOR, vector=cells)
    error = refused(config, "vector")
    assert (error.code, error.details["row"]) == ("schema_mismatch", 2)
    found = open_source(config, tolerant=True).read(["vector"])["vector"]
    assert found.tolist() == [[1, 2, 3], counts, [7, 8, 9]]


@pytest.mark.parametrize(
    "cells", [pa.array([1.0]), pa.array(["x"]), pa.array([["x"]]), pa.array([[[[1.0]]]])]
)
def test_a_column_of_another_type_is_refused_before_rows_are_read(
    tmp_path: Path, cells: pa.Array
) -> None:
    config = dataset(tmp_path / "a.parquet", VECTOR, IMAGE, vector=cells, image=cells)
    for column in ("vector", "image"):
        for tolerant in (False, True):
            with pytest.raises(SecureFlowError) as caught:
                open_source(config, tolerant=tolerant).check([column])
            assert caught.value.code == "schema_mismatch"
            assert caught.value.details == {"dataset": "pets", "column": column, "row": None}


def test_sizes_are_checked_from_the_footer_for_nested_columns_too(tmp_path: Path) -> None:
    """A few kilobytes on disk, a hundred times as many in memory, and small images again."""
    padded = images(*[png(n) + bytes(1 << 18) for n in range(20)])["struct"]
    config = dataset(tmp_path / "a.parquet", IMAGE, image=padded)
    assert Path(config.path).stat().st_size < 1 << 20
    limits = SourceLimits(max_bytes=1 << 20)
    assert refused(config, "image", limits=limits).code == "dataset_too_large"
    assert len(open_source(config).read(["image"])["image"]) == 20


def test_what_images_become_is_counted_before_it_is_allocated(tmp_path: Path) -> None:
    config = dataset(tmp_path / "a.parquet", IMAGE, image=images(*[png(0)] * 20)["binary"])
    big = replace(IMAGE, shape=(4000, 4000, 3), fit="resize")
    limits = SourceLimits(max_bytes=1 << 20)
    error = refused(replace(config, columns=(big,)), "image", limits=limits)
    assert error.code == "dataset_too_large"
    assert len(open_source(config, limits).read(["image"])["image"]) == 20


def peak() -> int:
    """Return the most bytes that this process has had in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(held) << 10


def test_memory_holds_the_column_once(tmp_path: Path) -> None:
    """Batches of lists become the array; no second copy of it is made."""
    vector = ColumnConfig("vector", "array", shape=(4096,), dtype="float64")
    rows = 2000  # 66 MB
    path = tmp_path / "a.parquet"
    kind = pa.list_(pa.float32(), 4096)
    with pq.ParquetWriter(path, pa.schema([("vector", kind)])) as writer:
        part = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(200 * 4096, np.float32)), 4096)
        for _ in range(rows // 200):
            writer.write_table(pa.table({"vector": part}))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew (proc(5))
    before = peak()
    found = open_source(DatasetConfig("a", str(path), "parquet", (vector,))).read(["vector"])
    grown = peak() - before
    assert found["vector"].nbytes == rows * 4096 * 8
    assert grown < 1.5 * found["vector"].nbytes


def grown(config: DatasetConfig, column: str, limits: SourceLimits | None = None) -> int:
    """Return how much more memory there was while a column was read, refused or not."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew (proc(5))
    before = peak()
    with contextlib.suppress(SecureFlowError):
        open_source(config, limits).read([column])
    return peak() - before


def shared(path: Path, cell: bytes | str, rows: int, column: ColumnConfig) -> DatasetConfig:
    """Write a column of one value, which is stored once."""
    coded = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([cell]))
    table = pa.table({column.name: coded})
    pq.write_table(table, path, dictionary_pagesize_limit=1 << 26, store_schema=False)
    assert path.stat().st_size < len(cell) + 10_000
    return DatasetConfig("a", str(path), "parquet", (column,))


def test_an_image_that_all_rows_share_is_not_written_out_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "_STORED", 4 << 20)
    cell = png(0) + bytes(1 << 19)
    config = shared(tmp_path / "a.parquet", cell, 512, IMAGE)
    assert grown(config, "image") < 512 * len(cell) // 4
    assert len(open_source(config).read(["image"])["image"]) == 512


@pytest.mark.parametrize("kind", ["text", "category", "number"])
def test_a_text_that_all_rows_share_is_measured_before_it_is_written_out(
    kind: Any, tmp_path: Path
) -> None:
    long, rows = "7" + " " * (1 << 16), 5000
    categories = (long,) if kind == "category" else ()
    config = shared(tmp_path / "a.parquet", long, rows, ColumnConfig("t", kind, categories))
    limits = SourceLimits(max_bytes=64 << 20)
    assert refused(config, "t", limits=limits).code == "dataset_too_large"
    assert grown(config, "t", limits) < rows * len(long) // 4
    few = shared(tmp_path / "b.parquet", long, 10, ColumnConfig("t", kind, categories))
    assert (
        open_source(few, limits).read(["t"])["t"].tolist()
        == [7.0 if kind == "number" else long] * 10
    )


def test_texts_that_share_their_beginnings_are_measured_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "_STORED", 4 << 20)
    path, rows, column = tmp_path / "a.parquet", 1000, ColumnConfig("t", "text")
    table = pa.table({"t": [f"{'x' * (1 << 16)}{n}" for n in range(rows)]})
    coded = {"t": "DELTA_BYTE_ARRAY"}
    pq.write_table(table, path, use_dictionary=False, column_encoding=coded)
    del table
    assert path.stat().st_size < 1 << 20
    config = DatasetConfig("a", str(path), "parquet", (column,))
    assert refused(config, "t", limits=SourceLimits(max_bytes=8 << 20)).code == "dataset_too_large"
    assert grown(config, "t", SourceLimits(max_bytes=8 << 20)) < 48 << 20
    assert len(set(open_source(config).read(["t"])["t"])) == rows


def test_lists_are_no_numbers_or_texts_before_any_is_read(tmp_path: Path) -> None:
    for kind in ("number", "text"):
        config = dataset(tmp_path / "a.parquet", ColumnConfig("c", kind), c=pa.array([[b"x"], []]))
        with pytest.raises(SecureFlowError) as caught:
            open_source(config).check(["c"])
        assert (caught.value.code, caught.value.details["row"]) == ("schema_mismatch", None)


DTYPES = ("uint8", "int8", "uint16", "int32", "uint64", "int64", "float16", "float32", "float64")
ELEMENTS = st.sampled_from(
    [0, 1, -1, 0.5, 127, 128, 255, 256, 65504, 65505, 1e10, -1e10, 2.0**63, 2.0**64, 1e39, -1e300,
     float("nan"), float("inf"), float("-inf")]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_tolerance_agrees_with_strictness_and_always_fits(data: st.DataObject) -> None:
    """Whatever the elements: no error, nothing outside, and rows that fit are the strict ones."""
    dtype: Any = data.draw(st.sampled_from(DTYPES))
    source = data.draw(st.sampled_from(["float64", "float32", "int64", "uint64", "uint8"]))
    bounds = data.draw(st.sampled_from([None, (0.0, 100.0), (1.0, 2.0)]))
    clip = bounds is not None and data.draw(st.booleans())
    column = ColumnConfig("a", "array", shape=(2,), dtype=dtype, bounds=bounds, clip=clip)
    drawn = data.draw(st.lists(st.tuples(ELEMENTS, ELEMENTS), min_size=1, max_size=4))
    with np.errstate(all="ignore"):
        block = np.array(drawn, np.float64)
        if not source.startswith("float"):
            block = np.clip(
                np.nan_to_num(block), np.iinfo(source).min, 2.0**62 if source != "uint8" else 255
            )
            block = np.maximum(block, np.iinfo(source).min)
        block = block.astype(source)
    found = tolerated(column, block)
    assert found.dtype == np.dtype(dtype)
    assert np.isfinite(found).all()
    if bounds is None and block.dtype.kind == "f":
        assert not found[~np.isfinite(block)].any()
    if bounds:
        assert ((found >= bounds[0]) & (found <= bounds[1])).all()
    for at in range(len(block)):
        try:
            strict = fitted(column, block[at : at + 1])
        except MisfitError:
            continue
        assert np.array_equal(strict, found[at : at + 1])
