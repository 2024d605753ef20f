"""Totals that no rows have: they are noticed, and whatever they are, figures stay defined."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from secureflow.domain.specs.summed import MOST_ROWS, UNIT
from secureflow.engines.evaluation.binary import Costs
from secureflow.engines.evaluation.figures import evaluate, evaluate_party
from secureflow.engines.evaluation.layout import sigma_of, unit_of
from secureflow.engines.evaluation.plan import longest, measured
from secureflow.engines.evaluation.sections import sections
from secureflow.engines.evaluation.stability import stability
from secureflow.engines.evaluation.sums import totals_problem
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.engines.evaluation.rows import BINARY, CLASSES, NUMBER, PARTIES, PRIVATE, rows_of
from tests.unit.engines.evaluation.world import specified

EXACT = [BINARY, CLASSES, NUMBER]


@pytest.mark.parametrize("form", EXACT, ids=lambda form: form.name)
def test_totals_of_rows_are_taken(form: Any) -> None:
    for count in (0, 1, 7, 900):
        totals = rows_of(form, count=count).totals(form)
        assert totals_problem(form, totals, parties=PARTIES) is None


@pytest.mark.parametrize("form", EXACT, ids=lambda form: form.name)
def test_every_sum_that_somebody_changes_is_noticed(form: Any) -> None:
    totals = rows_of(form, count=900).totals(form)
    sums = {form.first(name) + at for name in ("predicted", "confidence") if name in form.groups
            for at in range(form.groups[name][0])}  # fmt: skip
    places = {0, 1, len(form.factors), form.length - 1, *range(0, form.length, 97)} - sums
    for place in sorted(places):
        for change in (UNIT << 14, -(UNIT << 14)):
            changed = totals.copy()
            changed[place] += change
            problem = totals_problem(form, changed, parties=PARTIES)
            assert problem is not None, place
            assert chinese(problem)
    uneven = totals.copy()
    uneven[form.length - 1 if form is NUMBER else form.first("matrix" if form is CLASSES else
           "positives")] += 1  # fmt: skip
    assert totals_problem(form, uneven, parties=PARTIES) is not None


@pytest.mark.parametrize("form", PRIVATE, ids=lambda form: form.name)
def test_noised_sums_of_more_rows_than_there_can_be_are_noticed(form: Any) -> None:
    """Figures of them would be numbers that no report can hold."""
    unit, sigma = unit_of(form, 1000.0), sigma_of(form, 1000.0)
    noise = np.random.default_rng(52).normal(0, 20 * sigma, form.length).astype(np.int64)
    most = np.full(form.length, PARTIES * MOST_ROWS * unit) + noise
    assert totals_problem(form, most, unit=unit, parties=PARTIES) is None
    for place in (0, form.length - 1):
        for value in (1 << 62, -(1 << 63)):
            changed = noise.copy()
            changed[place] = value
            assert totals_problem(form, changed, unit=unit, parties=PARTIES) is not None
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
    spec = specified(roster, per_party=True)
    totals = np.zeros(longest(spec), np.int64)
    totals[-1] = 1 << 62  # in the last party's own place
    with pytest.raises(SecureFlowError, match="those of no rows"):
        measured(spec, 2, totals, spec.parties)


@pytest.mark.parametrize("form", [*EXACT, *PRIVATE], ids=repr)
def test_figures_are_defined_whatever_the_totals_are(form: Any) -> None:
    random = np.random.default_rng(51)
    baseline = evaluate(form, rows_of(form, count=300).totals(form))["distribution"]
    for size in (1, 24, 62):
        for least in (-(1 << size), 0):
            totals = random.integers(least, 1 << size, form.length)
            for rows in (totals[0], 0, 1 << 62, -5):
                totals[0] = rows
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    found = evaluate(form, totals, sigma=1e9, parties=3, costs=Costs(1, 2))
                    shift = stability(form, baseline, totals)
                    evaluate_party(form, totals)
                    told = sections({"models": [{"model": "m", **found, "psi": shift}]})
                json.dumps([found, shift, told], allow_nan=False)
                for name, (low, high) in found["intervals"].items():
                    assert low <= found["figures"][name] <= high, name
