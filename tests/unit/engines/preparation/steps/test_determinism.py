"""Everybody who has the same totals computes the same fits, also from what it stored in between."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from unit.engines.preparation.steps.test_contract import LABEL, WORDS, WORK
from unit.engines.preparation.steps.world import (
    SHAPES,
    category,
    fitted,
    number,
    outcome,
    parts_of,
    spec_of,
    tallies,
)

from secureflow.domain.specs.passes import schedule
from secureflow.engines.preparation.fitting import learn, start

NAMES = ("cents", "heavy tails", "both signs")
DATA = {name: SHAPES[name][2] for name in NAMES} | {"job": WORDS, "y": LABEL}
STEPS: list[dict[str, Any]] = [
    {"step": "impute", "columns": ["cents"], "by": "median", "indicator": True},
    {"step": "impute", "columns": ["both signs"], "by": "mean"},
    {"step": "yeo_johnson", "columns": ["both signs"]},
    {"step": "standardise", "columns": ["both signs"]},
    {"step": "interact", "columns": ["both signs", "cents"]},
    {"step": "quantile_bins", "columns": ["heavy tails"], "bins": 5},
    {"step": "woe", "columns": ["heavy tails"]},
    {"step": "one_hot", "columns": ["job"], "least": 30},
    {"step": "min_max", "columns": ["cents"], "of": "rows"},
    {"step": "select", "columns": ["cents", "both signs*cents", "both signs"], "by": "correlation",
     "threshold": 0.8},
    {"step": "select", "columns": ["cents", "heavy tails"], "by": "variance", "threshold": 1e-4},
]  # fmt: skip
SPEC = spec_of(
    STEPS, [number(name, *SHAPES[name][:2]) for name in NAMES] + [category("job", *WORK)]
)


def test_json_between_rounds_changes_nothing() -> None:
    plain = fitted(SPEC, parts_of(DATA))
    stored = fitted(SPEC, parts_of(DATA), by_json=True)
    assert stored == plain
    assert None not in plain.fits
    text = json.dumps(plain.fits, allow_nan=False)
    again = replace(plain, fits=tuple(json.loads(text)))
    assert json.dumps(again.fits) == text
    one, other = (outcome(SPEC, each, DATA).values for each in (plain, again))
    assert [*one] == [*other]
    for name, held in one.items():
        assert held.tobytes() == other[name].tobytes()


def test_the_same_totals_give_the_same_fits() -> None:
    progress = start(SPEC)
    while progress.rounds < SPEC.planned_rounds:
        totals = tallies(SPEC, progress, parts_of(DATA))
        assert np.array_equal(totals, tallies(SPEC, progress, parts_of(DATA)))
        kept = totals.copy()
        following = learn(SPEC, progress, totals)
        assert np.array_equal(totals, kept)
        assert learn(SPEC, progress, totals) == following
        assert following.rounds == progress.rounds + 1
        progress = following


def test_each_step_is_fitted_in_the_round_that_the_spec_tells() -> None:
    progress = start(SPEC)
    for number_of in range(1, SPEC.planned_rounds + 1):
        progress = learn(SPEC, progress, tallies(SPEC, progress, parts_of(DATA)))
        done = [fit is not None for fit in progress.fits]
        assert done == [end <= number_of for end in schedule(SPEC).ends]
        assert progress.rows == len(LABEL)
        for fit, states in zip(progress.fits, progress.states, strict=True):
            assert fit is None or not states


def test_rows_are_read_in_blocks_alike(monkeypatch: Any) -> None:
    from secureflow.engines.preparation.steps import step

    wanted = fitted(SPEC, parts_of(DATA))
    monkeypatch.setattr(step, "BLOCK", 1 << 9)
    found = fitted(SPEC, parts_of(DATA))
    assert json.dumps(found.fits[5:9]) == json.dumps(wanted.fits[5:9])
    for one, other in zip(found.fits[1:4], wanted.fits[1:4], strict=True):
        assert one is not None
        assert other is not None
        for name, learned in one["columns"].items():
            for member, value in learned.items():
                assert abs(value - other["columns"][name][member]) <= 1e-6 * 100
