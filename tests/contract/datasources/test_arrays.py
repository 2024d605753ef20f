"""Folders of NumPy arrays: exactly what is declared, and no byte of a header is evaluated."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.pictures import IMAGE, pixels

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.adapters.datasources.npyheader import MAX_HEADER, NpyError, read_header
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError

SIGNAL = ColumnConfig("signal", "array", shape=(2, 3), dtype="float32", bounds=(-1.0, 1.0))
LABEL = ColumnConfig("label", "category", ("0", "1"))
ROWS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 2, 3)


def dataset(folder: Path, *columns: ColumnConfig, **arrays: Any) -> DatasetConfig:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        if isinstance(array, bytes):
            (folder / f"{name}.npy").write_bytes(array)
        else:
            np.save(folder / f"{name}.npy", array, allow_pickle=array.dtype == object)
    return DatasetConfig("waves", str(folder), "arrays", columns)


def refused(config: DatasetConfig, *columns: str, limits: SourceLimits | None = None) -> Any:
    with pytest.raises(SecureFlowError) as caught:
        open_source(config, limits).read(columns or ("signal",))
    return caught.value


def tolerant(config: DatasetConfig, *columns: str) -> dict[str, Any]:
    return open_source(config, tolerant=True).read(columns)


def test_arrays_images_numbers_and_labels_are_columns_beside_one_another(tmp_path: Path) -> None:
    image = np.stack([pixels(n) for n in range(4)])
    columns = (
        SIGNAL, LABEL, IMAGE, ColumnConfig("age", "number", bounds=(0, 9)),
        ColumnConfig("note", "text"),
    )  # fmt: skip
    config = dataset(
        tmp_path / "w", *columns, signal=ROWS, label=np.array([0, 1, 1, 0]), image=image,
        age=np.array([1, 2, 3, 9], np.int16), note=np.array(["a", "", "ccc", "数"]),
    )  # fmt: skip
    source = open_source(config)
    assert (source.describe().rows, source.describe().columns[0]) == (4, "signal")
    read = source.read([one.name for one in columns])
    assert read["signal"].dtype == np.float32
    assert np.array_equal(read["signal"], ROWS)
    assert np.array_equal(read["image"], image)
    assert read["label"].tolist() == ["0", "1", "1", "0"]
    assert read["age"].tolist() == [1.0, 2.0, 3.0, 9.0]
    assert read["note"].tolist() == ["a", None, "ccc", "数"]
    foreign = dataset(tmp_path / "w", *columns, signal=ROWS.astype(">f4"), age=np.float16([1] * 4))
    again = open_source(foreign).read(["signal", "age"])
    assert np.array_equal(again["signal"], ROWS)
    assert again["signal"].dtype == np.dtype("=f4")


def save(array: Any, **changes: str) -> bytes:
    """Return a .npy file whose header is changed."""
    header = str(
        {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **changes}
    )
    header = header.replace("\"'", "'").replace("'\"", "'")
    return raw(header, array.tobytes())


def raw(header: str, data: bytes = b"") -> bytes:
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + data
    )


FLOATS = "{'descr': '<f4', 'fortran_order': False, 'shape': "
WRONG: dict[str, tuple[Any, str]] = {
    "objects": (np.array([None, {}], dtype=object), "it holds Python objects, which are never"),
    "records": (np.zeros(4, [("a", "f4")]), "records of several fields"),
    "another dtype": (ROWS.astype(np.float64), "it holds float64, declared is float32"),
    "another shape": (ROWS.reshape(4, 6), "its rows have the shape [6], declared is [2, 3]"),
    "Fortran order": (np.asfortranarray(ROWS), "it is in Fortran order"),
    "cut short": (save(ROWS)[:-1], "it is cut short, or longer than its header says"),
    "more than it says": (save(ROWS) + b"\0", "it is cut short, or longer than"),
    "no array": (b"SECRET" * 9, "it is not a .npy file"),
    "nothing": (b"", "it is not a .npy file"),
    "complex": (ROWS.astype(np.complex64), "which is not read"),
    "times": (np.zeros(4, "M8[s]"), "its header is not one that NumPy writes"),
    "a single value": (np.array(1.0, np.float32), "it is a single value"),
    "code": (raw("{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (1,)}"),
             "its header is not one that NumPy writes"),
    "a lie about rows": (raw(f"{FLOATS}(99999999999, 2, 3)}}"),
                         "it is cut short, or longer than"),
    "too many dimensions": (raw(f"{FLOATS}{(1,) * 40}}}"),
                            "it has too many dimensions"),
    "a long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b" " * 100,
                      "its header is cut short or too long"),
    "another version": (b"\x93NUMPY\x09\x00" + b" " * 100, "unknown version"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_declared_array_is_refused_by_name_before_rows_are_read(
    tmp_path: Path, name: str
) -> None:
    array, reason = WRONG[name]
    config = dataset(tmp_path / "w", SIGNAL, signal=array)
    for open_as in (False, True):  # by the file's header, which no row decides
        with pytest.raises(SecureFlowError) as caught:
            open_source(config, tolerant=open_as).check(["signal"])
        error = caught.value
        assert (error.code, error.details["row"]) == ("schema_mismatch", None)
        assert "file signal.npy, column 'signal'" in error.message
        assert reason in error.message
        assert "SECRET" not in str(error.as_json())


def test_columns_of_different_lengths_are_refused_by_name(tmp_path: Path) -> None:
    config = dataset(tmp_path / "w", SIGNAL, LABEL, signal=ROWS, label=np.array([0, 1, 1]))
    error = refused(config, "signal", "label")
    assert (error.code, error.details["column"]) == ("schema_mismatch", "label")
    assert "does not have as many rows as 'signal'" in error.message


def test_values_that_do_not_fit_name_the_row(tmp_path: Path) -> None:
    for value, reason in ((np.nan, "not finite"), (np.inf, "not finite"), (1.5, "outside [-1, 1]")):
        wrong = ROWS.copy()
        wrong[2, 1, 1] = value
        error = refused(dataset(tmp_path / "w", SIGNAL, signal=wrong))
        assert (error.code, error.details["row"]) == ("schema_mismatch", 3)
        assert reason in error.message
        found = tolerant(dataset(tmp_path / "w", SIGNAL, signal=wrong), "signal")["signal"]
        assert found[2, 1, 1] == (0.0 if value != value else 1.0)
        assert np.array_equal(np.delete(found, 2, 0), np.delete(ROWS, 2, 0))
    clipped = replace(SIGNAL, clip=True)
    wrong[2, 1, 1] = 7.0
    found = open_source(dataset(tmp_path / "w", clipped, signal=wrong)).read(["signal"])["signal"]
    assert found[2, 1, 1] == 1.0


def test_zero_is_moved_into_the_bounds(tmp_path: Path) -> None:
    positive = replace(SIGNAL, bounds=(0.5, 1.0))
    wrong = np.full_like(ROWS, 0.75)
    wrong[1, 0, 0] = np.nan
    found = tolerant(dataset(tmp_path / "w", positive, signal=wrong), "signal")["signal"]
    assert found[1, 0, 0] == 0.5


def test_texts_of_no_code_point_are_no_text(tmp_path: Path) -> None:
    note = ColumnConfig("note", "text")
    codes = np.array([[97, 98], [0x110000, 0], [0xD800, 0]], "<u4")
    config = dataset(tmp_path / "w", note, note=save(codes.view("<U2").reshape(-1)))
    assert refused(config, "note").details["row"] == 2
    assert tolerant(config, "note")["note"].tolist() == ["ab", None, None]


def test_rows_and_bytes_are_bounded(tmp_path: Path) -> None:
    config = dataset(tmp_path / "w", SIGNAL, signal=ROWS)
    assert refused(config, limits=SourceLimits(max_rows=3)).code == "dataset_too_large"
    assert refused(config, limits=SourceLimits(max_bytes=90)).code == "dataset_too_large"


def test_texts_are_counted_and_held_once(tmp_path: Path) -> None:
    note, other = ColumnConfig("note", "text"), ColumnConfig("other", "text")
    rows = np.full(60_000, "x" * 400)
    size = rows.nbytes
    config = dataset(tmp_path / "w", note, other, note=rows, other=rows)
    del rows
    limits = SourceLimits(max_bytes=size + size // 2)
    assert len(open_source(config, limits).read(["note"])["note"]) == 60_000
    assert refused(config, "note", "other", limits=limits).code == "dataset_too_large"
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew (proc(5))
    before = peak()
    found = open_source(config).read(["note"])["note"]
    assert peak() - before < size
    assert found[-1] == "x" * 400


def test_texts_of_several_blocks_name_the_row(tmp_path: Path) -> None:
    cells = np.full(30_000, "x" * 100)  # 12 MB
    codes = cells.view(np.uint32).reshape(30_000, 100)
    codes[25_000, 3] = 0xD800
    config = dataset(tmp_path / "w", ColumnConfig("note", "text"), note=cells)
    assert refused(config, "note").details["row"] == 25_001
    assert tolerant(config, "note")["note"].tolist().index(None) == 25_000


@pytest.mark.parametrize("kind", ["number", "category", "text"])
def test_numbers_that_arrow_has_not_are_refused_by_name(kind: Any, tmp_path: Path) -> None:
    column = ColumnConfig("c", kind, ("1",) if kind == "category" else ())
    config = dataset(tmp_path / "w", column, c=np.array([1, 2], np.longdouble))
    assert refused(config, "c").code == "schema_mismatch"
    with pytest.raises(SecureFlowError):
        tolerant(config, "c")


def peak() -> int:
    """Return the most bytes that this process has had in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(held) << 10


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    config = dataset(tmp_path / "w", SIGNAL)
    np.save(tmp_path / "other.npy", ROWS)
    path = tmp_path / "w" / "signal.npy"
    path.symlink_to(tmp_path / "other.npy")
    assert "it is a link or no regular file" in refused(config).message
    path.unlink()
    os.mkfifo(path)
    assert "it is a link or no regular file" in refused(config).message


