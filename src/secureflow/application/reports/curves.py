"""The figures of a job's rounds: which there are, and of which model each is.

A round's figures are of the model that it starts from: those of round n of the model that n - 1
rounds made. The last model is measured by the evaluation. Curves show each figure at the number of
rounds behind its model, so the last model and the kept one (`kept_round`) have their place on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.bundle_family import RESERVED, ROWS

Rows = Sequence[Mapping[str, Any]]

_CURVES: Final = ("loss", "auc", "accuracy", "mae", "r2")
_FIGURES: Final = ("loss", "accuracy", "auc", "balanced_accuracy", "macro_f1", "mse", "mae", "r2")
_BESIDE: Final = ("epsilon", "survivors", "seconds")
NO_FIGURES: Final = RESERVED | {ROWS}
"""What rounds tell beside figures of a model: no sum of a bundle has such a name, but `rows`."""


def curves(history: Rows) -> list[str]:
    """Return the names of the figures that have a curve, if there are two points."""
    return [*_CURVES, *own_figures(history)]


def own_figures(history: Rows) -> list[str]:
    """Return the names of the figures that only this job has: a bundle's own sums, by row."""
    known = {*_FIGURES, *NO_FIGURES}
    named = dict.fromkeys(
        name for row in history for name, value in row.items() if isinstance(value, int | float)
    )
    return [name for name in named if name not in known]


def columns(history: Rows) -> list[str]:
    """Return the columns of the table of rounds that any round fills."""
    known = ("round", *_FIGURES), _BESIDE
    first, last = ([n for n in names if any(n in row for row in history)] for names in known)
    return [*first, *own_figures(history), *last]


def last_metrics(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of the last model; empty where only those of a kept one are known."""
    if isinstance(told := report.get("last_metrics"), Mapping):
        return told
    kept, rounds = report.get("kept_round"), report.get("rounds")
    if isinstance(kept, int) and isinstance(rounds, int) and kept < rounds:
        return {}
    metrics = report.get("metrics")
    return metrics if isinstance(metrics, Mapping) else {}


def last_row(report: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the figures of the last model under some columns; None if it has none of them."""
    metrics = last_metrics(report)
    found = {name: metrics[name] for name in names if name in metrics}
    return found or None


def model_points(
    name: str, history: Rows, last: Mapping[str, Any] | None = None
) -> list[tuple[float, float]]:
    """Return the points of a figure's curve: rounds behind the model, and the figure.

    Args:
        name: of the figure.
        history: an entry a round, in their order.
        last: the figures of the last model, if they are known.
    """
    rows = [(row["round"] - 1, row) for row in history if isinstance(row.get("round"), int)]
    if rows and last:
        rows.append((rows[-1][0] + 1, last))
    return [
        (float(rounds), float(row[name]))
        for rounds, row in rows
        if isinstance(row.get(name), int | float)
    ]
