"""The charts of an evaluation, each from its part of the JSON; empty where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from secureflow.application.reports.pictures.drawing import (
    Axis,
    Drawing,
    numbers,
    odds_axis,
    shares,
    within,
)
from secureflow.domain.figures import figure
from secureflow.kit.reading import lines, members, number, points


def roc(curves: Mapping[str, Sequence[tuple[float, ...]]], key: str, told: str = "") -> Markup:
    """Return ROC curves on the same axes.

    Args:
        curves: name → (share of negatives, share of positives) that are called positive.
        key: of the figure.
        told: the AUC.
    """
    if not curves:
        return Markup()
    made = Drawing(shares("Share of negatives that are called positive"), shares())
    made.rule((0, 0), (1, 1))
    for at, curve in enumerate(curves.values()):
        made.curve([(x, y) for x, y in curve], f"s{at}")
    legend = list(curves) if len(curves) > 1 else []
    return made.figure("ROC curve: share of positives that are called positive", key, told, legend)


def ks(value: Any, told: float | None, key: str) -> Markup:
    """Return the two cumulative curves, and the gap where it is greatest."""
    curve = points(members(value).get("points"), 3)
    if len(curve) < 2:
        return Markup()
    places = [one[0] for one in curve]
    made = Drawing(odds_axis(min(places), max(places), "Predicted probability"), shares())
    for at, css in ((1, "s0"), (2, "s1")):
        made.curve([(one[0], one[at]) for one in curve], css)
    names = ("log_odds", "positives", "negatives")
    gap = points([[members(value).get(name) for name in names]], 3)
    for odds, first, second in gap:
        made.rule((odds, first), (odds, second), "gap")
    return made.figure("KS: share of rows up to a score", key, figure(told),
                       ["positive", "negative"])  # fmt: skip


def gains(value: Any, key: str) -> Markup:
    """Return which share of the positives is among the rows with the highest scores."""
    curve = points(value, 2)
    if not curve:
        return Markup()
    made = Drawing(shares("Share of rows, highest scores first"), shares())
    made.rule((0, 0), (1, 1))
    made.curve([(x, y) for x, y in curve])
    return made.figure("Gains: share of all positives", key)


def lift(value: Any, key: str) -> Markup:
    """Return how many times as many positives as on average each tenth of the rows has."""
    tenths = lines(value, "depth", "group_lift", "capture")
    if not tenths:
        return Markup()
    top = max(1.0, *(line["group_lift"] for line in tenths))
    made = Drawing(shares("Share of rows, highest scores first"), numbers(0.0, top))
    before = 0.0
    for line in tenths:
        seen = f"{line['group_lift']:.2f} · {100 * line['capture']:.1f} %"
        made.bar(before, line["depth"], line["group_lift"], seen)
        before = line["depth"]
    made.rule((0, 1), (1, 1))
    return made.figure("Lift of each tenth of the rows", key, f"{tenths[0]['group_lift']:.2f}")


def calibration(value: Any, told: float | None, key: str) -> Markup:
    """Return observed rates by predicted ones, with intervals, over bars of rows."""
    groups = lines(value, "predicted", "observed", "low", "high", "rows")
    if not groups:
        return Markup()
    greatest = max(max(line["predicted"], line["observed"]) for line in groups)
    top = min(1.0, max(greatest, 0.0) * 1.15 + 0.01)
    axis = (
        shares("Predicted probability") if top > 0.6 else numbers(0, top, "Predicted probability")
    )
    up = Axis(axis.low, axis.high, axis.ticks)
    made = Drawing(axis, up)
    most = max(line["rows"] for line in groups) or 1.0
    wide = 0.012 * axis.high
    for line in groups:
        rows, at = line["rows"], line["predicted"]
        height = 0.2 * axis.high * rows / most
        made.bar(at - wide, at + wide, height, f"{rows:,.0f}", "count")
    made.rule((0, 0), (axis.high, axis.high))
    for line in groups:
        at = line["predicted"]
        made.rule((at, line["low"]), (at, line["high"]), "error")
        seen = f"{at:.4f} → {line['observed']:.4f} ({line['rows']:,.0f})"
        made.point(at, line["observed"], seen)
    return made.figure(
        "Calibration: observed rate, 95 % intervals, bars of rows", key, figure(told)
    )


def residuals(value: Any, key: str) -> Markup:
    """Return a histogram of errors (from, to, rows), with a line at 0."""
    return _histogram(value, "Residuals (prediction − target)", key, line_at=0.0)


def predictions(value: Any, key: str) -> Markup:
    """Return a histogram of predictions (from, to, rows)."""
    return _histogram(value, "Predictions", key)


def _histogram(value: Any, caption: str, key: str, line_at: float | None = None) -> Markup:
    found = [one for one in points(value, 3) if one[0] < one[1]]
    if not found:
        return Markup()
    top = max(1.0, *(one[2] for one in found))
    across = within(min(one[0] for one in found), max(one[1] for one in found))
    made = Drawing(across, numbers(0.0, top))
    for low, high, rows in found:
        made.bar(low, high, rows, f"{low:.4g} – {high:.4g}: {rows:,.0f}")
    if line_at is not None and across.low < line_at < across.high:
        made.rule((line_at, top), (line_at, 0.0), "error")
    return made.figure(caption, key)


def shift(value: Any, key: str) -> Markup:
    """Return the share of each group in the baseline beside that which was found.

    Args:
        value: the JSON of `engines.evaluation.stability`.
        key: of the figure.
    """
    groups = points(members(value).get("groups"), 2)
    if not groups:
        return Markup()
    count = len(groups)
    ticks = ((0.5, "1"), (count - 0.5, str(count)))
    named = "classes" in members(value)
    name = _PREDICTED if named else _SCORES
    made = Drawing(Axis(0.0, float(count), ticks, name), numbers(0.0, max(map(max, groups))))
    for at, (expected, found) in enumerate(groups):
        made.bar(at + 0.1, at + 0.5, expected, f"{100 * expected:.1f} %", "s1")
        made.bar(at + 0.5, at + 0.9, found, f"{100 * found:.1f} %", "s0")
    psi = figure(number(members(value).get("psi")))
    return made.figure("Share of rows in each group", key, psi, ["found", "baseline"])


_PREDICTED: Final = "Predicted class, in the order of the target"
_SCORES: Final = "Groups of the baseline, lowest scores first"
