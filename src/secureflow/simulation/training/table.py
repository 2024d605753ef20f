"""The rows of a simulation: one table, read by the code that an agent's worker reads with."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.datasources import SourceLimits, check_keys, open_source
from secureflow.adapters.datasources.folderinspection import inspect_data
from secureflow.adapters.datasources.inspection import (
    check_named,
    column_names,
    counts,
    file_format,
    read_column,
)
from secureflow.domain.schemas import (
    ColumnConfig,
    DataFormat,
    DatasetConfig,
    check_dataset,
)
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.inputs import ArrayFeature, ImageFeature, TensorFeature
from secureflow.domain.specs.training import ClassesLabel, FeatureSpec, Label
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import named_fields, read_yaml
from secureflow.kit.text import Text
from secureflow.simulation.training.misfits import of_file

LIMITS: Final = SourceLimits(max_bytes=4 << 30, max_rows=50_000_000)
_NAME: Final = "table"

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """The columns that a spec uses, and the one that divides the rows.

    Args:
        columns: name → cells; numbers as float64 (NaN missing), images and arrays with a row in
            their first dimension, the rest as `str` or None.
        by: the cells of the column that divides the rows, if it is named.
        keys: each row's key, if it is named: numbers, or `str` and None.
        files: the name of each file that the rows are of, and how many are.
    """

    columns: Columns
    by: NDArray[Any] | None = None
    keys: NDArray[Any] | None = None
    files: tuple[tuple[str, int], ...] = ()

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def part(self, chosen: NDArray[np.bool_] | slice) -> Columns:
        """Return the columns of some rows."""
        return {name: _as_read(cells[chosen]) for name, cells in self.columns.items()}

    def by_file(self) -> Iterator[Columns]:
        """Yield the columns of each file."""
        start = 0
        for _, rows in self.files:
            yield self.part(slice(start, start + rows))
            start += rows

    def place(self, index: int) -> tuple[str, int]:
        """Return the file of a row, and which one of it (from 1) it is."""
        for name, rows in self.files:
            if index < rows:
                return name, index + 1
            index -= rows
        raise IndexError(index)


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    names = tables[0].columns
    keys = [one.keys for one in tables if one.keys is not None]
    return Table(
        {name: np.concatenate([one.columns[name] for one in tables]) for name in names},
        keys=np.concatenate(keys) if keys else None,
        files=tuple(file for one in tables for file in one.files),
    )


def _as_read(cells: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as numbers that were joined to the words of another file."""
    if cells.dtype != object or not len(cells) or not isinstance(cells[0], float):
        return cells
    return cells.astype(np.float64)


def read_table(
    path: Path,
    features: FeatureSpec,
    by: str = "",
    *,
    key: str = "",
    owner: DatasetConfig | None = None,
    tolerant: bool = False,
    name: str = "",
) -> Table:
    """Read the columns that a job uses.

    Args:
        path: a CSV or Parquet file; a folder of images, or of `COLUMN.npy`.
        features: the job's.
        by: a further column, of any kind.
        key: the column that says whose a row is, for a job that holds rows out by key.
        owner: the declaration that an owner would publish; None for one that holds whatever the
            file holds.
        tolerant: read cells that do not fit as missing, as under differential privacy.
        name: what errors call the file.

    Raises:
        SecureFlowError: `invalid_file`, `unknown_column`, `empty_dataset`; those of
            `DataSource.read`, said of the file.
    """
    name = name or path.name or str(path)
    with of_file(name, features, declared=owner is not None):
        table = _read(path, features, by, owner, tolerant=tolerant)
        keys = _keys(path, key, tolerant=tolerant) if key else None
    if not table.rows:
        raise SecureFlowError(
            "empty_dataset",
            Text("{name} has no row.", name=name),
            "Name a file with rows.",
        )
    return replace(table, keys=keys, files=((name, table.rows),))


def _read(
    path: Path, features: FeatureSpec, by: str, owner: DatasetConfig | None, *, tolerant: bool
) -> Table:
    asked = (*features.columns, *([by] if by else []))
    if path.is_dir():
        return _folder(path, features, asked, by, owner, tolerant=tolerant)
    kind = file_format(path)
    check_named(path, asked, column_names(path, kind))
    if owner is None:
        declared = _declared(features, _numeric_label(path, kind, features))
        config = DatasetConfig(path.name, str(path), kind, declared)
    else:
        config = replace(owner, path=str(path), format=kind, index=None)
    columns = open_source(config, LIMITS, tolerant=tolerant).read(features.columns)
    return Table(columns, _dividing(path, kind, by) if by else None)


def _keys(path: Path, key: str, *, tolerant: bool) -> NDArray[Any]:
    """Return each row's key; under differential privacy a row may have none."""
    if path.is_dir():
        draft = inspect_data(path)
        check_named(path, (key,), [one.name for one in draft.columns])
        declared = (
            ColumnConfig(key, "number" if _is_numeric(path, draft.format, key) else "text"),
        )
        config = DatasetConfig(path.name, str(path), draft.format, declared, index=draft.index)
        keys = open_source(config, LIMITS, tolerant=True).read((key,))[key]
    else:
        kind = file_format(path)
        check_named(path, (key,), column_names(path, kind))
        keys = _dividing(path, kind, key)
    if not tolerant:
        check_keys(path.name, key, keys)
    return keys


def _is_numeric(path: Path, kind: DataFormat, name: str) -> bool:
    """Tell whether a folder holds numbers in a column of one dimension."""
    if kind != "arrays":
        return False
    cells = np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return cells.ndim == 1 and cells.dtype.kind in "fiu"


