"""How figures are formatted: to their significant digits, and noised ones with their error.

A figure under differential privacy carries noise of known size. It is shown with the half-width of
the noise's 95 % interval; both are rounded to two digits of the half-width, row counts to whole
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import Any, Final

from secureflow.domain.metricnames import in_words
from secureflow.kit.reading import finite, members, objects

HALF_WIDTH: Final = 1.959964
"""95 % of a normal distribution lies within this many standard errors."""
_COUNTS: Final = frozenset({"rows"})
"""Metrics that are counts: they are shown as whole numbers."""
_COUNTED: Final = frozenset({"count", "histogram"})
"""Measures of a statistic that are counts."""

STABILITY: Final = "Shift of scores (population stability index)"
"""The title of a report's section."""


@dataclass(frozen=True)
class MetricFigure:
    """A metric as it is shown: its name, its text, and whether it contains noise."""

    name: str
    text: str
    noised: bool


def figure(value: Any) -> str:
    """Format a number: up to four decimals, thousands grouped."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"


def cost(value: Any) -> str:
    """Write a cost for people, rounded up to four digits: never less than it is."""
    if not isinstance(value, int | float):
        return "?"
    up = Context(prec=4, rounding=ROUND_CEILING).create_decimal(repr(value))
    return f"{float(up):g}"


def plus_minus(value: float, error: float, *, counts: bool = False) -> str:
    """Format `value ± half-width`, both to two digits of the half-width.

    Args:
        value: the noised number.
        error: the noise's standard error, above 0.
        counts: whether the number is a count.
    """
    half = max(HALF_WIDTH * error, 1.0 if counts else 0.0)  # no noised count is certain
    digits = 1 - math.floor(math.log10(half))
    digits = min(digits, 0 if counts else 6)
    shown = max(0, digits)
    return f"{round(value, digits):,.{shown}f} ± {round(half, digits):,.{shown}f}"


def metric_figures(report: Mapping[str, Any]) -> list[MetricFigure]:
    """Return the metrics of a report or a model card as they are shown.

    Both list the errors of noised metrics in `metrics_errors`. Without it (a job of an earlier
    version) the privacy part still says whether there is noise.
    """
    errors = members(report.get("metrics_errors"))
    noised = bool(errors) or bool(members(report.get("privacy")).get("metrics_noise"))
    figures = []
    for name, value in members(report.get("metrics")).items():
        error = errors.get(name)
        if finite(value) and finite(error) and error > 0:
            text = plus_minus(value, error, counts=name in _COUNTS)
        elif name in _COUNTS and finite(value):
            text = f"{round(value):,}"
        else:
            text = figure(value)
        figures.append(MetricFigure(name, text, noised))
    return figures


def answer_figures(row: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """Return a row of a statistic's answer with its figures to two digits of the standard error.

    Further digits would be noise; row counts are shown as whole numbers.
    """
    error = row.get("standard_error")
    if not finite(error) or error <= 0:
        return dict(row)
    digits = 1 - math.floor(math.log10(error))
    figures = {"standard_error": _to(error, digits)}
    digits = min(digits, 0) if measure in _COUNTED else digits
    for name in ("value", "low", "high"):
        if finite(value := row.get(name)):
            figures[name] = _to(value, digits)
    return {**row, **figures}


def _to(value: float, digits: int) -> str:
    """Write a number with so many decimals; a negative count leaves out digits before the point."""
    return format(round(value, digits), f",.{max(0, digits)}f")


def answer_place(row: Mapping[str, Any]) -> str:
    """Say what a row of an answer is about: its group, its cell, its quantile."""
    cell = row.get("cell")
    if isinstance(cell, list):
        cell = " – ".join(f"{edge:g}" for edge in cell)
    parts = (row.get("group"), cell, row.get("quantile"))
    return " · ".join(str(part) for part in parts if part not in (None, ""))


def section_rows(section: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of a section of a kept report, as far as they have the expected shape.

    Figures of models are called in words. Reports from before call the stability index `psi`, as a
    kind of job is called.
    """
    rows = tuple(map(_worded, objects(section.get("rows"))))
    if section.get("title") != STABILITY:
        return rows
    return tuple({**row, "label": "PSI"} if row.get("label") == "psi" else row for row in rows)


def _worded(row: Mapping[str, Any]) -> Mapping[str, Any]:
    label = row.get("label")
    return {**row, "label": in_words(label)} if isinstance(label, str) else row
