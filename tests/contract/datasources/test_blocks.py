"""Rows block by block are the rows that are read at once, and are refused by the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.pictures import write_table

from secureflow.adapters.datasources import SourceLimits, csv_file, open_source, parquet_file
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError

COLUMNS = (ColumnConfig("id", "text"), ColumnConfig("age", "number", bounds=(0, 120)))
ROWS: dict[str, list[Any]] = {
    "id": [None if n == 5 else f"数据 {n}" for n in range(20)],
    "age": [float(n) for n in range(20)],
}
Write = Callable[..., DatasetConfig]


@pytest.fixture(params=["csv", "parquet", "arrays"])
def write(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Write:
    """Writes rows in the adapter's format, of which a block has 8 at most."""
    monkeypatch.setattr(csv_file, "BLOCK_ROWS", 8)
    monkeypatch.setattr(parquet_file, "BLOCK_ROWS", 8)
    return lambda rows=ROWS: write_table(tmp_path, request.param, rows, COLUMNS)


def test_blocks_are_the_rows_in_their_order(write: Write) -> None:
    config = write()
    source = open_source(config)
    blocks = list(source.blocks(("age", "id")))
    assert len(blocks) == (1 if config.is_folder else 3)
    whole = source.read(("age", "id"))
    for name, cells in whole.items():
        assert np.concatenate([one[name] for one in blocks]).tolist() == cells.tolist()
    tolerant = open_source(config, tolerant=True)
    assert sum(len(one["id"]) for one in tolerant.blocks(("id",))) == 20


def test_a_row_is_named_by_its_number_in_the_file(write: Write) -> None:
    rows = {**ROWS, "age": [*ROWS["age"][:17], 500.0, 1.0, 1.0]}
    with pytest.raises(SecureFlowError) as caught:
        list(open_source(write(rows)).blocks(("id", "age")))
    assert (caught.value.code, caught.value.details["row"]) == ("schema_mismatch", 18)


def test_sizes_and_columns_are_checked(write: Write) -> None:
    config = write()
    with pytest.raises(SecureFlowError) as caught:
        list(open_source(config, SourceLimits(max_rows=19)).blocks(("id",)))
    assert caught.value.code == "dataset_too_large"
    with pytest.raises(SecureFlowError) as caught:
        list(open_source(config).blocks(("other",)))
    assert caught.value.code == "unknown_column"


def test_a_ragged_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,age\n" + "x,1\n" * 9 + "x\n")
    with pytest.raises(SecureFlowError) as caught:
        list(open_source(DatasetConfig("d", str(path), "csv", COLUMNS)).blocks(("id",)))
    assert (caught.value.code, caught.value.details["row"]) == ("schema_mismatch", 10)
