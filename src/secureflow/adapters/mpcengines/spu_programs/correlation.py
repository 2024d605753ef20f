"""Pearson's correlation of columns that lie with different parties.

Input `columns`: shape (n, d); the n-th row is about the same person everywhere. Receivers learn
`correlation`, of all parties' columns in order. The sums that come out of the shares are n times
that, and say no more.

Each party standardises its own columns and multiplies them among themselves in clear, for both
need its rows alone. Computed on shares is what takes two parties: Z_p^T Z_q, where a column of Z
has mean 0 and mean square 1. The last step, a division by n, is public.

Error: a number z is rounded to 18 bits, so by 2^-19 at most. Of one coefficient that makes at most
2^-19 (mean|z| + mean|z'|) + 2^-38 <= 2^-18 + 2^-38, by Cauchy-Schwarz; truncation adds 2^-18/n.
Sums stay within n 2^36 < 2^62 for n <= 2^25.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from .errors import RefusedError
from .whole import Array, Shapes, at_fault, bringing, on_grid

INPUTS: Final = {"columns": 2}
MAX_ROWS: Final = 1 << 25
MAX_COLUMNS: Final = 512


def prepare(inputs: Mapping[str, Array], _parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Return standardised columns, and their products among themselves, over n.

    Raises:
        RefusedError: `not_finite`, `column_constant`, `input_size`.
    """
    if "columns" not in inputs:
        return {}
    columns = np.asarray(inputs["columns"], np.float64)
    if len(columns) > MAX_ROWS or columns.shape[1] > MAX_COLUMNS:
        raise RefusedError("input_size", numbers=columns.size)
    at_fault(~np.isfinite(columns), "not_finite")
    with np.errstate(over="ignore", invalid="ignore"):
        centred = columns - columns.mean(axis=0)
        spread = np.sqrt(np.square(centred).mean(axis=0))
    if not np.isfinite(spread).all():
        raise RefusedError("ring_overflow", column=int(np.argmin(np.isfinite(spread))) + 1)
    tiny = spread <= 1e-12 * np.abs(columns).max(axis=0)
    if tiny.any():
        raise RefusedError("column_constant", column=int(np.argmax(tiny)) + 1)
    standard = centred / spread
    own = standard.T @ standard / len(standard)
    return {"columns": on_grid(standard), "own": on_grid(own)}


def slots(shapes: Shapes, _parameters: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return everybody's columns, then everybody's own products."""
    places = bringing(shapes, "columns")
    for place in places:
        width = shapes[place]["columns"][1]
        if shapes[place].get("own") != (width, width):
            raise RefusedError("peer_malformed", peer=place)
    return [(place, name) for name in ("columns", "own") for place in places]


def function(
    xp: Any, shapes: Shapes, _parameters: Mapping[str, Any]
) -> Callable[..., tuple[Any, ...]]:
    """Return: the products of every two parties' columns, and the own ones as they are."""
    count = len(bringing(shapes, "columns"))

    def products(*given: Any) -> tuple[Any, ...]:
        columns, own = given[:count], given[count:]
        crossed = [xp.matmul(one.T, other) for one, other in combinations(columns, 2)]
        return (*crossed, *(xp.add(one, 0.0) for one in own))

    return products


def finish(
    results: Sequence[Array], shapes: Shapes, _parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """Return the whole matrix: symmetric, with ones on its diagonal."""
    places = bringing(shapes, "columns")
    rows = shapes[places[0]]["columns"][0]
    widths = [shapes[place]["columns"][1] for place in places]
    starts = np.concatenate([[0], np.cumsum(widths)])
    found = np.eye(int(starts[-1]))
    pairs = list(combinations(range(len(places)), 2))
    for (one, other), block in zip(pairs, results, strict=False):
        left, right = (slice(starts[at], starts[at + 1]) for at in (one, other))
        found[left, right] = block / rows
        found[right, left] = block.T / rows
    for at, block in enumerate(results[len(pairs) :]):
        inside = slice(starts[at], starts[at + 1])
        found[inside, inside] = block
    np.fill_diagonal(found, 1.0)
    return {"correlation": np.clip(found, -1.0, 1.0)}
