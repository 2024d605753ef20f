"""What a step is to the engine: how it is fitted to rows, and how it is applied to them.

A step that is fitted goes through passes (`domain.specs.passes`). In each, every party adds its
rows up (`tally`), and from the totals over all parties everybody computes what comes next
(`learn`): a *state* of each column, JSON, which after the last pass is the column's fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.tables import Categories, Numbers, Table
from secureflow.engines.preparation.steps.values import Codes, Numbers64, Values

State = Mapping[str, Any]
"""JSON: what a step knows of one column after some passes; {} before the first."""
FULL: Final = 1e-12
"""A variance below this share of the squared half-range is rounding: the column is constant."""
BLOCK: Final = 1 << 22
"""Numbers that are made of rows at a time."""
_OFFS: Final = 2.5
"""By how many times what a sum may be off, over the rows, `moments` may have a variance wrong."""


@dataclass(frozen=True)
class Cells:
    """Each row counts one in some slots: int64 (rows,) or (rows, n) of slots, −1 for none."""

    slots: NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """Each row adds a number in [−1, 1] to each slot: float64 (rows, slots); NaN adds nothing."""

    numbers: Numbers64

    def each(self) -> Numbers64:
        """Return what each row adds, float64 (rows, slots)."""
        return np.nan_to_num(self.numbers, nan=0.0)

    def added(self) -> Numbers64:
        """Return what all rows add, (slots,)."""
        return np.asarray(self.each().sum(axis=0))


@dataclass(frozen=True)
class Products:
    """Each row adds n numbers in [−1, 1], the products of each two of them, and 1.

    Args:
        numbers: float64 (rows, n); a row of NaN adds nothing.
    """

    numbers: Numbers64

    def each(self) -> Numbers64:
        """Return what each row adds, float64 (rows, n + n(n + 1)/2 + 1)."""
        numbers = np.nan_to_num(self.numbers, nan=0.0)
        first, second = np.triu_indices(numbers.shape[1])
        whole = np.where(np.isnan(self.numbers[:, :1]), 0.0, 1.0)
        return np.column_stack([numbers, numbers[:, first] * numbers[:, second], whole])

    def added(self) -> Numbers64:
        """Return what all rows add, (n + n(n + 1)/2 + 1,): in one product of matrices."""
        there = self.numbers[~np.isnan(self.numbers[:, 0])]
        pairs = (there.T @ there)[np.triu_indices(there.shape[1])]
        return np.concatenate([there.sum(axis=0), pairs, [float(len(there))]])


Tally = Cells | Sums | Products


@dataclass(frozen=True)
class Rows:
    """What a step sees of a party's rows.

    Args:
        table: the types of its columns before this step.
        values: theirs.
        label: 1.0 and 0.0 of each row, NaN for none; None if the job has no label.
        first: the place of the first of them among the party's rows.
    """

    table: Table
    values: Values
    label: Numbers64 | None = None
    first: int = 0

    def __len__(self) -> int:
        """Return how many they are."""
        return len(next(iter(self.values.values())))

    def only(self, part: slice) -> Rows:
        """Return some of them."""
        values = {name: found[part] for name, found in self.values.items()}
        label = None if self.label is None else self.label[part]
        return Rows(self.table, values, label, self.first + part.start)

    def blocks(self, width: int) -> Iterator[Rows]:
        """Yield them in blocks small enough for memory, at least one.

        Args:
            width: how many numbers are made of a row.
        """
        count = max(1, BLOCK // max(width, 1))
        for first in range(0, max(len(self), 1), count):
            yield self.only(slice(first, min(first + count, len(self))))

    def numbers(self, name: str) -> Numbers64:
        """Return a number column."""
        return self.values[name]

    def codes(self, name: str) -> Codes:
        """Return a category column."""
        return self.values[name]

    def bounds(self, name: str) -> Bounds:
        """Return the bounds of a number column."""
        return bounds_of(self.table, name)


def bounds_of(table: Table, name: str) -> Bounds:
    """Return the bounds of a number column; all that it depends on is fitted."""
    held = table[name]
    if not isinstance(held, Numbers) or held.bounds is None:
        raise AssertionError(name)  # the schedule fits what it depends on first
    return held.bounds


def categories_of(table: Table, name: str) -> tuple[str, ...]:
    """Return the categories of a category column."""
    held = table[name]
    if not isinstance(held, Categories):
        raise AssertionError(name)  # the spec was checked
    return held.names


def unit_scaled(values: Numbers64, bounds: Bounds) -> Numbers64:
    """Return numbers scaled from their bounds to −1 … 1."""
    low, high = bounds
    return np.asarray((np.clip(values, low, high) - (low + high) / 2) / ((high - low) / 2))


def moment_tally(rows: Rows, name: str) -> Sums:
    """Return u, 2u² − 1 and 1 of each row, u being the number scaled to −1 … 1."""
    scaled = unit_scaled(rows.numbers(name), rows.bounds(name))
    return Sums(np.column_stack([scaled, 2 * scaled**2 - 1, np.where(np.isnan(scaled), 0.0, 1.0)]))


def unresolved(count: float, off: float) -> float:
    """Return the variance of numbers scaled to −1 … 1 that cannot be told from 0.

    Args:
        count: the rows.
        off: by how much a sum of them may be off.
    """
    return max(FULL, _OFFS * off / max(count, 1.0))


def moments(totals: Numbers64, bounds: Bounds, off: float) -> tuple[float, float, float]:
    """Return mean, variance (ddof 0) and count of `moment_tally`'s totals.

    Without a row it is the middle of the bounds, and 0; noise leaves no variance below 0.
    """
    low, high = bounds
    middle, half = (low + high) / 2, (high - low) / 2
    count = float(totals[2])
    if count < 0.5:
        return middle, 0.0, max(count, 0.0)
    mean = min(max(float(totals[0]) / count, -1.0), 1.0)
    square = min(max((float(totals[1]) / count + 1) / 2, 0.0), 1.0)
    variance = square - mean**2
    if variance <= unresolved(count, off):
        variance = 0.0
    return middle + half * mean, variance * half**2, count


@dataclass(frozen=True)
class Learning:
    """What a step knows when it learns from totals: itself, the table before it, earlier fits.

    Args:
        step: the step.
        table: the types before it, with bounds.
        private: whether totals hold noise.
        last: whether this pass is the column's last.
        off: by how much rounding may have moved a total; 0 if it holds noise.
        fits: of the steps before it, in order; None where one is not fitted, or not needed.
    """

    step: Any
    table: Table
    private: bool
    last: bool
    off: float
    fits: tuple[Mapping[str, Any] | None, ...] = ()


def _nothing(step: Any, number: int, state: State, rows: Rows, name: str) -> Tally:
    raise AssertionError(step.step, number, state, rows, name)


def _no_lesson(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    raise AssertionError(about.step, number, state, totals, name)


@dataclass(frozen=True)
class StepEngine:
    """One step.

    Args:
        apply: from the step, the rows and its fit to the columns that it writes; `strict` refuses
            a cell that fits nothing. A column that it drops is not among them.
        tally: from step, number of the pass, the column's state, rows and column to the tally.
        learn: from the facts, number of the pass, state, totals and column to the next state.
        fit: from the facts to the fit of a step that learns without a pass of its own.
    """

    apply: Callable[[Any, Rows, Mapping[str, Any], bool], dict[str, NDArray[Any]]]
    tally: Callable[[Any, int, State, Rows, str], Tally] = _nothing
    learn: Callable[[Learning, int, State, Numbers64, str], dict[str, Any]] = _no_lesson
    fit: Callable[[Learning], dict[str, Any]] = field(default=lambda _about: {"columns": {}})
