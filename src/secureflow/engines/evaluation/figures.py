"""From totals over all parties to everything that a report tells of one model.

`evaluate` returns JSON; no number in it is NaN or infinite, and a figure that the rows do not
define is absent:

| member         | what it holds                                                                |
|----------------|------------------------------------------------------------------------------|
| `form`         | `binary`, `classes` or `number`                                              |
| `figures`      | name → number; shares are of 1, errors of numbers in the label's unit        |
| `bounds`       | name → by how much the exact figure may differ: cells, rounding              |
| `noise`        | name → standard error from noise; {} without it                              |
| `intervals`    | name → [low, high], 95 %: chance in the rows, and the noise; of a figure     |
|                | that noise often leaves undefined there is none                              |
| `curves`       | what pictures show (`binary.curves`, `classes.curves`, `number.curves`)      |
| `thresholds`   | lines of threshold, flagged, tp, fp, fn, tn, figures, marks and cost (binary)|
| `costs`        | [of a false positive, of a false negative], if they were given, else null    |
| `distribution` | of scores, predictions or predicted classes, for `stability`; null without   |
| `honest`       | lines of `line` (English) and `texts`: what so many rows can show            |

In a report stands `evaluation`: {`models`: a list of {`job`, `model`, these members, `parties`:
{party: `figures`} or null, `parties_noise`: {party: `noise`} or null, `psi`: the JSON of
`stability` or null}}.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from secureflow.domain.specs.evaluation import Costs
from secureflow.domain.specs.summed import UNIT
from secureflow.engines.evaluation import binary, classes, number
from secureflow.engines.evaluation.honest import honest_lines
from secureflow.engines.evaluation.intervals import Interval, equal_groups, widened
from secureflow.engines.evaluation.layout import (
    AnyForm,
    BinaryForm,
    ClassesForm,
    Integers,
    NumberForm,
)
from secureflow.engines.evaluation.noising import noise_errors
from secureflow.engines.evaluation.sums import Sums, read, scored_rows
from secureflow.kit.canonical import JSON
from secureflow.kit.text import with_texts

_SHARE: Final[Interval] = (0.0, 1.0)
_LIMITS: Final[Mapping[str, Interval]] = {
    **dict.fromkeys(
        ("rate", "accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1",
         "macro_f1", "weighted_f1", "auc", "ks", "brier", "predicted_rate", "calibration_error"),
        _SHARE,
    ),
    "gini": (-1.0, 1.0), "r2": (-math.inf, 1.0), "bias": (-math.inf, math.inf),
}  # fmt: skip
"""What figures cannot pass; others are at least 0."""
_TENTHS: Final = 10
"""Groups of about equally many rows by which a shift is measured."""
_DROWNED: Final = 0.1
"""Noise of all counts together by the rows: beyond, figures lean more than their errors tell."""
_OF_CHANCES: Final[Mapping[str, frozenset[str]]] = {
    "binary": frozenset({"loss", "brier", "predicted_rate", "calibration_error"}),
    "classes": frozenset({"loss", "brier", "calibration_error", "auc"}),
    "number": frozenset(),
}
"""Figures of probabilities, by form; the AUC of a class is that of its probability."""


def evaluate(
    form: AnyForm,
    totals: Integers,
    *,
    unit: int = UNIT,
    sigma: float = 0.0,
    parties: int = 1,
    costs: Costs | None = None,
    chances: bool = True,
) -> dict[str, JSON]:
    """Return everything about one model, as above.

    Args:
        form: what was summed up.
        totals: over all parties, int64 (`form.length`,), in steps, with noise if it is private.
        unit: steps of a row that adds 1.
        sigma: standard deviation of the noise on each total, in steps.
        parties: whose sums were added up.
        costs: of wrong predictions of a binary target.
        chances: whether outputs have a probability (`has_chances`); without, no figure of one is
            told.
    """
    sums = read(form, totals, unit)
    figures = figures_of(form, sums)
    noise = _noise(form, totals, unit, sigma)
    found: dict[str, JSON] = {
        "form": form.name,
        "figures": figures,
        "bounds": _bounds(form, sums, parties, unit),
        "noise": noise,
        "intervals": {
            name: list(widened(figures[name], each, noise.get(name, 0.0), _limits(name)))
            for name, each in _chance(form, sums).items()
            if name in figures and (name in noise or not sigma)
        },
        "curves": _curves(form, sums),
        "thresholds": [],
        "costs": None,
        "distribution": distribution(form, sums),
    }
    if isinstance(form, BinaryForm):
        found["thresholds"] = binary.thresholds(form, sums, costs)
        if costs is not None:
            found["costs"] = [costs.false_positive, costs.false_negative]
    if not chances:
        found = _without_chances(form, found)
    drowned = sigma / unit * math.sqrt(form.length) > _DROWNED * figures["rows"]
    has_chances = chances or isinstance(form, NumberForm)
    lines = honest_lines(found, chances=has_chances, drowned=drowned)
    found["honest"] = [with_texts({"line": line}) for line in lines]
    return found


def evaluate_party(
    form: AnyForm, totals: Integers, *, unit: int = UNIT, chances: bool = True
) -> dict[str, float]:
    """Return the figures of one party's rows, as in `figures` of `evaluate`."""
    found = figures_of(form, read(form, totals, unit))
    return found if chances else _without(found, _OF_CHANCES[form.name])