def read_owners(path: Path) -> list[DatasetConfig]:
    """Read declarations: one, a list, or those of an agent's configuration.

    Args:
        path: the file; `FILE:NAME` is the one dataset of this name in it.

    Raises:
        SecureFlowError: `invalid_file`, `invalid_dataset`, `contradictory_schema`;
            `invalid_request` for a name that the file does not declare.
    """
    file, _, chosen = str(path).rpartition(":")
    if not file or path.exists():
        return _owners(path)
    owners = _owners(Path(file))
    found = [one for one in owners if one.name == chosen]
    if not found:
        raise SecureFlowError(
            "invalid_request",
            Text("{path} declares no dataset {name!r}.", path=file, name=chosen),
            Text("It declares: {names}.", names=", ".join(one.name for one in owners)),
        )
    return found


def _owners(path: Path) -> list[DatasetConfig]:
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
    """Yield the path of the rows of a path, an Arrow table, a data frame, or arrays by column."""
    if isinstance(data, str | Path):
        path = Path(data)
        yield path if path.name else path.resolve()  # errors name it
        return
    if isinstance(data, Mapping):
        data = _with_gaps(data) or data
    if isinstance(data, Mapping):
        with tempfile.TemporaryDirectory(prefix="secureflow-simulation-") as folder:
            _write_arrays(Path(folder), data)
            yield Path(folder)
        return
    import pyarrow as pa  # a simulation of a file needs it no earlier
    import pyarrow.parquet as pq

    table = data if isinstance(data, pa.Table) else pa.Table.from_pandas(data, preserve_index=False)
    with tempfile.TemporaryDirectory(prefix="secureflow-simulation-") as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path)
        yield path


def _numeric_label(path: Path, kind: DataFormat, features: FeatureSpec) -> tuple[str, ...]:
    """Return a label of classes that the file holds as numbers: 1.0 is the class 1."""
    label = features.label
    if isinstance(label, Label | ClassesLabel) and counts(read_column(path, kind, label.column)):
        return (label.column,)
    return ()


def _folder(
    path: Path,
    features: FeatureSpec,
    asked: Sequence[str],
    by: str,
    owner: DatasetConfig | None,
    *,
    tolerant: bool,
) -> Table:
    """Read a folder of images or arrays."""
    if owner is not None and owner.is_folder:
        config = replace(owner, path=str(path))
    else:
        config = _drafted(path, features, asked, by)
    columns = open_source(config, LIMITS, tolerant=tolerant).read(tuple(dict.fromkeys(asked)))
    wanted = {name: columns[name] for name in features.columns}
    return Table(wanted, columns[by] if by else None)


def _drafted(path: Path, features: FeatureSpec, asked: Sequence[str], by: str) -> DatasetConfig:
    """Return a declaration of a folder that holds whatever it holds."""
    draft = inspect_data(path)
    check_named(path, asked, [one.name for one in draft.columns])
    categories = {one.name: one.categories for one in draft.columns if one.type == "category"}
    # The class of an image is the name of its folder, so it is declared, and not any text.
    classes = categories if draft.format == "images" and draft.index is None else {}
    further = [ColumnConfig(by, "text")] if by not in {*features.columns, ""} else []
    declared = [
        replace(one, type="category", categories=classes[one.name]) if one.name in classes else one
        for one in (*_declared(features), *further)
    ]
    return DatasetConfig(path.name, str(path), draft.format, tuple(declared), index=draft.index)


def _with_gaps(data: Mapping[Any, Any]) -> Any:
    """Return columns of which one has missing cells as an Arrow table, else None: a file of an
    array has no missing words, and would hold the word None.
    """
    import pyarrow as pa

    arrays = {str(name): np.asarray(cells) for name, cells in data.items()}
    gaps = any(None in one.tolist() for one in arrays.values() if one.dtype == object)
    if not gaps or any(one.ndim != 1 for one in arrays.values()):
        return None
    try:
        return pa.table({n: pa.array(one, from_pandas=True) for n, one in arrays.items()})
    except pa.ArrowException:  # cells of several types, columns of several lengths: told below
        return None


def _write_arrays(folder: Path, data: Mapping[Any, Any]) -> None:
    """Write a column each as `.npy`, without pickle: what is no number is text."""
    for name, cells in data.items():
        array = np.asarray(cells)
        if array.dtype.kind not in "fiu":
            array = np.array([str(cell) for cell in array.tolist()])
        elif array.ndim == 1:
            array = array.astype(np.float64)
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def _declared(features: FeatureSpec, counted: Collection[str] = ()) -> tuple[ColumnConfig, ...]:
    """Return a declaration that holds whatever the file holds: bounds clamp, and do not refuse."""
    numbers = {*counted, *(column for column, _ in features.bounds)}
    beside = {one.column: one for one in features.beside}
    return tuple(_one(name, name in numbers, beside.get(name)) for name in features.columns)


def _one(name: str, number: bool, feature: TensorFeature | None) -> ColumnConfig:
    if isinstance(feature, ImageFeature):
        return ColumnConfig(name, "image", shape=feature.shape)
    if isinstance(feature, ArrayFeature):
        return ColumnConfig(name, "array", shape=feature.shape, dtype=feature.dtype)
    return ColumnConfig(name, "number" if number else "text")


def _dividing(path: Path, kind: Any, name: str) -> NDArray[Any]:
    """Return the cells of the dividing column: numbers if all that are there are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = read_column(path, kind, name)
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers = pc.cast(column, pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)
    return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
