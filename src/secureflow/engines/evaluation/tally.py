"""One party's sums of one model: int64 whole steps, so that masked sums add them up exactly.

Without privacy a sum of numbers is rounded once: a total of P parties is off by at most P/2 steps,
each `factor / unit` of the number. Counts are exact. Under privacy each row is rounded by itself,
so that no row moves the vector by more than √`moved` units, and σ, in steps, hides it exactly.

A row whose output is no number counts as one with the output 0, and by itself. Infinite outputs are
the greatest finite ones. What a row may hold never depends on the others: every row counts, also
one whose label is no number (a negative, the first class, the middle of the range).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.summed import UNIT
from secureflow.engines.evaluation.layout import (
    CLASS_LOG_ODDS,
    CONFIDENCES,
    SMALL_ERROR,
    AnyForm,
    BinaryForm,
    ClassesForm,
    Floats,
    Integers,
    NumberForm,
)

Vector = NDArray[np.float32]
Outputs = NDArray[np.float32]

_BLOCK: Final = 1 << 16
"""Rows that are reckoned at a time."""
_FAR: Final = 1e38
"""What an infinite output counts as."""
_SURE: Final = 1e6
"""Scores further below the greatest are as if they were this far."""


@dataclass(frozen=True)
class _Added:
    """What some rows add.

    Args:
        numbers: by name of a factor, float64 (rows,), not yet divided by it.
        cells: by group, the cell of each row, int64 (rows,) or for all its subgroups (rows, k).
        sums: by group, cells (rows,) and the number that each row adds there, in [0, 1].
    """

    numbers: dict[str, Floats]
    cells: dict[str, Integers]
    sums: dict[str, tuple[Integers, Floats]]


def tally(form: AnyForm, outputs: Outputs, labels: Vector, unit: int = UNIT) -> Integers:
    """Return the sums over a party's rows, without noise: int64 (`form.length`,).

    Args:
        form: the target's.
        outputs: the model's, before any link function: float32 (rows, outputs); (rows,) for one.
        labels: the targets as `domain.specs.targets` scales them, float32 (rows,).
        unit: steps of a row that adds 1, of `layout.unit_of`.
    """
    whole, steps = np.zeros(form.length), np.zeros(form.length, np.int64)
    for first in range(0, len(labels), _BLOCK):
        part = slice(first, first + _BLOCK)
        found = _added(form, outputs[part], labels[part])
        for place, (name, factor) in enumerate(form.factors.items()):
            each = found.numbers[name] / factor
            if form.private:
                steps[place] += np.rint(each * unit).astype(np.int64).sum()
            else:
                whole[place] += each.sum()
        for name, cells in found.cells.items():
            steps += unit * np.bincount(
                (cells + form.first(name)).reshape(-1), minlength=form.length
            ).astype(np.int64)
        for name, (cells, each) in found.sums.items():
            whole += np.bincount(cells + form.first(name), each, minlength=form.length)
    return steps + np.rint(whole * unit).astype(np.int64)


def _added(form: AnyForm, outputs: Outputs, labels: Vector) -> _Added:
    if isinstance(form, BinaryForm):
        return _binary(form, outputs, labels)
    if isinstance(form, ClassesForm):
        return _classes(form, outputs, labels)
    return _number(form, outputs, labels)


def _finite(outputs: Outputs) -> Floats:
    return np.nan_to_num(outputs.astype(np.float64), nan=0.0, posinf=_FAR, neginf=-_FAR)


def _scored(form: AnyForm, losses: Floats, brier: Floats, undefined: Floats) -> dict[str, Floats]:
    """Return the numbers of rows that have a log loss and a Brier score."""
    loss = np.minimum(losses, form.factors["loss"])
    return {
        "rows": np.ones(len(loss)), "loss": loss, "loss_squares": loss * loss,
        "brier": brier, "brier_squares": brier * brier, "undefined": undefined,
    }  # fmt: skip


def _binary(form: BinaryForm, outputs: Outputs, labels: Vector) -> _Added:
    raw = outputs.reshape(-1)
    z, positive = _finite(raw), labels > 0.5
    losses = np.logaddexp(0.0, np.where(positive, -z, z))
    predicted = np.exp(-np.logaddexp(0.0, -z))
    brier = np.asarray(np.square(predicted - positive), np.float64)
    cells = form.grid.cells(z)
    found = _scored(form, losses, brier, np.isnan(raw).astype(np.float64))
    by_class = cells + np.where(positive, 0, form.grid.count)  # the negatives follow
    sums = {} if form.private else {"predicted": (cells, predicted)}
    return _Added(found, {"positives": by_class}, sums)


def _classes(form: ClassesForm, outputs: Outputs, labels: Vector) -> _Added:
    rows, count = len(labels), len(form.classes)
    scores = _finite(outputs).reshape(rows, count)
    known = np.clip(np.nan_to_num(labels, nan=0.0), 0, count - 1).astype(np.int64)
    shifted = np.maximum(scores - scores.max(axis=1, keepdims=True), -_SURE)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = -(logs[np.arange(rows), known])
    chosen = scores.argmax(axis=1)
    shares = np.exp(logs)
    brier = np.square(shares - np.eye(count)[known]).sum(axis=1) / 2
    undefined = np.asarray(np.isnan(outputs).reshape(rows, count).any(axis=1), np.float64)
    found = _scored(form, losses, np.minimum(brier, 1.0), undefined)
    cells: dict[str, Integers] = {"matrix": known * count + chosen}
    if form.private:
        return _Added(found, cells, {})
    cells["own"] = _against(shifted, logs, known)
    confidence = shares.max(axis=1)
    place = np.minimum((confidence * CONFIDENCES).astype(np.int64), CONFIDENCES - 1)
    cells["hits"] = place + np.where(chosen == known, 0, CONFIDENCES)  # the misses follow
    return _Added(found, cells, {"confidence": (place, confidence)})


def _against(shifted: Floats, logs: Floats, known: Integers) -> Integers:
    """Return the cells of each class's log-odds: among `own` of the row's class, or `others`.

    Args:
        shifted: scores less the row's greatest, float64 (rows, classes).
        logs: logarithms of the probabilities, of the same shape.
        known: the classes of the rows, int64 (rows,).
    """
    count, width = logs.shape[1], CLASS_LOG_ODDS.count
    odds = logs - np.log1p(-np.minimum(np.exp(logs), 0.75))  # greater ones follow
    rows, first = np.arange(len(known)), shifted.argmax(axis=1)
    rest = shifted.copy()
    rest[rows, first] = -np.inf
    greatest = rest.max(axis=1)
    others = greatest + np.log(np.exp(rest - greatest[:, None]).sum(axis=1))
    odds[rows, first] = -others
    cells = CLASS_LOG_ODDS.cells(odds) + np.arange(count) * width
    other = np.arange(count) != known[:, None]
    return np.asarray(cells + np.where(other, count * width, 0), np.int64)


def _number(form: NumberForm, outputs: Outputs, labels: Vector) -> _Added:
    raw = outputs.reshape(-1)
    z = np.clip(np.nan_to_num(labels.astype(np.float64), nan=0.0), -1.0, 1.0)
    predicted = _finite(raw)
    error = np.clip(predicted - z, -form.error_cap, form.error_cap)
    squares, small = error * error, np.abs(error) <= SMALL_ERROR
    numbers = {
        "rows": np.ones(len(z)), "z": z, "z2": z**2, "z3": z**3, "z4": z**4,
        "e": error, "e2": squares, "abs": np.abs(error),
        "e4": np.where(small, 0.0, squares * squares),
        "e4_small": np.where(small, squares * squares, 0.0),
        "e2z": squares * z, "e2z2": squares * z * z,
        "undefined": np.isnan(raw).astype(np.float64),
    }  # fmt: skip
    cells = {
        "predictions": form.predictions.cells(predicted),
        "residuals": form.residuals.cells(error),
    }
    return _Added(numbers, cells, {})
