"""Preparations that are fitted without a network, over parties of unequal size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.domain.specs.tables import Numbers
from secureflow.engines.preparation.fitting import Progress, applied, learn, start, tally
from secureflow.engines.preparation.steps.step import Rows
from secureflow.engines.preparation.steps.values import read_values
from secureflow.kit.errors import SecureFlowError

Columns = Mapping[str, NDArray[Any]]
PRIVATE: dict[str, Any] = {"delta": 1e-6, "noise_multiplier": 1.0}
ROWS = 900
SHARES = (0.61, 0.97)
"""Where the rows of three parties end."""


def number(column: str, low: float, high: float) -> dict[str, Any]:
    return {"column": column, "type": "number", "bounds": [low, high]}


def category(column: str, *categories: str) -> dict[str, Any]:
    return {"column": column, "type": "category", "categories": list(categories)}


def text(column: str) -> dict[str, Any]:
    return {"column": column, "type": "text"}


def unchecked(
    steps: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]], **changes: Any
) -> PreparationSpec:
    roster = [{"party": one, "key": one * 44, "dataset": "d"} for one in "abc"]
    common = {"project": "prj_01jf2kabc", "name": "x", "purpose": "y", "submitter": "u"}
    spec = {**common, "roster": roster, "columns": [*columns], "steps": [*steps], **changes}
    if any(step.get("step") == "woe" for step in steps):
        spec = {"label": {"column": "y", "positive": "1"}, **spec}
    return parse(PreparationSpec, spec)


def spec_of(
    steps: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]], **changes: Any
) -> PreparationSpec:
    spec = unchecked(steps, columns, **changes)
    check_preparation(spec)
    return spec


def parts_of(columns: Columns) -> list[dict[str, NDArray[Any]]]:
    """Return the rows of three parties, of unequal size."""
    count = len(next(iter(columns.values())))
    cuts = [int(count * share) for share in SHARES]
    split = {name: np.split(held, cuts) for name, held in columns.items()}
    return [{name: held[at] for name, held in split.items()} for at in range(3)]


def tallies(
    spec: PreparationSpec, progress: Progress, parts: Sequence[Columns]
) -> NDArray[np.int64]:
    """Return what the parties' sums of the next round add up to; the column `y` is the label."""
    strict = spec.privacy is None
    total = np.zeros(schedule(spec).longest, np.int64)
    for part in parts:
        label = part["y"] if spec.label is not None else None
        values = read_values(spec.columns, part, strict=strict)
        total += tally(spec, progress, values, label)
    return total


def fitted(spec: PreparationSpec, parts: Sequence[Columns], *, by_json: bool = False) -> Progress:
    """Return the progress after all rounds."""
    progress = start(spec)
    while progress.rounds < spec.planned_rounds:
        progress = learn(spec, progress, tallies(spec, progress, parts))
        if by_json:
            fits, states = json.loads(json.dumps([progress.fits, progress.states]))
            progress = replace(progress, fits=tuple(fits), states=tuple(states))
    return progress


def outcome(
    spec: PreparationSpec, progress: Progress, columns: Columns, *, strict: bool = True
) -> Rows:
    """Return rows after the last step; numbers must be within their bounds."""
    values = read_values(spec.columns, columns, strict=strict)
    label = columns["y"] if spec.label is not None else None
    read = Rows(spec.table, values, label)
    *_, (_, _, rows) = applied(spec, progress.fits, read, strict=strict)
    assert list(rows.values) == list(rows.table)
    for name, held in rows.table.items():
        if isinstance(held, Numbers) and held.bounds is not None:
            low, high = held.bounds
            slack = 1e-12 * max(abs(low), abs(high))
            present = rows.values[name][~np.isnan(rows.values[name])]
            assert np.all((present >= low - slack) & (present <= high + slack)), name
    return rows


def prepared(
    steps: Sequence[Mapping[str, Any]],
    columns: Sequence[Mapping[str, Any]],
    data: Columns,
    **changes: Any,
) -> tuple[Progress, Rows]:
    """Fit over three parties; return what was learned, and all rows after the last step."""
    spec = spec_of(steps, columns, **changes)
    progress = fitted(spec, parts_of(data))
    return progress, outcome(spec, progress, data)


def width(rows: Rows, name: str) -> float:
    """Return how wide the bounds of an outcome are."""
    low, high = rows.bounds(name)
    return high - low


def shapes() -> dict[str, tuple[float, float, NDArray[np.float64]]]:
    """Return columns of many kinds, each with its bounds; every seventh cell is missing."""
    rng = np.random.default_rng(11)
    found = {
        "whole": (0.0, 100.0, np.rint(rng.normal(45, 14, ROWS)).clip(0, 100)),
        "cents": (0.0, 30_000.0, np.round(rng.gamma(2.0, 900.0, ROWS), 2).clip(0, 30_000)),
        "heavy tails": (0.0, 1e6, rng.lognormal(10, 1, ROWS).clip(0, 1e6)),
        "ties": (0.0, 10.0, rng.choice([0.0, 0.0, 0.0, 1.0, 10.0], ROWS)),
        "negative": (-500.0, -20.0, -rng.gamma(3.0, 40.0, ROWS).clip(20, 500)),
        "both signs": (-50.0, 50.0, rng.normal(3, 9, ROWS).clip(-50, 50)),
        "tiny range": (1.0, 1.00001, 1 + rng.random(ROWS) * 1e-5),
        "years": (1900.0, 2100.0, rng.integers(1940, 2020, ROWS).astype(np.float64)),
        "constant": (-1e6, 1e6, np.full(ROWS, 123_456.78)),
        "only the bounds": (-3.0, 7.0, rng.choice([-3.0, 7.0], ROWS)),
    }
    for _, _, values in found.values():
        values[::7] = np.nan
    return found


SHAPES = shapes()
WHOLE = ("whole", "ties", "years", "constant", "only the bounds")
"""The shapes whose quantiles are exact."""


def refusal(spec: PreparationSpec) -> tuple[str, str]:
    """Return field and message of the error with which a spec is refused."""
    with pytest.raises(SecureFlowError) as caught:
        check_preparation(spec)
    assert caught.value.code == "contradictory_spec"
    return str(caught.value.details["field"]), caught.value.message
