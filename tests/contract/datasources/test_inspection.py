"""The schema drafted from a file: what is proposed, what is left out, and that the file fits it."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from peers.pictures import by_class, png

from secureflow.adapters.datasources import formats, open_source
from secureflow.adapters.datasources.drafts import ColumnDraft
from secureflow.adapters.datasources.folderinspection import inspect_data
from secureflow.adapters.datasources.inspection import (
    inspect_file,
    round_outwards,
)
from secureflow.kit.errors import SecureFlowError

ROWS = 200


def test_a_csv_file_is_drafted_column_by_column_and_fits_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    cells = {
        "customer_id": [str(9000 + 3 * n) for n in range(ROWS)],
        "row": [str(n) for n in range(ROWS)],
        "年龄": [str(20 + n % 47) for n in range(ROWS)],
        "income": [f"{1000.5 + n:.2f}" if n % 10 else "?" for n in range(ROWS)],
        "country": ["NA", "DE", "FR", ""] * (ROWS // 4),
        "sex": ["f", "m"] * (ROWS // 2),
        "postcode": ["01067", "04109", "10115", "80331"] * (ROWS // 4),
        "opened": [f"2024-01-{1 + n % 28:02}" for n in range(ROWS)],
        "note": [f"called {n}, will call again" for n in range(ROWS)],
        "amount": ["12.5"] * (ROWS - 1) + ["12,5 EUR"],
        "bank": ["ours"] * ROWS,
        "empty": [""] * ROWS,
    }
    _write_csv(path, cells)
    draft = inspect_file(path)
    found = {column.name: column for column in draft.columns}
    assert draft.rows == ROWS
    assert draft.missing == ("", "?")
    left_out = {name: column.left_out for name, column in found.items() if column.left_out}
    assert left_out == {
        "customer_id": "identifier",
        "row": "identifier",
        "opened": "date",
        "note": "identifier",
        "amount": "mixed",
        "bank": "constant",
        "empty": "empty",
    }
    assert found["年龄"] == ColumnDraft("年龄", "number", bounds=(20, 70))
    assert found["income"] == ColumnDraft("income", "number", bounds=(1000, 1200), missing=20)
    assert found["country"].categories == ("DE", "FR", "NA")  # NA is no gap among words
    assert found["country"].nullable
    assert found["postcode"].categories == ("01067", "04109", "10115", "80331")
    assert found["sex"].sensitive
    assert not found["country"].sensitive
    config = draft.dataset("clients", path)
    assert open_source(config).describe().rows == ROWS


def test_parquet_types_are_told_by_what_they_mean(tmp_path: Path) -> None:
    path = tmp_path / "clients.parquet"
    table = pa.table(
        {
            "good": pa.array([True, False] * 10),
            "segment": pa.array(["a", "b"] * 10).dictionary_encode(),
            "score": pa.array([0.25, None, float("nan"), 0.75] * 5),
            "when": pa.array([0] * 20, pa.timestamp("s")),
            "parts": pa.array([[1], [1, 2]] * 10),
            "ratio": pa.array([1.0, float("inf")] * 10),
            "defaulted": pa.array([0, 1] * 10, pa.int64()),
            "key": pa.array([2**60 + (n % 3 << 20) for n in range(20)]),
            "bad\x1bname": pa.array([0, 1] * 10),
        }
    )
    pq.write_table(table, path)
    draft = inspect_file(path, categories=["defaulted"])
    found = {column.name: column for column in draft.columns}
    assert found["good"].categories == ("false", "true")
    assert found["segment"].categories == ("a", "b")
    assert found["score"] == ColumnDraft("score", "number", bounds=(0.2, 0.8), missing=10)
    assert found["defaulted"].categories == ("0", "1")
    reasons = {name: column.left_out for name, column in found.items() if column.left_out}
    assert reasons == {
        "when": "date",
        "parts": "kind",
        "ratio": "infinite",
        "key": "identifier",
        "bad\x1bname": "name",
    }
    assert open_source(draft.dataset("clients", path)).describe().rows == 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("absent.csv", None),
        ("table.xlsx", b"PK"),
        ("ragged.csv", b"a,b\n1,2\n3\n"),
        ("latin.csv", b"a,b\n\xe4,2\n"),
        ("empty.csv", b""),
        ("header.csv", b"a,b\n"),
        ("broken.parquet", b"PAR1"),
    ],
)
def test_a_file_that_cannot_be_read_says_which_and_quotes_nothing(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SecureFlowError) as refusal:
        inspect_file(tmp_path / name)
    assert refusal.value.code == ("invalid_file" if content is None else "dataset_unreadable")
    assert f"{name} cannot be used: " in refusal.value.message
    helps = "quotes" if name == "ragged.csv" else "UTF-8"
    assert (helps in refusal.value.hint) == (content is not None)


def test_a_column_to_take_as_categories_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("age,grade\n1,2\n2,3\n")
    with pytest.raises(SecureFlowError) as refusal:
        inspect_file(path, ["grades"])
    assert (refusal.value.code, refusal.value.hint) == (
        "unknown_column",
        "Its columns are: age, grade.",
    )


def test_doubled_and_nameless_columns_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "doubled.csv"
    path.write_text("a,a,,b\n" + "1,2,3,4\n2,3,4,5\n2,3,4,5\n")
    reasons = [(column.name, column.left_out) for column in inspect_file(path).columns]
    assert reasons == [("a", "name"), ("a", "name"), ("", "name"), ("b", None)]


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e300, exclude_min=True))
def test_bounds_contain_what_they_were_rounded_from(low: float, span: float) -> None:
    high = low + span
    below, above = round_outwards(low, high)
    assert below <= low <= high <= above


@pytest.mark.parametrize(
    ("ends", "rounded"),
    [((17, 90), (10, 90)), ((1, 16), (0, 20)), ((0, 99_999), (0, 100_000)), ((0, 1), (0, 1))],
)
def test_bounds_are_round_numbers(ends: tuple[float, float], rounded: tuple[float, float]) -> None:
    assert round_outwards(*ends) == rounded


def _write_csv(path: Path, cells: dict[str, list[str]]) -> None:
    lines = [",".join(cells)]
    lines += [
        ",".join(f'"{cell}"' if "," in cell else cell for cell in row)
        for row in zip(*cells.values(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")


# Folders, and Parquet files with images and lists.


def test_a_folder_of_images_is_drafted_with_its_classes_and_its_most_frequent_size(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pets"
    by_class(folder)
    draft = inspect_data(folder)
    assert (draft.format, draft.rows, draft.index) == ("images", 4, None)
    assert draft.columns == (
        ColumnDraft("image", "image", shape=(4, 6, 3)),
        ColumnDraft("label", "category", categories=("cat", "dog")),
    )
    assert open_source(draft.dataset("pets", folder)).describe().rows == 4
    (folder / "dog" / "9.png").write_bytes(png(9, (8, 8, 1)))
    image = inspect_data(folder).columns[0]
    assert (image.shape, image.fit) == ((4, 6, 3), "resize")
    assert open_source(inspect_data(folder).dataset("pets", folder)).describe().rows == 5


def test_a_folder_with_an_index_is_drafted_like_its_table(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    by_class(folder, 6)
    names = [f"{kind}/{n:04}.png" for kind in ("cat", "dog") for n in range(6)]
    lines = [f"{name},{n % 3 + 0.5},{'mf'[n % 2]}" for n, name in enumerate(names)]
    (folder / "list.csv").write_text("\n".join(["file,weight,sex", *lines]) + "\n")
    draft = inspect_data(folder)
    found = {column.name: column for column in draft.columns}
    assert (draft.format, draft.rows, draft.index) == ("images", 12, "list.csv")
    assert found["file"] == ColumnDraft("file", "image", shape=(4, 6, 3))
    assert (found["weight"].type, found["sex"].sensitive) == ("number", True)
    assert open_source(draft.dataset("pets", folder)).describe().rows == 12


def test_a_folder_of_arrays_is_drafted_by_their_headers(tmp_path: Path) -> None:
    wave = np.zeros((30, 4), np.float32)
    np.save(tmp_path / "wave.npy", wave)
    np.save(tmp_path / "scan.npy", np.zeros((30, 4, 6, 3), np.uint8))
    np.save(tmp_path / "age.npy", np.arange(30.0) % 7)
    np.save(tmp_path / "label.npy", np.arange(30) % 3)
    np.save(tmp_path / "kind.npy", np.array(["a", "b", "c"] * 10))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(wave))
    draft = inspect_data(tmp_path, ["label"])
    found = {column.name: column for column in draft.columns}
    assert (draft.format, draft.rows) == ("arrays", 30)
    assert found["wave"] == ColumnDraft("wave", "array", shape=(4,), dtype="float32")
    assert found["scan"] == ColumnDraft("scan", "image", shape=(4, 6, 3))
    assert (found["age"].type, found["label"].categories) == ("number", ("0", "1", "2"))
    assert found["kind"].categories == ("a", "b", "c")
    assert found["fortran"].left_out == "kind"
    assert open_source(draft.dataset("waves", tmp_path)).describe().rows == 30


def test_parquet_columns_of_images_and_lists_are_drafted(tmp_path: Path) -> None:
    path = tmp_path / "pets.parquet"
    cells = [png(n) for n in range(20)]
    table = pa.table(
        {
            "scan": pa.array(cells, pa.binary()),
            "struct": pa.array([{"bytes": cell, "path": "x"} for cell in cells]),
            "vector": pa.array([[float(n), 1.0] for n in range(20)]),
            "ragged": pa.array([[1.0] * (n % 2 + 1) for n in range(20)]),
            "words": pa.array([["a"]] * 20),
            "code": pa.array([b"x", b"y"] * 10, pa.binary()),
        }
    )
    pq.write_table(table, path)
    draft = inspect_data(path)
    found = {column.name: column for column in draft.columns}
    assert found["scan"] == ColumnDraft("scan", "image", shape=(4, 6, 3))
    assert found["struct"].type == "image"
    assert found["vector"] == ColumnDraft("vector", "array", shape=(2,), dtype="float64")
    assert [found[name].left_out for name in ("ragged", "words")] == ["kind", "kind"]
    assert found["code"].categories == ("x", "y")
    assert open_source(draft.dataset("pets", path)).describe().rows == 20


@pytest.mark.parametrize(
    "content", ["nothing", "text", "several tables", "no image", "a bad array"]
)
def test_a_folder_that_cannot_be_read_says_why(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    if content == "text":
        (folder / "readme").write_text("SECRET")
    elif content == "several tables":
        (folder / "a.csv").write_text("a,b\n1,2\n")
        (folder / "b.csv").write_text("a,b\n1,2\n")
    elif content == "no image":
        (folder / "class").mkdir()
        (folder / "class" / "a.png").write_text("SECRET")
    elif content == "a bad array":
        (folder / "a.npy").write_bytes(b"SECRET")
    with pytest.raises(SecureFlowError) as refusal:
        inspect_data(folder)
    assert refusal.value.code == "dataset_unreadable"
    assert refusal.value.message.startswith("data cannot be used: ")
    assert "SECRET" not in str(refusal.value.as_json())


def test_a_draft_of_images_needs_their_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_class(tmp_path / "pets")
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(SecureFlowError) as refusal:
        inspect_data(tmp_path / "pets")
    assert (refusal.value.code, "[images]" in refusal.value.hint) == ("library_missing", True)
