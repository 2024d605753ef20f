"""The population stability index: how far scores of other rows, or of later ones, have shifted.

PSI = Σ (qᵢ − pᵢ)·ln(qᵢ/pᵢ) over about tenths of the baseline's rows, p the baseline's shares and q
these rows'. Half a row is added to every group of both, so that an empty one is defined ("additive
½"). The usual reading: below 0.1 stable, up to 0.25 a moderate shift, above a great one. Of rows of
one population, PSI is about (1/n + 1/m) times χ² of groups − 1 degrees of freedom (Yurdakul 2018):
`by_chance` is what 95 of 100 such draws stay below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from secureflow.domain.specs.summed import UNIT
from secureflow.engines.evaluation.layout import (
    AnyForm,
    BinaryForm,
    ClassesForm,
    Floats,
    Integers,
)
from secureflow.engines.evaluation.sums import read, scored_rows
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, with_texts

MODERATE: Final = 0.1
GREAT: Final = 0.25
SMOOTHING: Final = 0.5
"""Rows that are added to every group."""
_ONE_SIDED: Final = 1.644854
"""95 % of a normal distribution lies below this."""


def stability(
    form: AnyForm,
    baseline: Mapping[str, Any],
    totals: Integers,
    *,
    unit: int = UNIT,
    sigma: float = 0.0,
) -> dict[str, JSON]:
    """Return `psi`, `by_chance`, `groups` (expected and found shares), `rows`, and the `reading`.

    Of classes there are their names too. Without rows on either side there is no `psi`.

    Args:
        form: what was summed up.
        baseline: the `distribution` of other rows; checked by `check_evaluation`.
        totals: of these rows, in steps.
        unit: steps of a row that adds 1.
        sigma: standard deviation of the noise on each total, in steps.
    """
    sums = read(form, totals, unit)
    expected = np.asarray(baseline["counts"], np.float64)
    if isinstance(form, ClassesForm):
        found, cells = sums.cells["matrix"].sum(axis=0), np.full(len(expected), len(form.classes))
    else:
        grid, every = scored_rows(form, sums)
        found, cells = _grouped(every, grid.edges, baseline["edges"])
        if isinstance(form, BinaryForm):  # positives and negatives
            cells = 2 * cells
    counts = {"rows": round(float(found.sum())), "baseline_rows": round(float(expected.sum()))}
    if expected.sum() <= 0 or found.sum() <= 0:
        return with_texts(
            {**counts, "groups": [], "reading": Text("There are no rows to compare.")}
        )
    noise = sigma / unit if form.private else 0.0
    compared = _compared(expected, found, cells, noise, counts)
    return (
        {**compared, "classes": list(form.classes)} if isinstance(form, ClassesForm) else compared
    )


def _compared(
    expected: Floats, found: Floats, cells: Any, noise: float, counts: Mapping[str, int]
) -> dict[str, JSON]:
    """Return the index of grouped rows; `cells` noised counts make up each group."""
    groups = len(expected)
    p = (expected + SMOOTHING) / (expected.sum() + SMOOTHING * groups)
    q = (found + SMOOTHING) / (found.sum() + SMOOTHING * groups)
    psi = float(((q - p) * np.log(q / p)).sum())
    free = groups - 1
    chance = free * (1 / float(expected.sum()) + 1 / float(found.sum()))
    chance += float((cells * (noise / found.sum()) ** 2 / p).sum())
    by_chance = chance * _chi_square(free) / free if free else 0.0
    return with_texts(
        {
            **counts,
            "psi": psi,
            "by_chance": by_chance,
            "groups": [[float(one), float(other)] for one, other in zip(p, q, strict=True)],
            "reading": _reading(psi, by_chance),
        }
    )


def _reading(psi: float, by_chance: float) -> Text:
    if psi >= MODERATE and psi <= by_chance:
        return Text("no more than chance: with so few rows up to {most:.2f} is", most=by_chance)
    if psi < MODERATE:
        return Text("stable: below {least:g}", least=MODERATE)
    if psi < GREAT:
        return Text("a moderate shift: {least:g} to {most:g}", least=MODERATE, most=GREAT)
    return Text("a great shift: {most:g} or more", most=GREAT)


def _grouped(counts: Floats, own: Floats, edges: Any) -> tuple[Floats, Floats]:
    """Return rows between edges, and of how many cells; one that an edge cuts is spread evenly."""
    wide = own[1] - own[0]
    ends = np.concatenate([[own[0] - wide], own, [own[-1] + wide]])
    place = np.interp(np.asarray(edges, np.float64), ends, np.arange(len(ends)))
    place = np.concatenate([[0.0], place, [len(counts)]])
    below = np.interp(place, np.arange(len(ends)), np.concatenate([[0.0], np.cumsum(counts)]))
    return np.diff(below), np.diff(place)


def _chi_square(free: int) -> float:
    """Return the 95 % quantile of χ² (Wilson and Hilferty 1931); within 1 %."""
    part = 2 / (9 * free)
    return float(free * (1 - part + _ONE_SIDED * math.sqrt(part)) ** 3)
