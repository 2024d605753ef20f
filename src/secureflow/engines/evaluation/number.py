"""The figures of a target that is a number: errors in the label's own unit, R², residuals.

Intervals follow from moments by the delta method; that of a squared error on the log scale, because
few great errors make its distribution skew. R² compares with the mean of the evaluated rows.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from secureflow.engines.evaluation.intervals import Interval, Z
from secureflow.engines.evaluation.layout import Floats, Grid, NumberForm
from secureflow.engines.evaluation.sums import Sums
from secureflow.kit.canonical import JSON

_BARS: Final = 40
"""Most bars of a histogram, about."""


def figures(form: NumberForm, sums: Sums) -> dict[str, float]:
    """Return the figures that the rows define; `mse`, `rmse`, `mae`, `bias` in the label's unit."""
    rows = sums.rows
    if rows < 0.5:
        return {"rows": 0}
    e2, absolute = _errors(sums)
    half = form.half
    found: dict[str, float] = {
        "rows": round(rows),
        "mse": half**2 * e2,
        "rmse": half * math.sqrt(e2),
        "mae": half * absolute,
        "bias": half * sums.numbers["e"] / rows,
        "target_mean": form.middle + half * min(max(sums.numbers["z"] / rows, -1.0), 1.0),
    }
    if (spread := _variance(sums)) > 0:
        found["target_deviation"] = half * math.sqrt(spread)
        found["r2"] = 1.0 - e2 / spread
    return found


def bounds(form: NumberForm, sums: Sums, parties: int, unit: int) -> dict[str, float]:
    """Return by how much the exact figure of the rows may differ, as `binary.bounds` does."""
    rows = sums.rows
    if rows < 0.5:
        return {}
    steps = 0.5 if form.private else parties / 2 / rows
    off = {name: factor / unit * steps for name, factor in form.factors.items()}
    half, (e2, _) = form.half, _errors(sums)
    found = {
        "mse": half**2 * off["e2"],
        "rmse": half * min(math.sqrt(off["e2"]), off["e2"] / max(math.sqrt(e2), 1e-12)),
        "mae": half * off["abs"], "bias": half * off["e"], "target_mean": half * off["z"],
    }  # fmt: skip
    if (spread := _variance(sums)) > 0:
        moved = off["z2"] + 2 * off["z"]
        found["target_deviation"] = half * min(math.sqrt(moved), moved / math.sqrt(spread))
        if moved < spread:
            found["r2"] = (off["e2"] + e2 / spread * moved) / (spread - moved)
    return found


def chance(form: NumberForm, sums: Sums) -> dict[str, Interval]:
    """Return 95 % intervals of what chance in the rows does to the figures."""
    rows = sums.rows
    if rows < 0.5:
        return {}
    half, (e2, absolute) = form.half, _errors(sums)
    bias = sums.numbers["e"] / rows
    wide = Z * math.sqrt(max(e2 - absolute**2, 0.0) / rows)
    aside = Z * math.sqrt(max(e2 - bias**2, 0.0) / rows)
    found = {
        "mae": (half * max(0.0, absolute - wide), half * (absolute + wide)),
        "bias": (half * (bias - aside), half * (bias + aside)),
    }
    fourth = _fourth(form, sums)
    if e2 > 0:
        ratio = Z * math.sqrt(max(fourth - e2**2, 0.0) / rows) / e2
        low, high = e2 * math.exp(-min(ratio, 50.0)), e2 * math.exp(min(ratio, 50.0))
        found["mse"] = half**2 * low, half**2 * high
        found["rmse"] = half * math.sqrt(low), half * math.sqrt(high)
    if (spread := _variance(sums)) > 0:
        share, deviation = 1.0 - e2 / spread, _r2_deviation(form, sums, fourth)
        found["r2"] = share - Z * deviation, min(1.0, share + Z * deviation)
    return found


def _r2_deviation(form: NumberForm, sums: Sums, fourth: float) -> float:
    """Return the standard error of R² = 1 − A/B, with A the mean of e² and B the variance of z.

    Its influence function is −(e² − A)/B + A·((z − μ)² − B)/B². Noised sums hold no products of e²
    and z: they are taken to be independent, and z to be as flat as within its bounds it can be.
    """
    rows, (error, _) = sums.rows, _errors(sums)
    spread = _variance(sums)
    mu = sums.numbers["z"] / rows
    if form.private:
        centred = min((1 + abs(mu)) ** 2 * spread, 3.0 * spread**2) - spread**2
        joint = 0.0
    else:
        z2, z3, z4 = (sums.numbers[name] / rows for name in ("z2", "z3", "z4"))
        centred = z4 - 4 * mu * z3 + 6 * mu**2 * z2 - 3 * mu**4 - spread**2
        e2z, e2z2 = (sums.numbers[name] / rows for name in ("e2z", "e2z2"))
        joint = e2z2 - 2 * mu * e2z + mu**2 * error - error * spread
    squares = (fourth - error**2) / spread**2 + error**2 * centred / spread**4
    return math.sqrt(max(squares - 2 * error * joint / spread**3, 0.0) / rows)


def curves(form: NumberForm, sums: Sums) -> dict[str, JSON]:
    """Return what pictures show: `residuals` and `predictions`, bars (from, to, rows)."""
    if sums.rows < 0.5:
        return {}
    residuals = _bars(form.residuals, sums.cells["residuals"], 0.0, form.half)
    predicted = _bars(form.predictions, sums.cells["predictions"], form.middle, form.half)
    return {"residuals": residuals, "predictions": predicted}


def _bars(grid: Grid, counts: Floats, middle: float, half: float) -> list[list[float]]:
    """Return neighbouring cells together, over all that have rows; the end cells are drawn out."""
    filled = np.flatnonzero(counts)
    if not filled.size:
        return []
    first, last = int(filled[0]), int(filled[-1]) + 1
    step = max(1, math.ceil((last - first) / _BARS))
    edges = grid.edges
    ends = np.concatenate([[2 * edges[0] - edges[1]], edges, [2 * edges[-1] - edges[-2]]])
    found = []
    for one in range(first, last, step):
        to = min(one + step, last)
        place = [middle + half * float(ends[at]) for at in (one, to)]
        found.append([*place, float(round(counts[one:to].sum()))])
    return found


def _errors(sums: Sums) -> tuple[float, float]:
    """Return the mean of e² and of |e|, in scaled units, at least 0."""
    squares, absolute = (max(sums.numbers[name] / sums.rows, 0.0) for name in ("e2", "abs"))
    return squares, absolute


def _variance(sums: Sums) -> float:
    """Return the variance of z; below a billionth of the mean square it is rounding, and 0."""
    mu, square = (sums.numbers[name] / sums.rows for name in ("z", "z2"))
    found = square - mu**2
    return min(found, 1.0) if found > 1e-9 * max(square, 1e-9) else 0.0


def _fourth(form: NumberForm, sums: Sums) -> float:
    """Return the mean of e⁴; of noised sums that of the residuals' cells."""
    if not form.private:
        return (sums.numbers["e4"] + sums.numbers["e4_small"]) / sums.rows
    counts = sums.cells["residuals"]
    total = float(counts.sum())
    return float((counts * form.residuals.middles**4).sum()) / total if total > 0 else 0.0