def party_noise(
    form: AnyForm, totals: Integers, *, unit: int, sigma: float, chances: bool = True
) -> dict[str, float]:
    """Return the standard errors of one party's figures, as in `noise` of `evaluate`."""
    found = _noise(form, totals, unit, sigma)
    return found if chances else _without(found, _OF_CHANCES[form.name])


def _without_chances(form: AnyForm, found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is told of probabilities: margins, as of `hinge`, have none."""
    names = _OF_CHANCES[form.name]
    kept = {one: _without(found[one], names) for one in ("figures", "bounds", "noise", "intervals")}
    shapes = {"calibration"} | ({"roc"} if isinstance(form, ClassesForm) else set())
    curves = _without(found["curves"], shapes)
    if isinstance(form, ClassesForm) and "classes" in curves:
        of_scores = {"auc", "auc_interval"}
        curves["classes"] = [_without(line, of_scores) for line in curves["classes"]]
    return {**found, **kept, "curves": curves}


def _without(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: one for name, one in members.items() if name not in names}


def figures_of(form: AnyForm, sums: Sums) -> dict[str, float]:
    """Return the figures that the rows define; `rows` always."""
    if isinstance(form, BinaryForm):
        found = binary.figures(form, sums)
    elif isinstance(form, ClassesForm):
        found = classes.figures(form, sums)
    else:
        found = number.figures(form, sums)
    if undefined := round(sums.numbers.get("undefined", 0.0)):
        found["undefined"] = undefined
    return found


def distribution(form: AnyForm, sums: Sums) -> dict[str, JSON] | None:
    """Return how scores, predictions or predicted classes are distributed; None without rows.

    Rows by about tenths: `edges` in log-odds or scaled units, and `counts` between them.
    """
    if isinstance(form, ClassesForm):
        return classes.distribution(form, sums)
    grid, counts = scored_rows(form, sums)
    groups = equal_groups(counts, _TENTHS)
    if not groups:
        return None
    edges = [float(grid.edges[group.start - 1]) for group in groups[1:]]
    return {"edges": edges, "counts": [float(counts[group].sum()) for group in groups]}


def _noise(form: AnyForm, totals: Integers, unit: int, sigma: float) -> dict[str, float]:
    if not form.private or sigma <= 0:
        return {}
    return noise_errors(form, totals, unit, sigma, lambda sums: figures_of(form, sums))


def _bounds(form: AnyForm, sums: Sums, parties: int, unit: int) -> dict[str, float]:
    if isinstance(form, BinaryForm):
        return binary.bounds(form, sums, parties, unit)
    if isinstance(form, ClassesForm):
        return classes.bounds(form, sums, parties, unit)
    return number.bounds(form, sums, parties, unit)


def _chance(form: AnyForm, sums: Sums) -> dict[str, Interval]:
    if isinstance(form, BinaryForm):
        return binary.chance(form, sums)
    if isinstance(form, ClassesForm):
        return classes.chance(form, sums)
    return number.chance(form, sums)


def _curves(form: AnyForm, sums: Sums) -> dict[str, JSON]:
    if isinstance(form, BinaryForm):
        return binary.curves(form, sums)
    if isinstance(form, ClassesForm):
        return classes.curves(form, sums)
    return number.curves(form, sums)


def _limits(name: str) -> Interval:
    return _LIMITS.get(name, (0.0, math.inf))
