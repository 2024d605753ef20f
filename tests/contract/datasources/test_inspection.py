"""The schema drafted from a file: what is proposed, what is left out, and that the file fits it."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from secureflow.adapters.datasources import open_source
from secureflow.adapters.datasources.inspection import (
    ColumnDraft,
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
            "parts": pa.array([[1]] * 20),
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
    assert ("UTF-8" in refusal.value.hint) == (content is not None)


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
