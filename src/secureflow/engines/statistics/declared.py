"""A data owner's declaration, and its effect on rows: never wider than the signed spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secureflow.domain.specs.summed import SummedColumn


@dataclass(frozen=True)
class OwnBounds:
    """One owner's declaration of its own data.

    Args:
        bounds: those of its numeric columns; values are clamped to them, and to the spec's.
        categories: those of its category columns; a row with another value counts as one without.
        rows_per_unit: how many rows of one unit count at most; the spec's `contributions` caps it.
    """

    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows_per_unit: int = 1

    def range_of(self, column: SummedColumn) -> tuple[float, float]:
        """Return the range to which a column's values are clamped, within the spec's bounds."""
        if column.bounds is None:
            raise AssertionError  # `check_statistics` refuses such a spec
        low, high = column.bounds
        own_low, own_high = self.bounds.get(column.column, column.bounds)
        return min(max(low, own_low), high), max(min(high, own_high), low)

    def known(self, column: SummedColumn) -> frozenset[str]:
        """Return the spec's categories that may occur here."""
        return frozenset(column.categories) & frozenset(
            self.categories.get(column.column, column.categories)
        )
