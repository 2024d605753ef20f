"""A data owner's declaration, and its effect on rows: never wider than the signed spec.

If a unit has more rows than its owner allows, a keyed hash of the unit and of the row's
position *among the unit's own rows* decides which of them count: neither the file's order alone nor
another unit's rows decide, so that removing a unit removes its rows and changes nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.statistics import StatisticsColumn


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

    def range_of(self, column: StatisticsColumn) -> tuple[float, float]:
        """Return the range to which a column's values are clamped, within the spec's bounds."""
        if column.bounds is None:
            raise AssertionError  # `check_statistics` refuses such a spec
        low, high = column.bounds
        own_low, own_high = self.bounds.get(column.column, column.bounds)
        return min(max(low, own_low), high), max(min(high, own_high), low)

    def known(self, column: StatisticsColumn) -> frozenset[str]:
        """Return the spec's categories that may occur here."""
        return frozenset(column.categories) & frozenset(
            self.categories.get(column.column, column.categories)
        )


def kept_rows(units: NDArray[Any], limit: int, key: bytes) -> NDArray[np.bool_]:
    """Tell which rows count if no unit may have more than `limit`.

    Args:
        units: the unit of each row: text or numbers; a row without one (None, NaN) never counts,
            because nothing would bound it.
        limit: maximum number of rows of one unit.
        key: secret, at most 64 bytes.
    """
    places: dict[Any, list[int]] = {}
    for at, unit in enumerate(units.tolist()):
        if unit is not None and unit == unit:  # noqa: PLR0124 - NaN alone differs from itself
            places.setdefault(unit, []).append(at)
    kept = np.zeros(len(units), np.bool_)
    for unit, rows in places.items():
        if len(rows) <= limit:
            kept[rows] = True
            continue
        ranks = [_rank(key, unit, place) for place in range(len(rows))]
        first = sorted(range(len(rows)), key=ranks.__getitem__)[:limit]
        kept[[rows[place] for place in first]] = True
    return kept


def _rank(key: bytes, unit: Any, place: int) -> bytes:
    text = f"{type(unit).__name__}\n{unit}\n{place}".encode()
    return hashlib.blake2b(text, digest_size=16, key=key, person=b"sf-stat-rows").digest()
