"""What one party's rows can add up to: refused before it is added, so that nobody invents a tree.

A party says how many rows n it sums (`sums[0]`), at most `limits.max_weight`. In steps u of the
fixed point (`UNIT`; rows beyond what may count are shrunk together to n · u) it holds that:

| round | of a party's sums                                                                    |
|-------|--------------------------------------------------------------------------------------|
| 1     | counts are ≥ 0 and those of each number add up to n; to at most n if it has gaps      |
| level | cells of nodes that are not open are 0, second derivatives are ≥ 0                    |
| level | the cells of each input of a node add up to the same Σg and the same Σh               |
| level | Σh ≤ n·u/4 (logistic) or n·u (squared) over all open nodes                            |
| level | squared: in each cell |Σg| ≤ 64·Σh                                                    |
| level | logistic: A = Σ|cell of g| of an input ≤ n·u/2 + √((n·u)²/4 − n·u·Σh)                 |

The last one links both: a row has h = |g|·(1 − |g|), which is concave in |g|. So Σh/nu is at most
U·(1 − U) for the mean U of |g|, and A ≤ n·u·U. A row's rounding moves each sum by at most half a
step: n steps are allowed for that. A cell alone is not bounded by more: it does not say its rows.

A party that invents *rows*, the same in every level, stays within all of that, as it does in every
family: it weighs no more than `max_weight` rows. For the same reason no level is compared with the
one before. It would take each party's histogram until the split is known, and stop only who
invents other rows in each level.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secureflow.engines.trees.growing import open_nodes
from secureflow.engines.trees.layout import (
    LIMIT,
    STEEPEST,
    UNIT,
    Floats,
    Layout,
    Whole,
    parts_of,
    split_sums,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_rows(layout: Layout, model: Floats, sums: Whole, rows: int) -> None:
    """Refuse sums that so many rows of one party cannot have.

    Args:
        layout: the job's.
        model: from which the round starts.
        sums: of the party, (length,).
        rows: how many it says it has.

    Raises:
        SecureFlowError: `update_shape_wrong`, `value_out_of_bounds`.
    """
    if sums.shape != (layout.length,) or sums.dtype != np.int64:
        raise SecureFlowError(
            "update_shape_wrong", "The histograms do not have the shape of this job's trees."
        )
    if int(sums.max()) > LIMIT or int(sums.min()) < -LIMIT:
        raise _refused("a cell is beyond what rows can have", rows)
    parts = parts_of(layout, model)
    if not parts.known:
        _check_counts(layout, sums, rows)
        return
    level = 2 * layout.widest * layout.cells
    gradients, seconds = split_sums(layout, sums)
    nodes = open_nodes(layout, parts) - ((1 << parts.level) - 1)
    closed = np.ones(layout.widest, np.bool_)
    closed[nodes] = False
    if sums[level:].any() or _any(gradients, closed) or _any(seconds, closed):
        raise _refused("a cell of no open node is not zero", rows)
    _check_level(layout, ((gradients[one], seconds[one]) for one in nodes), rows)


def _check_counts(layout: Layout, sums: Whole, rows: int) -> None:
    """Check the counts of round 1."""
    cells = layout.numbers * layout.fine
    if int(sums.min()) < 0:
        raise _refused("a count is negative", rows)
    if sums[cells:].any():
        raise _refused("a cell of no number is not zero", rows)
    counted = sums[:cells].reshape(layout.numbers, layout.fine).sum(axis=1)
    for count, gaps in zip(counted.tolist(), layout.gaps, strict=True):
        if count > rows or (count < rows and not gaps):
            raise _refused("the cells of a number do not add up to them", rows)


def _check_level(layout: Layout, nodes: Iterator[tuple[Whole, Whole]], rows: int) -> None:
    """Check Σ gradients and Σ second derivatives of the cells of each open node."""
    most, curved = rows * UNIT, 0
    slopes = [0] * layout.width
    for gradients, seconds in nodes:
        if int(seconds.min()) < 0:
            raise _refused("a second derivative is negative", rows)
        if layout.squared and (np.abs(gradients) > STEEPEST * seconds).any():
            raise _refused("a gradient is beyond its rows", rows)
        totals = _by_input(layout, gradients), _by_input(layout, seconds)
        if any((one != one[0]).any() for one in totals):
            raise _refused("the cells of two inputs of a node do not add up to the same", rows)
        curved += int(totals[1][0])
        own = _by_input(layout, np.abs(gradients)).tolist()
        slopes = [before + one for before, one in zip(slopes, own, strict=True)]
    if curved * (1 if layout.squared else 4) > most:
        raise _refused("second derivatives are of more rows", rows)
    if not layout.squared and not _linked(max(slopes) - rows, max(curved - rows, 0), most):
        raise _refused("gradients are of more rows, or of others than second derivatives", rows)


def _linked(slope: int, curved: int, most: int) -> bool:
    """Tell whether `slope` ≤ ½ most + √(¼ most² − most · curved), exactly."""
    beyond = 2 * slope - most
    return beyond <= 0 or beyond * beyond <= most * most - 4 * most * curved


def _by_input(layout: Layout, cells: Whole) -> Whole:
    """Return the sum of each input's cells of a node, (width,); within 64 bits by `LIMIT`."""
    return np.asarray(np.add.reduceat(cells, layout.offsets))


def _any(table: Whole, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bool:
    return any(bool(table[row].any()) for row in np.flatnonzero(rows))


def _refused(reason: str, rows: int) -> SecureFlowError:
    return SecureFlowError(
        "value_out_of_bounds",
        Text("No {rows} rows have these histograms: {reason}.", rows=rows, reason=reason),
        "Use the trainer of this version: it adds up rows.",
    )
