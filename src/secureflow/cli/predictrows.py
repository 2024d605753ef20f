"""The rows that `secureflow model predict` reads: a CSV file with a header line, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_bytes

if TYPE_CHECKING:
    from secureflow.domain.specs.training import FeatureSpec

_PARQUET: Final = (".parquet", ".pq")
_MAGIC: Final = b"PAR1"
"""The first and the last bytes of a Parquet file."""


def read_rows(path: Path, features: FeatureSpec) -> Any:
    """Return a file's rows as a `Predictor` takes them.

    Raises:
        SecureFlowError: `invalid_file` for a file that is neither; `malformed_cell` for a word in
            a column of numbers.
    """
    data = read_bytes(path)
    if path.suffix.lower() in _PARQUET or data.startswith(_MAGIC):
        return _table(path, data, features)
    numeric = {name for name, _ in features.input_bounds}
    return list(_records(path, data.decode("utf-8-sig", "replace"), numeric))


def _table(path: Path, data: bytes, features: FeatureSpec) -> Any:
    """Return the columns that the model uses as an Arrow table."""
    import pyarrow as pa  # CSV needs neither
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        wanted = [name for name in file.schema_arrow.names if name in features.inputs]
        return file.read(wanted)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise SecureFlowError(
            "invalid_file",
            t("{path} cannot be read as Parquet.", path=path),
            t("Name a file whose name matches its content: CSV in UTF-8, or Parquet."),
        ) from error


def _records(path: Path, text: str, numeric: set[str]) -> Iterator[dict[str, float | str | None]]:
    table = csv.DictReader(io.StringIO(text))
    try:
        if not table.fieldnames:
            raise SecureFlowError("invalid_file", t("{path} has no header line.", path=path))
        for number, row in enumerate(table, 1):
            yield {
                name: _cell(number, name, value, name in numeric)
                for name, value in row.items()
                if name is not None
            }
    except csv.Error as error:
        raise SecureFlowError(
            "invalid_file",
            t("{path} cannot be read as CSV: line {line}.", path=path, line=table.line_num),
            t("Name a file whose name matches its content: CSV in UTF-8, or Parquet."),
        ) from error


def _cell(row: int, name: str, text: str | None, number: bool) -> float | str | None:
    if not text:
        return None
    if not number:
        return text
    try:
        return float(text)
    except ValueError:
        raise SecureFlowError(
            "malformed_cell",
            t("Row {row}, column {name}: {text!r} is not a number.", row=row, name=name, text=text),
        ) from None
