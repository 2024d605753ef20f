"""Totals read back: numbers by name and groups of cells, and made consistent if they were noised.

Noised counts may be negative and do not add up. They are moved to the nearest that do: cells are
shifted equally until they agree with the separately counted rows (least squares: one cell of many
is moved by little), then each group is projected on non-negative counts of the same sum ("norm-sub"
of Wang et al. 2020, *Locally differentially private frequency estimation with consistency*).
Cutting negative counts off instead would add half the noise of every empty cell to the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from secureflow.domain.specs.summed import MOST_ROWS, UNIT
from secureflow.engines.evaluation.layout import (
    AnyForm,
    BinaryForm,
    Floats,
    Grid,
    Integers,
    NumberForm,
)
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Sums:
    """Totals over all parties, in their own units.

    Args:
        numbers: by name of a factor.
        cells: by name of a group, float64 of its shape.
    """

    numbers: Mapping[str, float]
    cells: Mapping[str, Floats]

    @property
    def rows(self) -> float:
        """How many rows there are, at least 0; under noise about."""
        return max(self.numbers["rows"], 0.0)


def read(form: AnyForm, totals: Integers | Floats, unit: int) -> Sums:
    """Return totals as numbers and cells; those of a private form are made consistent.

    Args:
        form: what was summed up.
        totals: in steps, over all parties, int64 (`form.length`,).
        unit: steps of a row that adds 1.
    """
    each = np.asarray(totals, np.float64) / unit
    numbers = {
        name: float(each[place] * factor)
        for place, (name, factor) in enumerate(form.factors.items())
    }
    cells = {}
    for name, shape in form.groups.items():
        first = form.first(name)
        cells[name] = each[first : first + math.prod(shape)].reshape(shape)
    if form.private:
        return _consistent(form, Sums(numbers, cells))
    return Sums(numbers, {name: np.maximum(counts, 0.0) for name, counts in cells.items()})


def scored_rows(form: BinaryForm | NumberForm, sums: Sums) -> tuple[Grid, Floats]:
    """Return the grid of scores or predictions, and the rows in each of its cells."""
    if isinstance(form, BinaryForm):
        return form.grid, sums.cells["positives"] + sums.cells["negatives"]
    return form.predictions, sums.cells["predictions"]


def totals_problem(
    form: AnyForm, totals: Integers, *, unit: int = UNIT, parties: int = 1
) -> Text | None:
    """Return why totals are those of no rows, or None.

    Somebody who adds arbitrary numbers to a masked sum is not seen, but is noticed here unless the
    counts still agree. `read` and all figures are defined for any totals.

    Args:
        form: what was summed up; sums of a private one need not agree, but are those of some rows.
        totals: in steps, over all parties, int64 (`form.length`,).
        unit: steps of a row that adds 1.
        parties: whose sums were added up.
    """
    most = np.abs(totals.astype(np.float64)).max()
    if most > 2.0 * parties * MOST_ROWS * unit:  # noise has a thousandth of the room
        return Text("The released sums are those of no rows: a sum is greater than its rows allow.")
    if form.private:
        return None
    rows = int(totals[0])
    numbers = np.abs(totals[: len(form.factors)].astype(np.float64))
    if rows < 0 or rows % unit or bool((numbers > rows + parties).any()):
        return Text("The released sums are those of no rows: a sum is greater than its rows allow.")
    for names, each in _COUNTED[form.name].items():
        found = [int(one) for name in names for one in _counts(form, totals, name)]
        times = form.groups["matrix"][0] - 1 if each == "others" else 1
        if min(found) < 0 or any(one % unit for one in found) or sum(found) != times * rows:
            return Text(
                "The released sums are those of no rows: counts of {group} do not add up.",
                group=", ".join(names),
            )
    return None


_COUNTED: Final[Mapping[str, Mapping[tuple[str, ...], str]]] = {
    "binary": {("positives", "negatives"): "rows"},
    "classes": {
        ("matrix",): "rows", ("own",): "rows", ("others",): "others", ("hits", "misses"): "rows",
    },
    "number": {("predictions",): "rows", ("residuals",): "rows"},
}  # fmt: skip
"""Groups of cells that hold each row once, or once for every class but its own."""


def _counts(form: AnyForm, totals: Integers, group: str) -> Integers:
    first = form.first(group)
    return totals[first : first + math.prod(form.groups[group])]


def projected(counts: Floats, total: float) -> Floats:
    """Return the nearest counts of at least 0 with a given sum, of the same shape."""
    if total <= 0:
        return np.zeros_like(counts)
    flat = counts.reshape(-1)
    ordered = np.sort(flat)[::-1]
    shifts = (np.cumsum(ordered) - total) / np.arange(1, len(ordered) + 1)
    last = int(np.flatnonzero(ordered > shifts)[-1])
    return np.asarray(np.maximum(flat - shifts[last], 0.0)).reshape(counts.shape)


def _consistent(form: AnyForm, sums: Sums) -> Sums:
    together = [["positives", "negatives"]] if form.name == "binary" else [[n] for n in sums.cells]
    cells: dict[str, Floats] = {}
    for names in together:
        count = sum(sums.cells[name].size for name in names)
        shift = (sums.rows - sum(float(sums.cells[name].sum()) for name in names)) / (count + 1)
        for name in names:
            moved = sums.cells[name] + shift
            cells[name] = projected(moved, float(moved.sum()))
    return Sums(sums.numbers, cells)
