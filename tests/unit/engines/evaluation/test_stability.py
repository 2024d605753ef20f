"""The population stability index by its formula, its reading, and what chance alone does."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from secureflow.engines.evaluation.figures import evaluate
from secureflow.engines.evaluation.stability import _chi_square, stability
from tests.unit.engines.evaluation.rows import (
    BINARY,
    CLASSES,
    NUMBER,
    PRIVATE,
    binary_rows,
    rows_of,
)
from tests.unit.engines.evaluation.world import FEATURES, MODELS, specified


def _baseline(form: Any, **more: Any) -> dict[str, Any]:
    found = evaluate(form, rows_of(form, **more).totals(form))["distribution"]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def test_it_is_the_formula_over_tenths_of_the_baseline() -> None:
    base, later = binary_rows(5000, seed=31), binary_rows(3000, seed=32, rate=0.3)
    baseline = _baseline(BINARY, count=5000, seed=31)
    found = stability(BINARY, baseline, later.totals(BINARY))
    edges = [-np.inf, *baseline["edges"], np.inf]
    p, q = (
        np.array([((rows.outputs > low) & (rows.outputs <= high)).sum()
                  for low, high in pairwise(edges)])
        for rows in (base, later)
    )  # fmt: skip
    assert len(p) == 10
    assert p.min() > 400
    p, q = ((one + 0.5) / (one.sum() + 5) for one in (p, q))
    assert found["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert found["groups"] == pytest.approx(np.stack([p, q], axis=1))
    assert (found["rows"], found["baseline_rows"]) == (3000, 5000)


@pytest.mark.parametrize("form", [BINARY, CLASSES, NUMBER], ids=lambda form: form.name)
def test_rows_of_one_population_stay_below_chance(form: Any) -> None:
    below = []
    for seed in range(30):
        baseline = _baseline(form, count=800, seed=100 + seed)
        totals = rows_of(form, count=500, seed=200 + seed).totals(form)
        found = stability(form, baseline, totals)
        below.append(found["psi"] <= found["by_chance"])
    assert np.mean(below) >= 0.85


def test_readings() -> None:
    baseline = _baseline(BINARY, count=5000, seed=31)
    told = []
    for rate, count in ((0.2, 5000), (0.29, 5000), (0.6, 5000), (0.2, 30)):
        rows = binary_rows(count, seed=33, rate=rate)
        told.append(stability(BINARY, baseline, rows.totals(BINARY))["reading"])
    assert told[0].startswith("stable")
    assert told[1].startswith("a moderate shift")
    assert told[2].startswith("a great shift")
    assert told[3].startswith("no more than chance")


def test_an_empty_group_is_defined() -> None:
    found = stability(BINARY, {"edges": [0.0], "counts": [100, 0]}, binary_rows(200).totals(BINARY))
    assert np.isfinite(found["psi"])
    assert found["groups"][0][0] == pytest.approx(100.5 / 101)
    nobody = stability(BINARY, {"edges": [0.0], "counts": [0, 0]}, binary_rows(9).totals(BINARY))
    assert "psi" not in nobody
    assert nobody["reading"] == "There are no rows to compare."


def test_an_edge_within_a_cell_divides_it_evenly() -> None:
    """Private cells are .4 wide; tenths of exact sums end within them."""
    form, rows = PRIVATE[0], binary_rows(5000, seed=31)
    found = stability(form, _baseline(BINARY, count=5000, seed=31), rows.totals(form))
    assert found["psi"] < 0.005
    noised = stability(form, _baseline(BINARY), rows.totals(form), sigma=20.0 * (1 << 24))
    assert noised["by_chance"] > 2 * found["by_chance"]


def test_the_quantile_is_that_of_chi_square() -> None:
    for free in range(1, 32):
        assert _chi_square(free) == pytest.approx(chi2.ppf(0.95, free), rel=0.03)


@pytest.mark.parametrize("form", [BINARY, CLASSES, NUMBER], ids=lambda form: form.name)
def test_baselines_of_evaluations_are_taken(form: Any) -> None:
    label: dict[str, Any] = {"column": "income", "positive": ">50K"}
    if form.name == "classes":
        label = {"column": "income", "classes": list(form.classes)}
    elif form.name == "number":
        label = {"column": "income", "bounds": [0, 10]}
    family = {"binary": "logistic_regression", "classes": "softmax", "number": "linear"}[form.name]
    model = {**MODELS[0], "features": {**FEATURES, "label": label}, "model": {"family": family}}
    groups = _baseline(form)
    groups.pop("classes", None)
    one = {"job": "job_cccccccccc", "model": model["digest"], **groups}
    roster = [{"party": f"bank-{n}", "key": n * 44, "dataset": "d"} for n in "abc"]
    (taken,) = specified(roster, models=[model], baseline=[one]).baseline or ()
    assert list(taken.counts) == groups["counts"]
    assert list(taken.edges) == groups.get("edges", [])
