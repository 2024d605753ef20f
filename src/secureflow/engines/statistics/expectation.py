"""How wide answers will be, before anything runs: computed from the layout, without data.

The estimates and errors are those of `answers`, for a total in which each group has a given number
of rows, spread evenly over the bounds. Only the noise counts, with all parties of the roster in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.statistics.answers import answers
from secureflow.engines.statistics.layout import UNIT, QueryLayout, layout, slots


def expected(spec: StatisticsSpec, rows: int) -> list[dict[str, Any]]:
    """Return per query the largest standard error among its answers.

    Args:
        spec: a checked spec.
        rows: rows of each group; fewer rows widen means, variances and quantiles.

    Returns:
        `{"name", "measure", "rows", "standard_error"}`; null if the noise leaves no answer.
    """
    total = np.zeros(slots(spec), np.int64)
    for place in layout(spec):
        total[place.slice] = np.rint(_even(place, rows) * UNIT).astype(np.int64)
    widths = []
    for answer in answers(spec, total, len(spec.roster)):
        errors = [row["standard_error"] for row in answer["rows"]]
        widest = None if None in errors else max(errors)
        widths.append(
            {
                "name": answer["name"],
                "measure": answer["measure"],
                "rows": rows,
                "standard_error": widest,
            }
        )
    return widths


def _even(place: QueryLayout, rows: int) -> NDArray[np.float64]:
    """Return a query's slots in rows: equal groups, values spread evenly."""
    if place.cells:
        return np.tile(_nodes(place) * rows / place.cells, len(place.groups))
    # Σu = 0, and Σ(2u² − 1) = −1/3 per row.
    each = {1: [rows], 2: [0.0, rows], 3: [0.0, -rows / 3, rows]}[place.each]
    return np.tile(np.asarray(each, np.float64), len(place.groups))


def _nodes(place: QueryLayout) -> NDArray[np.float64]:
    """Return the number of cells that each slot covers."""
    widths = place.widths or (1,)
    covered = [
        np.add.reduceat(np.ones(place.cells), np.arange(0, place.cells, width)) for width in widths
    ]
    return np.concatenate(covered)
