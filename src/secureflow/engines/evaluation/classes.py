"""The figures of a target of several classes, from the confusion matrix and histograms by class.

The AUC of a class is that of its probability against all other classes together; `auc` is their
plain mean (one versus rest). Calibration is of the class that is predicted (Guo et al. 2017).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from secureflow.engines.evaluation import intervals
from secureflow.engines.evaluation.binary import roc
from secureflow.engines.evaluation.intervals import Interval, wilson
from secureflow.engines.evaluation.layout import ClassesForm, Floats
from secureflow.engines.evaluation.sums import Sums
from secureflow.kit.canonical import JSON

_CURVES: Final = 8
"""Most classes whose ROC curve is kept: those with the most rows."""
_SQUARES: Final = {"loss": "loss_squares", "brier": "brier_squares"}


def figures(form: ClassesForm, sums: Sums) -> dict[str, float]:
    """Return the figures that the rows define."""
    rows = sums.rows
    if rows < 0.5:
        return {"rows": 0}
    found: dict[str, float] = {"rows": round(rows)}
    for name in _SQUARES.keys() & form.factors.keys():
        found[name] = min(max(sums.numbers[name] / rows, 0.0), form.factors[name])
    matrix = sums.cells["matrix"]
    if matrix.sum() > 0:
        found |= of_matrix(matrix)
    if areas := list(_areas(sums).values()):
        found["auc"] = sum(areas) / len(areas)
    if not form.private:
        found["calibration_error"] = sum(
            line["rows"] * abs(line["predicted"] - line["observed"]) for line in _calibration(sums)
        ) / rows  # fmt: skip
    return found


def of_matrix(matrix: Floats) -> dict[str, float]:
    """Return the figures of a confusion matrix (class, predicted) with at least one row.

    `balanced_accuracy` is the mean recall of the classes that have rows; `macro_f1` the mean F1 of
    those that have rows or are predicted, `weighted_f1` that by their rows.
    """
    hits, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    seen, named = support > 0, support + predicted > 0
    f1 = 2 * hits[named] / (support + predicted)[named]
    return {
        "accuracy": float(hits.sum() / support.sum()),
        "balanced_accuracy": float((hits[seen] / support[seen]).mean()),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float((f1 * support[named]).sum() / support.sum()),
    }


def bounds(form: ClassesForm, sums: Sums, parties: int, unit: int) -> dict[str, float]:
    """Return by how much the exact figure of the rows may differ, as `binary.bounds` does."""
    if sums.rows < 0.5:
        return {}
    steps = 0.5 if form.private else parties / 2 / sums.rows
    names = _SQUARES.keys() & form.factors.keys()
    found = {name: form.factors[name] / unit * steps for name in sorted(names)}
    shared = []
    for own, others in _by_class(sums):
        if own.sum() > 0 and others.sum() > 0:
            shared.append(float((own / own.sum() * (others / others.sum())).sum()) / 2)
    if shared:
        found["auc"] = sum(shared) / len(shared)
    if not form.private:
        found["calibration_error"] = steps * len(_calibration(sums)) / unit
    return found


def chance(form: ClassesForm, sums: Sums) -> dict[str, Interval]:
    """Return 95 % intervals of what chance in the rows does to the figures."""
    matrix = sums.cells["matrix"]
    if sums.rows < 0.5 or matrix.sum() <= 0:
        return {}
    found = _of_classes(matrix, intervals.resampled(matrix, of_matrix))
    found["accuracy"] = wilson(float(np.trace(matrix)), float(matrix.sum()))
    if not form.private:
        for name, squares in _SQUARES.items():
            found[name] = intervals.mean(sums.numbers[name], sums.numbers[squares], sums.rows)
    return found


def _of_classes(matrix: Floats, drawn: dict[str, Interval]) -> dict[str, Interval]:
    """Return intervals of means over classes: of draws, and no narrower than their shares' own.

    Draws of rows of which all, or nearly all, are right, are right as well: alone they would have
    next to no width. Those of F1 follow from Wilson's of hits among the rows that are of a class,
    or are predicted to be, as in `binary.chance`.
    """
    hits, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    seen, named = support > 0, support + predicted > 0
    involved = (support + predicted - hits)[named]
    f1 = [_f1(*one) for one in zip(hits[named], involved, strict=True)]
    own = {
        "balanced_accuracy": intervals.mean_of_shares(
            list(zip(hits[seen], support[seen], strict=True))
        ),
        "macro_f1": intervals.mean_of(f1),
        "weighted_f1": intervals.mean_of(f1, support[named]),
    }
    wider = {
        name: (min(low, drawn[name][0]), max(high, drawn[name][1]))
        for name, (low, high) in own.items()
    }
    return {**drawn, **wider}


def _f1(hits: float, involved: float) -> tuple[float, float, float]:
    """Return F1 and its interval; it grows with the share of hits alone."""
    share, low, high = (2 * one / (1 + one) for one in (hits / involved, *wilson(hits, involved)))
    return share, low, high


def curves(form: ClassesForm, sums: Sums) -> dict[str, JSON]:
    """Return what pictures show: `matrix`, `classes`, and of exact sums `roc`, `calibration`."""
    matrix = sums.cells["matrix"]
    if sums.rows < 0.5 or matrix.sum() <= 0:
        return {}
    whole = [[round(one) for one in line] for line in matrix.tolist()]
    found: dict[str, JSON] = {
        "matrix": {"classes": list(form.classes), "rows": whole},
        "classes": _lines(form, sums),
    }
    if form.private:
        return found
    found["calibration"] = _calibration(sums)
    by_class = list(_by_class(sums))
    order = sorted(range(len(by_class)), key=lambda one: (-float(by_class[one][0].sum()), one))
    found["roc"] = [
        {"class": form.classes[one], "points": roc(*by_class[one])}
        for one in order[:_CURVES]
        if by_class[one][0].sum() > 0 and by_class[one][1].sum() > 0
    ]
    return found


def _lines(form: ClassesForm, sums: Sums) -> list[dict[str, JSON]]:
    """Return the rows, precision, recall, F1 and AUC of each class, where they are defined."""
    matrix, areas = sums.cells["matrix"], _areas(sums)
    found: list[dict[str, JSON]] = []
    for at, name in enumerate(form.classes):
        hits, support = float(matrix[at, at]), float(matrix[at].sum())
        predicted = float(matrix[:, at].sum())
        line: dict[str, JSON] = {"class": name, "rows": round(support)}
        if predicted > 0:
            line["precision"] = hits / predicted
        if support > 0:
            line["recall"] = hits / support
        if support + predicted > 0:
            line["f1"] = 2 * hits / (support + predicted)
        if at in areas:
            line["auc"] = areas[at]
            line["auc_interval"] = list(intervals.auc(*list(_by_class(sums))[at]))
        found.append(line)
    return found


def _by_class(sums: Sums) -> list[tuple[Floats, Floats]]:
    if "own" not in sums.cells:
        return []
    return list(zip(sums.cells["own"], sums.cells["others"], strict=True))


def _areas(sums: Sums) -> dict[int, float]:
    found = {at: intervals.area(*both) for at, both in enumerate(_by_class(sums))}
    return {at: area for at, area in found.items() if area is not None}


def _calibration(sums: Sums) -> list[dict[str, JSON]]:
    """Return cells of confidence with rows: its mean, the share of hits and its interval."""
    found: list[dict[str, JSON]] = []
    cells = (sums.cells[name].tolist() for name in ("hits", "misses", "confidence"))
    for hits, misses, confidence in zip(*cells, strict=True):
        rows = hits + misses
        if rows > 0:
            low, high = wilson(hits, rows)
            found.append(
                {"rows": round(rows), "predicted": min(max(confidence / rows, 0.0), 1.0),
                 "observed": hits / rows, "low": low, "high": high}
            )  # fmt: skip
    return found


def distribution(form: ClassesForm, sums: Sums) -> dict[str, JSON] | None:
    """Return how many rows each class is predicted for."""
    counts = sums.cells["matrix"].sum(axis=0)
    if counts.sum() <= 0:
        return None
    return {"classes": list(form.classes), "counts": [float(one) for one in counts]}