def test_a_file_that_is_cut_short_after_its_header_was_checked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataset(tmp_path / "w", SIGNAL, signal=ROWS)
    monkeypatch.setattr(os, "readv", lambda handle, into: 0)
    assert refused(config).code == "dataset_unreadable"


def test_numpys_own_headers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (ROWS, ROWS[0], np.zeros((0, 3), "i2"), np.array(["ab"]), np.array([True]),
                  np.zeros((3, 1), ">u8")):  # fmt: skip
        for version in ((1, 0), (2, 0), (3, 0)):
            with path.open("wb") as file:
                np.lib.format.write_array(file, array, version, allow_pickle=False)
            found = read_header(path.read_bytes())
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.size == path.stat().st_size


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_a_header_or_a_reason(data: st.DataObject) -> None:
    parts = st.sampled_from(
        ["{", "}", "'descr'", "'shape'", "'fortran_order'", ": ", ", ", "'<f4'", "'|O'", "False",
         "(3,)", "(9" + "9" * 30 + ",)", "(", ")", " " * 500, "\x00", "é", "'U999999'", "None"]
    )  # fmt: skip
    text = data.draw(st.lists(parts, max_size=20).map("".join) | st.text(max_size=60)).encode()
    whole = bytearray(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=3)
    ):
        whole[at] = byte
    try:
        found = read_header(bytes(whole))
    except NpyError as error:
        assert error.reason  # noqa: PT017
    else:
        assert found.dtype.kind in "biufU"
        assert len(found.shape) <= 9


def test_a_header_is_not_longer_than_is_read() -> None:
    text = FLOATS + "(4, 2, 3)}" + " " * MAX_HEADER
    whole = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text.encode()
    with pytest.raises(NpyError, match="too long"):
        read_header(whole)
    assert read_header(raw(FLOATS + "(4, 2, 3)}")).shape == (4, 2, 3)


def test_a_header_of_blanks_takes_no_time_that_grows_with_its_square() -> None:
    """Both are the longest that is read; blanks once took minutes where letters took none."""
    for filling in (" ", "\t", "' "):
        text = "{'descr': '<f4'," + filling * ((MAX_HEADER - 60) // len(filling))
        with pytest.raises(NpyError, match="not one that NumPy writes"):
            read_header(raw(text))
