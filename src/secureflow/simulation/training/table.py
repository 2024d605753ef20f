"""The rows of a simulation: one table, read by the code that an agent's worker reads with."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.adapters.datasources.inspection import (
    check_named,
    column_names,
    counts,
    file_format,
    read_column,
)
from secureflow.domain.schemas import (
    ColumnConfig,
    ColumnType,
    DataFormat,
    DatasetConfig,
    check_dataset,
)
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import ClassesLabel, FeatureSpec, Label
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import named_fields, read_yaml
from secureflow.kit.text import Text

LIMITS: Final = SourceLimits(max_bytes=4 << 30, max_rows=50_000_000)
_NAME: Final = "table"

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """The columns that a spec uses, and the one that divides the rows.

    Args:
        columns: name → cells; numbers as float64 (NaN missing), the rest as `str` or None.
        by: the cells of the column that divides the rows, if it is named.
    """

    columns: Columns
    by: NDArray[Any] | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def part(self, chosen: NDArray[np.bool_]) -> Columns:
        """Return the columns of some rows."""
        return {name: cells[chosen] for name, cells in self.columns.items()}


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    names = tables[0].columns
    return Table({name: np.concatenate([one.columns[name] for one in tables]) for name in names})


def read_table(
    path: Path,
    features: FeatureSpec,
    by: str = "",
    *,
    owner: DatasetConfig | None = None,
    tolerant: bool = False,
) -> Table:
    """Read the columns that a job uses.

    Args:
        path: a CSV or Parquet file.
        features: the job's.
        by: a further column, of any kind.
        owner: the declaration that an owner would publish; None for one that holds whatever the
            file holds.
        tolerant: read cells that do not fit as missing, as under differential privacy.

    Raises:
        SecureFlowError: `invalid_file`, `dataset_unreadable`, `unknown_column`, `empty_dataset`;
            those of `DataSource.read`.
    """
    kind = file_format(path)
    asked = (*features.columns, *([by] if by else []))
    check_named(path, asked, column_names(path, kind))
    if owner is None:
        config = DatasetConfig(_NAME, str(path), kind, _declared(path, kind, features))
    else:
        config = replace(owner, path=str(path), format=kind)
    columns = open_source(config, LIMITS, tolerant=tolerant).read(features.columns)
    table = Table(columns, _dividing(path, kind, by) if by else None)
    if not table.rows:
        raise SecureFlowError(
            "empty_dataset",
            Text("{name} has no row.", name=path.name),
            "Name a file with rows.",
        )
    return table


def read_owners(path: Path) -> list[DatasetConfig]:
    """Read declarations: one, a list, or those of an agent's configuration.

    Raises:
        SecureFlowError: `invalid_file`, `invalid_dataset`, `contradictory_schema`.
    """
    content = read_yaml(path)
    if isinstance(content, dict) and "datasets" in content:
        content = content["datasets"]
    found = content if isinstance(content, list) else [content]
    owners = []
    for one in found:
        fields = named_fields(path, one)
        filled = {"name": _NAME, "path": _NAME, "format": "csv", **fields}
        owners.append(parse(DatasetConfig, filled, "dataset"))
        check_dataset(owners[-1])
    if not owners:
        raise SecureFlowError(
            "invalid_file",
            Text("{path} declares no dataset.", path=path),
            "Write one: secureflow agent data inspect FILE drafts it.",
        )
    return owners


@contextlib.contextmanager
def table_file(data: Any) -> Iterator[Path]:
    """Yield the path of a file with the rows of a path, an Arrow table or a data frame."""
    if isinstance(data, str | Path):
        yield Path(data)
        return
    import pyarrow as pa  # a simulation of a file needs it no earlier
    import pyarrow.parquet as pq

    table = data if isinstance(data, pa.Table) else pa.Table.from_pandas(data, preserve_index=False)
    with tempfile.TemporaryDirectory(prefix="secureflow-simulation-") as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path)
        yield path


def _declared(path: Path, kind: DataFormat, features: FeatureSpec) -> tuple[ColumnConfig, ...]:
    """Return a declaration that holds whatever the file holds: bounds clamp, and do not refuse.

    A label that the file holds as numbers stays one: 1.0 is the class 1.
    """
    numbers = {column for column, _ in features.bounds}
    label = features.label
    if isinstance(label, Label | ClassesLabel) and counts(read_column(path, kind, label.column)):
        numbers.add(label.column)
    return tuple(ColumnConfig(name, _type(name in numbers)) for name in features.columns)


def _type(number: bool) -> ColumnType:
    return "number" if number else "text"


def _dividing(path: Path, kind: Any, name: str) -> NDArray[Any]:
    """Return the cells of the dividing column: numbers if all that are there are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = read_column(path, kind, name)
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers = pc.cast(column, pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)
    return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
