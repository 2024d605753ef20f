"""Each row's addition to the slots: whole numbers of at most `UNIT`, from clamped values.

No row makes this fail, because an error that one row can cause would reveal it: an infinite value
counts as the bound, a missing one or an unknown category leaves the row out of the queries that
need it. Only values that no conforming source gives (text in a numeric column, columns of unequal
length) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.summed import SummedColumn
from secureflow.engines.preparation.columns import Columns, column, malformed_cell
from secureflow.engines.preparation.units import kept_rows
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.engines.statistics.layout import UNIT, QueryLayout, cell_edges, layout
from secureflow.kit.errors import SecureFlowError

Integers = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One number of each row that counts, with the job's slot to which it is added."""

    slots: Integers
    numbers: Integers


def parts(
    spec: StatisticsSpec,
    own: OwnBounds,
    columns: Columns,
    units: NDArray[Any] | None,
    key: bytes,
) -> Iterator[tuple[QueryLayout, tuple[Part, ...]]]:
    """Yield the rows' additions to each query.

    Args:
        spec: a checked spec.
        own: this owner's declaration.
        columns: every column that the spec names, or any one if it names none.
        units: the unit of each row; None only if the unit is the record.
        key: secret; it selects among the rows of a unit that has too many (`kept_rows`).

    Raises:
        SecureFlowError: `missing_column`, `malformed_cell`.
    """
    read = _Reader(spec, own, columns, units, key)
    for place in layout(spec):
        yield place, read.query(place)


def exact_sums(
    spec: StatisticsSpec,
    own: OwnBounds,
    columns: Columns,
    units: NDArray[Any] | None,
    key: bytes,
) -> Integers:
    """Return a party's sums *without* noise, for comparison in benchmarks and tests."""
    total = np.zeros(sum(place.slots for place in layout(spec)), np.int64)
    for _, query_parts in parts(spec, own, columns, units, key):
        for part in query_parts:
            np.add.at(total, part.slots, part.numbers)
    return total


class _Reader:
    """The columns of one party, each read once."""

    def __init__(
        self,
        spec: StatisticsSpec,
        own: OwnBounds,
        columns: Columns,
        units: NDArray[Any] | None,
        key: bytes,
    ) -> None:
        if units is None and spec.privacy.unit == "person":
            raise SecureFlowError(
                "missing_column",
                "The job protects persons, but no column says whose each row is.",
                "Name that column as `person` in the dataset's privacy section.",
            )
        self._own = own
        self._spec = spec
        self._read = {c.column: _read(c, column(columns, c.column)) for c in spec.columns}
        lengths = {name: len(values) for name, values in self._read.items()}
        if units is not None:
            lengths["unit"] = len(units)
        if not lengths:  # only counts of all rows are requested: any column will do
            lengths = {name: len(values) for name, values in columns.items()}
        if not lengths:
            raise SecureFlowError(
                "missing_column",
                "No column was read, so rows cannot be counted.",
                "Read any column of the dataset.",
            )
        self._rows = max(lengths.values())
        for name, length in lengths.items():
            if length != self._rows:
                raise malformed_cell(name, length, "the column ends before the others")
        self._kept = np.ones(self._rows, np.bool_)
        if units is not None:
            self._kept = kept_rows(units, min(own.rows_per_unit, spec.contributions), key)

    def query(self, place: QueryLayout) -> tuple[Part, ...]:
        query = place.query
        chosen = self._kept.copy()
        group = np.zeros(self._rows, np.int64)
        if query.by is not None:
            group = self._categories(query.by)
            chosen &= group >= 0
        if query.column is None:
            return (_constant(place, group[chosen]),)
        declared = self._spec.column(query.column)
        if declared.type == "category":
            cell = self._categories(query.column)
            chosen &= cell >= 0
            return _of_category(place, group[chosen], cell[chosen])
        raw = self._read[query.column]
        chosen &= ~np.isnan(raw)
        values = np.clip(raw[chosen], *self._own.range_of(declared))
        low, high = declared.bounds or (0.0, 0.0)
        return _of_number(place, group[chosen], values, low, high)

    def _categories(self, name: str) -> Integers:
        """Return each row's position among the spec's categories, −1 for missing or unknown."""
        declared = self._spec.column(name)
        known = self._own.known(declared)
        codes = {text: at for at, text in enumerate(declared.categories) if text in known}
        found = (codes.get(value, -1) for value in self._read[name].tolist())
        return np.fromiter(found, np.int64, self._rows)


def _read(declared: SummedColumn, raw: NDArray[Any]) -> NDArray[Any]:
    if declared.type == "category":
        # A value that is not text (and perhaps not hashable) is none of the categories.
        texts = [value if isinstance(value, str) else None for value in raw.tolist()]
        return np.array(texts, object)
    try:
        return np.asarray(raw, np.float64)
    except (TypeError, ValueError):
        # `from None`: the original message would quote the cell.
        raise malformed_cell(declared.column, 0, "the column holds text") from None


def _constant(place: QueryLayout, group: Integers, offset: int = 0) -> Part:
    slots = place.first + group * place.each + offset
    return Part(slots, np.full(len(group), UNIT, np.int64))


def _of_category(place: QueryLayout, group: Integers, cell: Integers) -> tuple[Part, ...]:
    if place.query.measure == "count":
        return (_constant(place, group),)
    return (_cell(place, group, cell),)


def _of_number(
    place: QueryLayout, group: Integers, values: Values, low: float, high: float
) -> tuple[Part, ...]:
    measure = place.query.measure
    if measure == "count":
        return (_constant(place, group),)
    if measure in {"histogram", "quantile"}:
        return _of_cells(place, group, values, low, high)
    first = place.first + group * place.each
    if measure == "sum" and place.privacy.noise != "local":
        return (Part(first, _steps(values / max(abs(low), abs(high)))),)
    centred = (values - (low + high) / 2) / ((high - low) / 2)
    found = [Part(first, _steps(centred))]
    if measure == "variance":
        found.append(Part(first + 1, _steps(2 * centred**2 - 1)))
    return (*found, _constant(place, group, len(found)))


def _of_cells(
    place: QueryLayout, group: Integers, values: Values, low: float, high: float
) -> tuple[Part, ...]:
    # With exactly the edges in the answer: arithmetic rounds some values into the cell below.
    edges = cell_edges(low, high, place.cells)
    cell = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, place.cells - 1)
    if place.query.measure == "histogram":
        return (_cell(place, group, cell),)
    found, offset = [], 0
    for width, nodes in zip(place.widths, place.levels, strict=True):
        found.append(_cell(place, group, cell // width, offset))
        offset += nodes
    return tuple(found)


def _cell(place: QueryLayout, group: Integers, cell: Integers, offset: int = 0) -> Part:
    slots = place.first + group * place.each + offset + cell
    return Part(slots, np.full(len(cell), UNIT, np.int64))


def _steps(values: Values) -> Integers:
    """Round values in [−1, 1] to steps: none exceeds `UNIT`, so rounding adds no sensitivity."""
    return np.rint(np.clip(values, -1.0, 1.0) * UNIT).astype(np.int64)
