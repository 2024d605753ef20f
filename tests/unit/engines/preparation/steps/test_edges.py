"""What a fit makes of rows at the edge: never an error that no rule names, never a lost row."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from unit.engines.preparation.steps.world import (
    Columns,
    category,
    fitted,
    number,
    outcome,
    parts_of,
    prepared,
    spec_of,
    text,
    unchecked,
)

from secureflow.domain.specs.steps import MAX_COLUMNS
from secureflow.domain.specs.tables import Categories, Numbers
from secureflow.engines.preparation.fitting import learn, start
from secureflow.engines.preparation.steps import dates
from secureflow.engines.preparation.steps.searching import shortest
from secureflow.engines.preparation.steps.values import read_values
from secureflow.kit.errors import SecureFlowError

X = [number("x", 0, 100)]
FITTED: list[dict[str, Any]] = [
    {"step": "impute", "columns": ["x"], "by": "mean"},
    {"step": "impute", "columns": ["x"], "by": "median"},
    {"step": "standardise", "columns": ["x"]},
    {"step": "min_max", "columns": ["x"], "of": "rows"},
    {"step": "quantile_bins", "columns": ["x"], "bins": 4},
    {"step": "yeo_johnson", "columns": ["x"]},
    {"step": "select", "columns": ["x"], "by": "variance", "threshold": 0},
    {"step": "select", "columns": ["x"], "by": "correlation", "threshold": 0.5},
]


def cells(*values: Any) -> NDArray[Any]:
    return np.array(values, object)


def fit_of(step: dict[str, Any], parts: list[Columns], **more: Any) -> Any:
    return fitted(spec_of([step], X, **more), parts).fits[0]


@pytest.mark.parametrize("step", FITTED, ids=lambda step: f"{step['step']} {step.get('by', '')}")
def test_a_column_that_is_missing_everywhere_has_a_defined_fit(step: dict[str, Any]) -> None:
    data = {"x": np.full(10, np.nan)}
    progress, rows = prepared([step], X, data)
    wanted: dict[str, Any] = {
        "impute": {"value": 50.0}, "standardise": {"mean": 50.0, "std": 50.0},
        "min_max": {"low": 0.0, "high": 100.0}, "quantile_bins": {"edges": [25.0, 50.0, 75.0]},
        "yeo_johnson": {"lambda": 1.0},
    }  # fmt: skip
    fit: Any = progress.fits[0]
    if step["step"] == "select":
        assert fit["kept"] == (["x"] if step["by"] == "correlation" else [])
    else:
        assert fit["columns"]["x"] == wanted[step["step"]]
        assert len(rows.values["x"]) == 10


@pytest.mark.parametrize("step", FITTED, ids=lambda step: f"{step['step']} {step.get('by', '')}")
@pytest.mark.parametrize("alone", ["no row", "one row", "all missing"])
def test_owners_with_next_to_nothing_change_nothing_for_the_others(
    step: dict[str, Any], alone: str
) -> None:
    """A fit of 40 and 60 rows and of an owner that adds none, or its one row, is that of all."""
    values = np.arange(101) * 0.5
    thin = {"no row": values[:0], "one row": values[100:], "all missing": np.full(7, np.nan)}
    parts: list[Columns] = [{"x": values[:40]}, {"x": values[40:100]}, {"x": thin[alone]}]
    pooled = values if alone == "one row" else values[:100]
    halves: list[Columns] = [{"x": pooled[:50]}, {"x": pooled[50:]}, {"x": values[:0]}]
    found, wanted = fit_of(step, parts), fit_of(step, halves)
    if step["step"] in ("standardise", "impute", "yeo_johnson"):
        for name, one in wanted["columns"]["x"].items():
            assert found["columns"]["x"][name] == pytest.approx(one, abs=1e-5)
    elif step["step"] == "select":
        assert found["kept"] == wanted["kept"]
    else:
        assert found == wanted


@pytest.mark.parametrize("value", [0.0, 100.0, 33.333, 12.5])
def test_a_constant_column_is_constant_however_few_its_rows(value: float) -> None:
    """What sums are rounded by is no variance: it would be divided by, or keep the column."""
    parts: list[Columns] = [{"x": np.full(rows, value)} for rows in (2, 3, 30)]
    assert fit_of(FITTED[2], parts)["columns"]["x"]["std"] == 50.0
    spec = spec_of([FITTED[2]], X)
    rows = outcome(spec, fitted(spec, parts), parts[2])
    assert np.abs(rows.values["x"]).max() < 1e-6
    assert fit_of(FITTED[6], parts)["kept"] == []
    assert fit_of(FITTED[5], parts)["columns"]["x"] == {"lambda": 1.0}
    spec = spec_of([FITTED[3]], X)
    assert outcome(spec, fitted(spec, parts), parts[1]).values["x"].tolist() == [0.0] * 3


@pytest.mark.parametrize("value", [3.3, 33.333, 70.7, 98.76])
def test_a_constant_column_correlates_with_none(value: float) -> None:
    rng = np.random.default_rng(3)
    data = {"x": np.full(8, value), "z": rng.uniform(0, 100, 8), "w": rng.uniform(0, 100, 8)}
    step = {"step": "select", "columns": ["x", "z", "w"], "by": "correlation", "threshold": 0.9}
    progress, rows = prepared([step], [number(one, 0, 100) for one in data], data)
    assert [*rows.values] == ["x", "z", "w"]
    fit: Any = progress.fits[0]
    assert (fit["values"]["x"], fit["values"]["z"]) == ({}, {"x": 0.0})


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_numbers_at_a_bound_are_found_exactly(value: float) -> None:
    parts: list[Columns] = [
        {"x": np.full(9, value)},
        {"x": np.array([50.0])},
        {"x": np.full(4, value)},
    ]
    assert fit_of(FITTED[1], parts)["columns"]["x"]["value"] == value
    ends = sorted([50.0, value])
    assert fit_of(FITTED[3], parts)["columns"]["x"] == {"low": ends[0], "high": ends[1]}


def test_bounds_far_wider_than_the_rows_cost_accuracy_and_nothing_else() -> None:
    columns = [number("x", -1e9, 1e9)]
    data = {"x": np.linspace(100, 110, 300)}
    for step in FITTED:
        progress, rows = prepared([step], columns, data)
        fit: Any = progress.fits[0]
        if step["step"] in ("impute", "standardise"):
            learned = fit["columns"]["x"]
            assert abs(learned.get("value", learned.get("mean")) - 105) < 2e3
        found = rows.values.get("x")
        assert found is None or np.isfinite(found).all()


@pytest.mark.parametrize("bounds", [(2e4, 1e6), (-1e6, -2e4), (1e11, 1e12), (0.0, 1e12)])
def test_powers_of_large_numbers_are_told_apart(bounds: tuple[float, float]) -> None:
    """At λ = −4 all of them are a quarter to float64: the search must not divide by 0."""
    rng = np.random.default_rng(5)
    share = rng.beta(2, 5, 400)
    values = bounds[0] + share * (bounds[1] - bounds[0])
    progress, rows = prepared([FITTED[5]], [number("x", *bounds)], {"x": values})
    fit: Any = progress.fits[0]
    assert -4 < fit["columns"]["x"]["lambda"] < 6
    assert np.isfinite(rows.values["x"]).all()


def test_bins_that_no_row_falls_into_are_there() -> None:
    data = {"x": cells(*[0.0] * 30, *[90.0] * 10).astype(np.float64), "y": np.tile([1.0, 0.0], 20)}
    bins = {"step": "quantile_bins", "columns": ["x"], "bins": 4}
    progress, rows = prepared([bins, {"step": "woe", "columns": ["x"]}], X, data)
    first, second = progress.fits
    assert first is not None
    assert second is not None
    assert first["columns"]["x"] == {"edges": [0.0, 22.5]}
    weights = second["columns"]["x"]["woe"]
    assert len(weights) == 4  # below 0, from 0, from 22.5, missing
    assert weights[0] == weights[3] == pytest.approx(0.0)
    assert np.isfinite(rows.values["x"]).all()


@pytest.mark.parametrize("one", [0.0, 1.0])
def test_weights_of_evidence_are_finite_without_rows_of_a_class(one: float) -> None:
    data = {"job": cells("a", "b", "a", None), "y": np.full(4, one)}
    progress, _ = prepared([{"step": "woe", "columns": ["job"]}],
                           [category("job", "a", "b", "never")], data)  # fmt: skip
    fit: Any = progress.fits[0]
    assert all(map(math.isfinite, (*fit["columns"]["job"]["woe"], fit["columns"]["job"]["iv"])))


def test_rows_without_a_label_count_in_no_class() -> None:
    spec = spec_of([{"step": "woe", "columns": ["job"]}], [category("job", "a", "b")],
                   privacy={"delta": 1e-6, "noise_multiplier": 1.0})  # fmt: skip
    whole = {"job": cells("a", "b", "b"), "y": np.array([1.0, 0.0, 1.0])}
    more = {"job": cells("a", "b", "b", "a"), "y": np.array([1.0, 0.0, 1.0, np.nan])}
    assert fitted(spec, [whole]).fits == fitted(spec, [more]).fits
    assert len(outcome(spec, fitted(spec, [whole]), more).values["job"]) == 4


def test_categories_that_one_owner_never_has_have_their_column_there() -> None:
    step = {"step": "one_hot", "columns": ["job"], "least": 2}
    spec = spec_of([step], [category("job", "a", "b", "c", "d")])
    parts: list[Columns] = [{"job": cells("a", "a")}, {"job": cells("b", "c")}, {"job": cells("c")}]
    progress = fitted(spec, parts)
    assert [*outcome(spec, progress, parts[0]).values] == ["job=a", "job=c", "job.other"]
    assert outcome(spec, progress, parts[1]).values["job.other"].tolist() == [1.0, 0.0]
    rare = fitted(
        spec_of([{**step, "least": 9}], [category("job", "a", "b")]), [{"job": cells("a")}]
    )
    assert rare.fits[0] == {"columns": {"job": {"kept": [], "merged": True}}}


def test_of_equally_frequent_categories_the_first_is_the_mode() -> None:
    step = {"step": "impute", "columns": ["job"], "by": "mode"}
    for held in (cells("c", "b", None, "b", "c"), cells(None, None)):
        progress, _ = prepared([step], [category("job", "a", "b", "c")], {"job": held})
        fit: Any = progress.fits[0]
        assert fit["columns"]["job"]["value"] == ("b" if len(held) > 2 else "a")


THREE = [number("a", 0, 1), number("b", 0, 1), number("c", 0, 1)]


def three() -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(8)
    a = rng.random(90)
    return {"a": a, "b": np.full(90, 0.3), "c": 1 - a}


@pytest.mark.parametrize(
    "later",
    [
        {"step": "standardise", "columns": ["a", "b"]},
        {"step": "impute", "columns": ["b", "c"], "by": "median", "indicator": True},
        {"step": "quantile_bins", "columns": ["b"]},
        {"step": "interact", "columns": ["a", "b", "c"]},
        {"step": "select", "columns": ["b", "c"], "by": "correlation", "threshold": 0.1},
        {"step": "select", "columns": ["b"], "by": "correlation", "threshold": 0.1},
        {"step": "select", "columns": ["b"], "by": "variance", "threshold": 0.1},
        {"step": "clip", "columns": ["b"], "low": 0.1},
        {"step": "drop", "columns": ["b", "c"]},
    ],
    ids=lambda step: f"{step['step']} {step['columns']}",
)
def test_later_steps_do_without_what_a_selection_dropped(later: dict[str, Any]) -> None:
    first = {"step": "select", "columns": ["a", "b"], "by": "variance", "threshold": 0.01}
    progress, rows = prepared([first, later], THREE, three())
    assert progress.fits[0] is not None
    assert progress.fits[0]["kept"] == ["a"]
    assert "b" not in rows.values
    assert "a" in rows.values
    assert None not in progress.fits


def test_selections_may_drop_every_column() -> None:
    every = {"columns": ["a", "b", "c"], "step": "select"}
    steps = [{**every, "by": "variance", "threshold": 9},
             {**every, "by": "correlation", "threshold": 0.5},
             {**every, "by": "variance", "threshold": 0}]  # fmt: skip
    progress, rows = prepared(steps, THREE, three())
    assert [one and one["kept"] for one in progress.fits] == [[], [], []]
    assert rows.values == {}


def test_a_second_selection_chooses_from_what_the_first_kept() -> None:
    every = {"columns": ["a", "b", "c"], "step": "select"}
    steps = [{**every, "by": "variance", "threshold": 0.01},
             {**every, "by": "correlation", "threshold": 0.5}]  # fmt: skip
    _, rows = prepared(steps, THREE, three())
    assert [*rows.values] == ["a"]


@pytest.mark.parametrize(("low", "high"), [(5, 6), (-9, -8), (5, None), (None, -8)])
def test_a_range_beyond_what_was_fitted_leaves_one_number(low: Any, high: Any) -> None:
    """The spec cannot know it: it must neither fail at the parties nor leave bounds of no width."""
    steps = [{"step": "standardise", "columns": ["x"]},
             {"step": "clip", "columns": ["x"], "low": low, "high": high},
             {"step": "standardise", "columns": ["x"]}]  # fmt: skip
    if low is not None and high is not None:
        steps.insert(2, {"step": "log", "columns": ["x"], "shift": 10})
    progress, rows = prepared(steps, X, {"x": np.linspace(0, 100, 50)})
    assert np.abs(rows.values["x"]).max() < 1e-6
    assert None not in progress.fits


def test_products_of_fitted_columns_stay_finite() -> None:
    """The spec does not know their bounds: here they end beyond 1e100."""
    steps: list[dict[str, Any]] = [{"step": "standardise", "columns": ["a", "b"]}]
    last = "b"
    for _ in range(24):
        steps.append({"step": "interact", "columns": [last, "a"]})
        last = f"{last}*a"
    values = np.tile([0.45, 0.55], 450)
    wide = [number("a", -1e3, 1e3), number("b", -1e3, 1e3)]
    _, rows = prepared(steps, wide, {"a": values, "b": values})
    for name, held in rows.table.items():
        assert isinstance(held, Numbers)
        assert held.bounds is not None
        assert np.isfinite(rows.values[name]).all()
        assert max(map(abs, held.bounds)) <= 1e100


def test_tables_at_their_limits() -> None:
    names = [f"x{at}" for at in range(MAX_COLUMNS)]
    steps: list[dict[str, Any]] = [
        {"step": "impute", "columns": names, "by": "mean"},
        {"step": "standardise", "columns": names},
        {"step": "clip", "columns": names, "low": -3, "high": 3},
    ]
    spec = spec_of(steps, [number(name, 0, 1) for name in names])
    values = np.linspace(0, 1, 6)
    parts: list[Columns] = [dict.fromkeys(names, values)] * 3
    progress = fitted(spec, parts)
    fit: Any = progress.fits[1]
    assert fit["columns"]["x1023"]["std"] == pytest.approx(values.std(), abs=1e-6)
    assert len(outcome(spec, progress, parts[0]).values) == MAX_COLUMNS


def prepared_column(kind: str, **more: Any) -> Any:
    return unchecked(
        [{"step": "drop", "columns": ["x"]}], [{"column": "x", "type": kind, **more}]
    ).columns


NUMBER = prepared_column("number", bounds=(0.0, 1.0))
CATEGORY = prepared_column("category", categories=("a", "1"))
TEXT = prepared_column("text")


@pytest.mark.parametrize(
    ("column", "held", "code", "row"),
    [
        (NUMBER, np.array([0, np.inf]), "malformed_cell", 2),
        (NUMBER, cells("1", "-inf"), "malformed_cell", 2),
        (NUMBER, cells(None, "4", "SECRET"), "malformed_cell", 3),
        (CATEGORY, cells("a", "SECRET"), "unknown_category", 2),
        (CATEGORY, cells("1", 1), "unknown_category", 2),
        (TEXT, cells("a", None, 20240131), "malformed_cell", 3),
        (TEXT, np.array([3.0]), "malformed_cell", 1),
    ],
)
def test_a_cell_that_fits_nothing_is_named_or_counts_as_missing(
    column: Any, held: NDArray[Any], code: str, row: int
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        read_values(column, {"x": held}, strict=True)
    assert caught.value.code == code
    assert (caught.value.details["row"], caught.value.details["column"]) == (row, "x")
    assert "SECRET" not in f"{caught.value.message} {caught.value.hint}"
    found = read_values(column, {"x": held}, strict=False)["x"]
    assert len(found) == len(held)
    absent = {"number": np.nan, "category": -1, "text": None}[column[0].type]
    assert found[row - 1] is absent or np.array_equal(found[row - 1], absent, equal_nan=True)


@pytest.mark.parametrize("kind", ["category", "text"])
def test_an_empty_column_of_words_may_come_as_numbers(kind: str) -> None:
    """So files and data frames give a column that is missing at one owner."""
    more = {"categories": ("a",)} if kind == "category" else {}
    column = prepared_column(kind, **more)
    for held in (np.full(3, np.nan), cells(None, float("nan"), None)):
        found = read_values(column, {"x": held}, strict=True)["x"]
        assert found.tolist() == ([-1] * 3 if kind == "category" else [None] * 3)


def test_columns_of_unequal_length_are_refused() -> None:
    columns = spec_of([{"step": "drop", "columns": ["b"]}], THREE).columns
    data = {"a": np.zeros(3), "b": np.zeros(2), "c": np.zeros(3)}
    with pytest.raises(SecureFlowError) as caught:
        read_values(columns, data, strict=True)
    assert caught.value.details == {"row": 3, "column": "b"}


DATES = {"step": "date_parts", "columns": ["born"], "parts": ["year", "month", "day", "hour"],
         "formats": ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y %H:%M"], "years": [1950, 2050]}  # fmt: skip


def test_dates_in_three_formats_are_read() -> None:
    held = cells("2001-02-03", "04.05.1999", " 12/31/2020 23:59 ", None)
    _, rows = prepared([DATES], [text("born")], {"born": held})
    found = np.column_stack([*rows.values.values()])
    wanted = [[2001, 2, 3, 0], [1999, 5, 4, 0], [2020, 12, 31, 23], [np.nan] * 4]
    assert np.array_equal(found, np.array(wanted), equal_nan=True)


FORMS = ("%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%S", "%H %M  %S %Y",
         "(%Y)[%m]", "%Y %d*")  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMS), st.text("0123456789-/.:T ()[]*", max_size=20) | st.datetimes())
def test_dates_are_read_as_strptime_reads_them(form: str, cell: Any) -> None:
    text = cell if isinstance(cell, str) else f"{cell.year:04d}".join(
        cell.strftime(part) for part in form.split("%Y")
    )  # fmt: skip
    try:
        wanted = datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        wanted = None
    assert dates._parsed(text, form) == wanted


@pytest.mark.parametrize(
    "cell",
    [
        "3 May 1999",
        "\u0662\u0660\u0660\u0661-01-01",
        "2001-02-30",
        "1949-12-31",
        "",
        "2001-02-03\x00",
    ],
)
def test_a_date_that_no_format_fits_is_named_or_missing(cell: str) -> None:
    spec = spec_of([DATES], [text("born")])
    part = {"born": cells("2001-02-03", cell)}
    progress = fitted(spec, [part | {"born": part["born"][:1]}])
    with pytest.raises(SecureFlowError) as caught:
        outcome(spec, progress, part)
    assert caught.value.code == "malformed_cell"
    assert caught.value.details == {"row": 2, "column": "born", "step": "date_parts"}
    rows = outcome(spec, progress, part, strict=False)
    assert np.isnan(rows.values["born.year"]).tolist() == [False, True]


@pytest.mark.parametrize(
    ("low", "high", "closed", "wanted"),
    [
        (44.99999, 45.00001, False, 45.0),
        (99.99998, 100.0, True, 100.0),
        (99.99998, 100.0, False, 99.99998),
        (-0.00001, 0.00002, False, 0.0),
        (1.1, 1.1000002, False, 1.1),
        (-45.00001, -44.99999, False, -45.0),
        (1e99, 1.0001e99, False, 1e99),
        (2e-100, 2.00001e-100, False, 2e-100),
        (7.0, 7.0, True, 7.0),
    ],
)
def test_the_shortest_number_of_a_cell(
    low: float, high: float, closed: bool, wanted: float
) -> None:
    assert shortest(low, high, closed=closed) == pytest.approx(wanted, rel=1e-15)


def test_fits_do_not_hang_on_how_rows_are_spread() -> None:
    rng = np.random.default_rng(2)
    data = {"x": np.round(rng.normal(50, 9, 200), 1).clip(0, 100)}
    spec = spec_of([FITTED[4]], X)
    assert fitted(spec, parts_of(data)).fits == fitted(spec, [data]).fits


def test_wrong_totals_of_others_end_in_a_defined_fit() -> None:
    """A party may send anything: what all compute from the total is finite and the same."""
    steps: list[dict[str, Any]] = [{**step, "columns": ["x"]} for step in FITTED[:3]]
    for step in [*steps, *FITTED[3:]]:
        for value in (-(1 << 58), 1 << 58, 0, 1):
            spec = spec_of([step], X)
            progress = start(spec)
            while progress.rounds < spec.planned_rounds:
                totals = np.full(70_000, value, np.int64)
                totals[::3] = 7
                progress = learn(spec, progress, totals)
            rows = outcome(spec, progress, {"x": np.array([0.0, 50.0, np.nan])})
            held = rows.table.get("x")
            found = rows.values.get("x", np.zeros(1))
            assert not np.isinf(np.asarray(found, np.float64)).any()
            assert held is None or isinstance(held, Categories | Numbers)
