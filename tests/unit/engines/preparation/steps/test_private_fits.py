"""Under privacy: what one row adds to sums, whatever is in it, and fits of any noised totals.

σ is reckoned from `Query.moved` slots that a row moves by at most `unit_of`, and a step more where
numbers are rounded: were it to move one more, or by more, the noise hid less than is charged.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from unit.engines.preparation.steps.world import (
    PRIVATE,
    Columns,
    category,
    number,
    outcome,
    spec_of,
    tallies,
    text,
)

from secureflow.domain.specs.passes import FITTED, Query, schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.summed import UNIT
from secureflow.domain.specs.tables import Numbers
from secureflow.engines.preparation import label_vector, private_labels
from secureflow.engines.preparation.fitting import (
    Progress,
    learn,
    sigma_of,
    start,
    unit_of,
)
from secureflow.kit.errors import SecureFlowError

COLUMNS = [number("x", -10, 90), number("z", 0, 1e6), category("job", "a", "b", "c"), text("born")]
ALL: list[dict[str, Any]] = [
    {"step": "date_parts", "columns": ["born"], "formats": ["%Y-%m-%d"], "parts": ["year"]},
    {"step": "impute", "columns": ["x"], "by": "mean"},
    {"step": "impute", "columns": ["z", "born.year"], "by": "median"},
    {"step": "impute", "columns": ["job"], "by": "mode"},
    {"step": "yeo_johnson", "columns": ["x"]},
    {"step": "standardise", "columns": ["x", "born.year"]},
    {"step": "interact", "columns": ["x", "z"]},
    {"step": "select", "columns": ["x", "z", "x*z"], "by": "correlation", "threshold": 0.99},
    {"step": "select", "columns": ["born.year", "x*z"], "by": "variance", "threshold": 1e-6},
    {"step": "quantile_bins", "columns": ["z"], "bins": 3},
    {"step": "woe", "columns": ["z"]},
    {"step": "select", "columns": ["z"], "by": "iv", "threshold": 0.001},
    {"step": "one_hot", "columns": ["job"], "least": 2, "missing": "indicator"},
]
NAMES = ("x", "z", "job", "born", "y")
HOSTILE = (
    *(None, "", "a", "SECRET", "nan", "1e999", float("inf"), -float("inf"), float("nan"), 1e308),
    *(-1e308, 0, True, 10**400, "2001-02-03", "٣", "\ud800", b"x", (1,), object()),
)
CELL = st.sampled_from([*HOSTILE, "a", "b", "1999-01-31"]) | st.floats(-20, 120)
ROW = st.fixed_dictionaries(dict.fromkeys(NAMES, CELL))


def spec(multiplier: float = 1.0, **more: Any) -> PreparationSpec:
    return spec_of(ALL, COLUMNS, privacy={**PRIVATE, "noise_multiplier": multiplier}, **more)


def rows_of(rows: list[dict[str, Any]], of: PreparationSpec) -> Columns:
    found: dict[str, NDArray[Any]] = {}
    for name in NAMES:
        found[name] = np.empty(len(rows), object)
        for at, row in enumerate(rows):
            found[name][at] = row[name]
    assert of.label is not None
    known, labels = private_labels(of.label, found)
    return {**found, "y": np.where(known, labels.astype(np.float64), np.nan)}


def honest(count: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "x": float(rng.normal(40, 20)),
            "z": float(rng.lognormal(9, 1)),
            "job": str(rng.choice([*"abc"])),
            "born": f"{rng.integers(1930, 2010)}-03-0{rng.integers(1, 9)}",
            "y": str(rng.integers(0, 2)),
        }
        for _ in range(count)
    ]


@cache
def progresses() -> tuple[Progress, ...]:
    """Return what is known before each round, from honest rows and some noise."""
    of, rng = spec(), np.random.default_rng(4)
    found = [start(of)]
    for _ in range(of.planned_rounds):
        totals = tallies(of, found[-1], [rows_of(honest(200, 1), of)])
        found.append(learn(of, found[-1], totals + rng.integers(-2000, 2000, len(totals))))
    return tuple(found)


def test_the_preparation_has_every_step_that_is_fitted_to_rows() -> None:
    """Ends of ranges (`min_max` of rows) cannot be private."""
    assert {step["step"] for step in ALL} >= FITTED - {"min_max"}
    assert {step["by"] for step in ALL if step["step"] == "select"} == {
        "iv", "variance", "correlation"
    }  # fmt: skip


def rounding(of: PreparationSpec, query: Query) -> int:
    return int(query.adds_numbers and unit_of(of, query) < UNIT)


@settings(max_examples=25, deadline=None)
@given(ROW, st.integers(0, 5))
def test_a_row_moves_a_sum_by_one_unit_and_as_many_sums_as_noise_is_reckoned_for(
    row: dict[str, Any], place: int
) -> None:
    of, others = spec(), honest(5, 9)
    without = rows_of(others, of)
    within = rows_of([*others[:place], row, *others[place:]], of)
    for progress in progresses()[:-1]:
        moved = tallies(of, progress, [within]) - tallies(of, progress, [without])
        offset = 0
        for query in schedule(of).rounds[progress.rounds]:
            part = moved[offset : offset + query.slots]
            assert np.abs(part).max() <= unit_of(of, query) + rounding(of, query), query
            assert np.count_nonzero(part) <= query.moved, query
            offset += query.slots
        assert not moved[offset:].any()


@settings(max_examples=15, deadline=None)
@given(ROW)
def test_no_row_is_lost_or_makes_a_recipe_fail(row: dict[str, Any]) -> None:
    of = spec()
    rows = outcome(of, progresses()[-1], rows_of([row, *honest(3, 2)], of), strict=False)
    for name, held in rows.table.items():
        assert len(rows.values[name]) == 4
        assert isinstance(held, Numbers)
        assert not np.isinf(rows.values[name]).any()


def test_a_missing_label_is_named_or_leaves_its_row_out() -> None:
    of = spec()
    assert of.label is not None
    labels = {"y": np.array(["1", "0", None, "what"], object)}
    with pytest.raises(SecureFlowError) as caught:
        label_vector(of.label, labels)
    assert caught.value.code == "missing_label"
    assert caught.value.details == {"row": 3, "column": "y"}
    known, values = private_labels(of.label, labels)
    assert known.tolist() == [True, True, False, True]
    assert values.tolist() == [1.0, 0.0, 0.0, 0.0]  # whatever is not positive is not


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [10**3, 10**6, 10**12, 1 << 60])
def test_fits_of_noise_are_defined_finite_and_the_same_for_all(seed: int, size: int) -> None:
    of, rng = spec(), np.random.default_rng(seed)
    progress = start(of)
    while progress.rounds < of.planned_rounds:
        totals = rng.integers(-size, size, schedule(of).longest)
        following = learn(of, progress, totals)
        assert learn(of, progress, totals.copy()) == following
        progress = following
    finite_and_usable(of, progress)


@pytest.mark.parametrize("value", [-(1 << 60), -1, 0, 1, 1 << 60])
def test_fits_of_hugely_negative_totals_are_defined(value: int) -> None:
    of = spec()
    progress = start(of)
    while progress.rounds < of.planned_rounds:
        progress = learn(of, progress, np.full(schedule(of).longest, value, np.int64))
    finite_and_usable(of, progress)


def finite_and_usable(of: PreparationSpec, progress: Progress) -> None:
    json.dumps(progress.fits, allow_nan=False)
    assert None not in progress.fits
    values = rows_of([*honest(6, 3), dict.fromkeys(NAMES)], of)
    rows = outcome(of, progress, values, strict=False)
    for found in rows.values.values():
        assert len(found) == 7
        assert not np.isinf(found).any()


@pytest.mark.parametrize(("multiplier", "contributions"), [(0.1, 1), (1.0, 1), (40.0, 20)])
def test_noise_is_as_large_as_its_multiplier_says_and_no_coarser_than_needed(
    multiplier: float, contributions: int
) -> None:
    unit = "person" if contributions > 1 else "record"
    of = spec_of(ALL, COLUMNS, contributions=contributions,
                 privacy={**PRIVATE, "noise_multiplier": multiplier, "unit": unit})  # fmt: skip
    for query in (query for each in schedule(of).rounds for query in each):
        most = unit_of(of, query) * contributions + rounding(of, query)
        sensitivity = most * query.moved**0.5
        assert sigma_of(of, query) == pytest.approx(multiplier * sensitivity)
        assert unit_of(of, query) >= 1
        assert sigma_of(of, query) <= 1.1 * (1 << 13) or unit_of(of, query) == 1


COARSE: dict[str, Any] = {
    "contributions": 100,
    "privacy": {**PRIVATE, "noise_multiplier": 2.0, "unit": "person"},
}


def test_coarse_steps_move_no_sum_beyond_the_rounding_of_the_whole() -> None:
    """Rounded row by row, 100,000 rows of .47 were 3,000 rows off; the noise is of 350."""
    of = spec_of([{"step": "standardise", "columns": ["x"]}], [number("x", -1, 1)], **COARSE)
    (query,) = schedule(of).rounds[0]
    unit = unit_of(of, query)
    assert unit < 32
    sums = tallies(of, start(of), [{"x": np.full(100_000, 0.47)}])
    assert abs(sums[0] - 0.47 * 100_000 * unit) <= 1
    assert abs(sums[1] - (2 * 0.47**2 - 1) * 100_000 * unit) <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), max_size=60), st.lists(st.floats(-2, 2), max_size=100))
def test_the_rows_of_a_person_move_a_sum_by_what_noise_is_reckoned_for(
    others: list[float], person: list[float]
) -> None:
    of = spec_of([{"step": "standardise", "columns": ["x"]}], [number("x", -1, 1)], **COARSE)
    (query,) = schedule(of).rounds[0]

    def sums(rows: list[float]) -> NDArray[np.int64]:
        return tallies(of, start(of), [{"x": np.array([0.1, *rows])}])

    moved = np.abs(sums([*others, *person]) - sums(others))
    assert moved.max() <= len(person) * unit_of(of, query) + 1
    whole = sigma_of(of, query) / 2.0
    assert np.linalg.norm(moved.astype(float)) <= whole


def test_a_private_job_counts_no_rows_of_its_own() -> None:
    """Each release costs: the rows are counted only where nothing else is summed."""
    assert all(query.step >= 0 for each in schedule(spec()).rounds for query in each)
    plain = spec_of([{"step": "drop", "columns": ["x"]}], COLUMNS[:2], privacy=PRIVATE)
    assert [query.step for query in schedule(plain).rounds[0]] == [-1]
    progress = learn(plain, start(plain), np.array([-5000]))
    assert progress.rows == 0.0
