"""Quantiles by search: counts in cells of the bounds, then in cells of the cells that hold one.

The quantile q of n rows lies between the two rows of rank ⌊(n − 1)q⌋ and the next one, as in
`numpy.quantile`. Each of the two is followed into ever smaller cells; the last are 2⁻²² of the
bounds wide, and what is released is the shortest decimal number in the cell: numbers of so few
decimals that a cell holds one of them at most (whole ones within 4 million, cents within 40,000)
have their exact quantiles. Under privacy one pass is made (each costs as much),
and noised counts below 0 count as 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.passes import CELLS, FANOUT
from secureflow.engines.preparation.steps.step import Cells, State
from secureflow.engines.preparation.steps.values import Numbers64

_DIGITS: Final = 17
"""As many decimal digits tell any two float64 values apart."""


def search_tally(number: int, state: State, values: Numbers64, bounds: Bounds) -> Cells:
    """Return in which cells each row counts: of the bounds, then of each target's cell."""
    if number == 0:
        edges = np.linspace(*bounds, CELLS + 1)
        return Cells(np.where(np.isnan(values), -1, _cell(edges, values)))
    targets = state["targets"]
    found = np.full((len(values), len(targets)), -1, np.int64)
    for at, (low, high, _rank, _count) in enumerate(targets):
        inside = (values >= low) & ((values < high) | (values == high) & (high == bounds[1]))
        cell = _cell(np.linspace(low, high, FANOUT + 1), values[inside])
        found[inside, at] = at * FANOUT + cell
    return Cells(found)


def _cell(edges: Numbers64, values: Numbers64) -> Any:
    return np.searchsorted(edges[1:-1], values, side="right")


def search_learn(
    number: int, state: State, totals: Numbers64, bounds: Bounds, quantiles: Sequence[float]
) -> dict[str, Any]:
    """Return the next cells of each target: [low, high, rank within, rows within]."""
    counts = np.maximum(totals, 0.0)
    if number == 0:
        edges, rows = np.linspace(*bounds, CELLS + 1), float(counts.sum())
        if rows < 1:
            return {"rows": rows, "targets": [], "shares": []}
        ends = [_ranks(rows, one) for one in quantiles]
        targets = [_target(edges, counts, rank) for low, high, _ in ends for rank in (low, high)]
        return {"rows": rows, "targets": targets, "shares": [share for _, _, share in ends]}
    found = []
    for at, target in enumerate(state["targets"]):
        low, high, rank, within = target
        part = counts[at * FANOUT : (at + 1) * FANOUT]
        if part.sum() <= 0:
            found.append(target)  # noise hides where it is
            continue
        scaled = rank * float(part.sum()) / within
        found.append(_target(np.linspace(low, high, FANOUT + 1), part, scaled))
    return {**state, "targets": found}


def _ranks(rows: float, quantile: float) -> tuple[float, float, float]:
    place = (rows - 1) * quantile
    low = math.floor(place)
    return float(low), min(low + 1.0, max(rows - 1, 0.0)), place - low


def _target(edges: Numbers64, counts: Numbers64, rank: float) -> list[float]:
    """Return the cell that holds the row of this rank (from 0)."""
    sums = np.cumsum(counts)
    at = int(np.searchsorted(sums, rank, side="right"))
    at = min(at, int(np.flatnonzero(counts)[-1]))
    before = float(sums[at - 1]) if at else 0.0
    within = float(counts[at])
    place = min(max(rank - before, 0.0), max(within - 1.0, 0.0))
    return [float(edges[at]), float(edges[at + 1]), place, within]


def found_quantiles(state: State, bounds: Bounds, quantiles: Sequence[float]) -> list[float]:
    """Return the quantiles of a finished search; without a row those of the bounds."""
    if not state["targets"]:
        low, high = bounds
        return [low + (high - low) * one for one in quantiles]
    ends = [shortest(low, high, closed=high == bounds[1]) for low, high, _, _ in state["targets"]]
    pairs = zip(ends[::2], ends[1::2], state["shares"], strict=True)
    return [_between(low, high, share) for low, high, share in pairs]


def _between(low: float, high: float, share: float) -> float:
    """Return what `numpy.quantile` does, to the last bit."""
    if share < 0.5:
        return low + (high - low) * share
    return high - (high - low) * (1 - share)


def shortest(low: float, high: float, *, closed: bool) -> float:
    """Return the number with the fewest decimals in [low, high), or in [low, high]."""
    width = high - low
    first = -math.floor(math.log10(width)) - 1 if width > 0 else _DIGITS
    for digits in range(first, first + _DIGITS):
        if digits > 300:
            break
        scale = 10.0 ** abs(digits)
        whole = math.floor(low * scale if digits > 0 else low / scale)
        for one in (whole, whole + 1):
            found = one / scale if digits > 0 else one * scale
            if low <= found < high or (closed and found == high):
                return found
    return low
