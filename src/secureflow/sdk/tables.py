"""Rows of an answer as a table: for notebooks, for pandas and for Arrow.

    client.jobs.list(project).to_pandas()
    client.jobs.report(job).rounds.to_arrow()

| values of a column             | Arrow               | pandas                                   |
|--------------------------------|---------------------|------------------------------------------|
| whole numbers                  | int64               | int64, `Int64` where one is missing      |
| numbers                        | float64             | float64, NaN where one is missing        |
| true, false                    | bool                | bool, `boolean` where one is missing     |
| texts                          | string              | pandas' string dtype                     |
| unix seconds (`created`, …)    | timestamp[s, UTC]   | datetime64[s, UTC]                       |
| lists, objects, mixed values   | string: their JSON  | the same                                 |
| nothing at all                 | null                | object                                   |
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.sdk import display

_INT64: Final = 1 << 63


@dataclass(frozen=True)
class Table(Sequence[Mapping[str, Any]]):
    """Rows by column name.

    Args:
        rows: each a mapping; a name that it lacks is a missing value.
        columns: names, in order.
        title: what it is, in English, for people.
        told: the rows as people read them (rounded, with their noise), if that is otherwise.
        note: a remark below the table, in English.
    """

    rows: tuple[Mapping[str, Any], ...]
    columns: tuple[str, ...]
    title: str = ""
    told: tuple[Mapping[str, Any], ...] | None = None
    note: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, at: Any) -> Any:
        """Return a row, or several."""
        return self.rows[at]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows."""
        return iter(self.rows)

    def __repr__(self) -> str:
        """Return the first rows as plain text, in columns."""
        cells = [
            [shown(display.plain(name, row.get(name))) for name in self.columns]
            for row in (self.told or self.rows)[: display.SHOWN]
        ]
        lines = [[shown(display.word(name)) for name in self.columns], *cells]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.columns))]
        made = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
        left = len(self.rows) - display.SHOWN
        return "\n".join([*(one.rstrip() for one in made), *([f"… +{left}"] if left > 0 else [])])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        note = display.word(self.note) if self.note else ""
        return display.table(self.columns, self.told or self.rows, note, display.word(self.title))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Offer Arrow's PyCapsule interface, by which Polars and DuckDB read a table."""
        stream: object = self.to_arrow().__arrow_c_stream__(requested_schema)
        return stream

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table`; types as above."""
        import pyarrow as pa  # only tables need it

        return pa.table({
            name: _array(name, [row.get(name) for row in self.rows]) for name in self.columns
        })  # fmt: skip

    def to_pandas(self) -> Any:
        """Return a pandas frame; types as above.

        Raises:
            SecureFlowError: `missing_extra` without pandas.
        """
        return frame_of(self.to_arrow())


def frame_of(table: Any) -> Any:
    """Return an Arrow table as a pandas frame: whole numbers stay whole beside missing ones.

    Raises:
        SecureFlowError: `missing_extra` without pandas.
    """
    try:
        import pandas as pd  # an optional extra
    except ImportError:
        raise SecureFlowError(
            "missing_extra", "pandas is not installed.", install_hint("pandas")
        ) from None
    import pyarrow as pa

    frame = table.to_pandas()
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    for name in table.column_names:
        column = table[name]
        if column.null_count and column.type in nullable:
            frame[name] = pd.array(column.to_pylist(), dtype=nullable[column.type])
    return frame


def rows_of(items: Sequence[Any]) -> tuple[Mapping[str, Any], ...]:
    """Return dataclasses as rows of their own fields."""
    return tuple(
        {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
        for item in items
    )


def _array(name: str, values: list[Any]) -> Any:
    import pyarrow as pa

    found = {type(one) for one in values if one is not None}
    whole = found == {int} and all(-_INT64 <= one < _INT64 for one in values if one is not None)
    if whole and name in display.TIMES:
        return pa.array(values, pa.timestamp("s", "UTC"))
    if not found:
        return pa.nulls(len(values))
    if found == {bool}:
        return pa.array(values, pa.bool_())
    if whole:
        return pa.array(values, pa.int64())
    if float in found and found <= {int, float} and all(map(_fits, values)):
        return pa.array([None if one is None else float(one) for one in values], pa.float64())
    return pa.array([_text(one) for one in values], pa.string())


def _fits(value: Any) -> bool:
    """Tell whether a number, or None, is one of float64."""
    return not isinstance(value, int) or abs(value) < 1 << 1023


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
