"""What each step of a preparation takes, and what the table is like after it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from unit.engines.preparation.steps.world import (
    category,
    number,
    refusal,
    spec_of,
    text,
    unchecked,
)

from secureflow.domain.bounds import MAX_BOUND, bounds_problem
from secureflow.domain.specs.steps import MAX_COLUMNS
from secureflow.domain.specs.tables import (
    Categories,
    Numbers,
    StepProblem,
    after,
    present,
    yeo_johnson,
)

COLUMNS = [number("x", 0, 10), number("z", -5, 5), category("job", "a", "b"), text("note")]
DROP = {"step": "drop", "columns": ["note"]}
DATES = {"step": "date_parts", "columns": ["note"], "formats": ["%Y-%m-%d"]}
SCALED = {"step": "standardise", "columns": ["x"]}


def table(*steps: dict[str, Any], columns: Any = COLUMNS) -> Any:
    """Return the table after steps, at its widest."""
    *_, last = spec_of(steps, columns).tables()
    return last


@pytest.mark.parametrize(
    ("steps", "field", "reason"),
    [
        ([{"step": "clip", "columns": ["gone"], "low": 0}], "0.columns", "no column 'gone'"),
        ([{"step": "one_hot", "columns": ["job"]}, {"step": "ordinal", "columns": ["job"]}],
         "1.columns", "no column 'job'"),
        ([{"step": "log", "columns": ["x", "x"]}], "0.columns", "listed twice"),
        ([{"step": "impute", "columns": ["job"], "by": "mean"}], "0.columns",
         "'job' holds categories at this step, and it takes numbers"),
        ([{"step": "impute", "columns": ["x"], "by": "mode"}], "0.columns", "takes categories"),
        ([{"step": "impute", "columns": ["note"], "by": "constant", "value": "a"}], "0.columns",
         "'note' holds texts at this step, and it takes numbers or categories"),
        ([{"step": "impute", "columns": ["x"], "by": "constant"}], "0.value", "`constant`"),
        ([{"step": "impute", "columns": ["x"], "by": "mean", "value": 1}], "0.value", "`constant`"),
        ([{"step": "impute", "columns": ["x"], "by": "constant", "value": "a"}], "0.value",
         "the value is a text"),
        ([{"step": "impute", "columns": ["job"], "by": "constant", "value": "c"}], "0.value",
         "'c' is none of the categories of 'job'"),
        ([{"step": "impute", "columns": ["job"], "by": "constant", "value": 1}], "0.value",
         "none of the categories"),
        ([{"step": "clip", "columns": ["x"]}], "0.low", "a lower bound"),
        ([{"step": "clip", "columns": ["x"], "low": 2, "high": 2}], "0.low", "the lower one first"),
        ([{"step": "clip", "columns": ["x"], "low": 10}], "0.low", "nothing of the bounds of 'x'"),
        ([{"step": "clip", "columns": ["x"], "low": 1, "high": 1 + 1e-12}], "0.columns",
         "of the bounds of 'x' then: the bounds are so close"),
        ([{"step": "min_max", "columns": ["x"], "low": 1, "high": 1}], "0.low", "not below"),
        ([{"step": "min_max", "columns": ["x"], "low": 1, "high": 1 + 1e-13}], "0.columns",
         "so close"),
        ([SCALED, {"step": "min_max", "columns": ["x"]}], "1.columns", "follow from rows"),
        ([SCALED, {"step": "width_bins", "columns": ["x"]}], "1.columns", "follow from rows"),
        ([SCALED, {"step": "log", "columns": ["x"], "shift": 9}], "1.columns", "follow from rows"),
        ([SCALED, {"step": "yeo_johnson", "columns": ["x"]}], "1.columns", "follow from rows"),
        ([{"step": "quantile_bins", "columns": ["job"]}], "0.columns", "takes numbers"),
        ([{"step": "woe", "columns": ["x"]}], "0.columns", "takes categories"),
        ([{"step": "ordinal", "columns": ["note"]}], "0.columns", "takes categories"),
        ([{"step": "hash", "columns": ["job"]}], "0.columns", "takes texts"),
        ([{"step": "one_hot", "columns": ["z"]}], "0.columns", "takes categories"),
        ([{"step": "log", "columns": ["z"], "shift": 5}], "0.shift", "'z' may be 0, of which"),
        ([{"step": "log", "columns": ["x"], "shift": 1e99}], "0.columns", "is not below the upper"),
        ([{**DATES, "columns": ["x"]}], "0.columns", "takes texts"),
        ([{**DATES, "years": [2000, 2000]}], "0.years", "not before"),
        ([{**DATES, "parts": ["year", "year"]}], "0.parts", "twice"),
        ([{"step": "interact", "columns": ["x", "job"]}], "0.columns", "takes numbers"),
        ([{"step": "interact", "columns": ["x", "z"]}] * 2, "1.columns", "two columns 'x*z'"),
        ([{"step": "select", "columns": ["job"], "by": "variance", "threshold": 0}], "0.columns",
         "takes numbers"),
        ([{"step": "select", "columns": ["x"], "by": "correlation", "threshold": 1.5}],
         "0.threshold", "at most 1"),
    ],
)  # fmt: skip
def test_a_step_that_does_not_fit_its_table_is_refused_by_its_field(
    steps: list[dict[str, Any]], field: str, reason: str
) -> None:
    used = any("note" in step["columns"] for step in steps)
    where, message = refusal(unchecked(steps if used else [*steps, DROP], COLUMNS))
    assert where == f"steps.{field}"
    assert reason in message


@pytest.mark.parametrize(
    "form",
    ["%d.%m", "%A %Y", "%y-%m-%d", "%Y %Y", "%Y%", "%Y %%", "%Y-%b-%d", "%Y %I %p", "%Y %Q"],
)
def test_formats_that_hang_on_a_locale_or_are_none_are_refused(form: str) -> None:
    """They would be read otherwise, or not at all, at another owner."""
    where, message = refusal(unchecked([{**DATES, "formats": ["%d.%m.%Y", form]}], COLUMNS))
    assert where == "steps.0.formats"
    assert "no format that is read alike everywhere" in message


@pytest.mark.parametrize(
    ("columns", "step"),
    [
        (["x", "x.missing"], {"step": "impute", "by": "mean", "columns": ["x"], "indicator": True}),
        (["a", "a*b", "b*c", "c"], {"step": "interact", "columns": ["a", "a*b", "b*c", "c"]}),
    ],
)
def test_no_two_columns_get_one_name(columns: list[str], step: dict[str, Any]) -> None:
    declared = [number(name, 0, 1) for name in columns]
    where, message = refusal(unchecked([step], declared))
    assert where == "steps.0.columns"
    assert "there would be two columns" in message


@pytest.mark.parametrize(
    ("columns", "step", "twice"),
    [
        ([category("a", "b"), number("a=b", 0, 1)], {"step": "one_hot"}, "a=b"),
        ([category("a", "b=c"), category("a=b", "c")], {"step": "one_hot"}, "a=b=c"),
        ([text("a"), number("a.year", 0, 1)], DATES, "a.year"),
    ],
)
def test_names_that_are_made_do_not_meet_others(columns: Any, step: Any, twice: str) -> None:
    names = [one["column"] for one in columns if one["type"] != "number"]
    _, message = refusal(unchecked([{**step, "columns": names}], columns))
    assert f"two columns {twice!r}" in message


def test_columns_that_a_step_made_are_named_whole_by_later_ones() -> None:
    """A column's name has 128 characters at most, a category 256: `COLUMN=CATEGORY` has more."""
    work, kind = "w" * 100, "k" * 250
    made = f"{work}={kind}"
    steps: list[dict[str, Any]] = [
        {"step": "one_hot", "columns": [work]},
        {"step": "standardise", "columns": [made]},
        {"step": "interact", "columns": [made, "x"]},
        {"step": "drop", "columns": [f"{made}*x"]},
    ]
    columns = [category(work, kind, "b"), number("x", 0, 1)]
    spec_of(steps, columns)
    product = {"step": "interact", "columns": [made, f"{made}*x"]}
    where, message = refusal(unchecked([*steps[:3], product], columns))
    assert where == "steps.3.columns"
    assert "more than 600 characters" in message


def test_a_table_has_no_more_columns_than_the_most() -> None:
    many = [category("a", *map(str, range(1000))), category("b", *map(str, range(24)))]
    step = {"step": "one_hot", "columns": ["a", "b"]}
    assert len(table(step, columns=many)) == MAX_COLUMNS
    where, message = refusal(unchecked([{**step, "missing": "indicator"}], many))
    assert where == "steps.0.columns"
    assert "more than 1024 columns" in message
    numbers = [number(f"x{at}", 0, 1) for at in range(64)]
    pairs = {"step": "interact", "columns": [one["column"] for one in numbers]}
    assert refusal(unchecked([pairs], numbers))[0] == "steps.0.columns"


def test_the_columns_of_many_buckets_are_not_made_before_they_are_refused() -> None:
    """A million of them, of which each costs memory at the centre that checks the spec."""
    names = [f"t{at}" for at in range(256)]
    steps = [{"step": "hash", "columns": names, "buckets": 4096},
             {"step": "one_hot", "columns": names}]  # fmt: skip
    made: list[str] = []

    class Noting(dict[str, Any]):
        def __contains__(self, name: object) -> bool:
            made.append(str(name))
            return super().__contains__(name)

    spec = unchecked(steps, [text(name) for name in names])
    hashed = after(spec.steps[0], spec.table)
    with pytest.raises(StepProblem):
        after(spec.steps[1], Noting(hashed))
    assert len(made) < 3 * 4096


def test_bounds_of_products_that_float64_cannot_scale_are_refused() -> None:
    steps = [
        {"step": "interact", "columns": ["p", "q"]},
        {"step": "interact", "columns": ["p", "p*q"]},
    ]
    wide = [number("p", 0, 1e40), number("q", 0, 1e40)]
    where, message = refusal(unchecked(steps, wide))
    assert where == "steps.1.columns"
    assert "a bound is beyond ±1e+100" in message
    narrow = [number("p", 0, 1e-60), number("q", 0, 1e-60)]
    assert refusal(unchecked(steps[:1], narrow))[0] == "steps.0.columns"


@pytest.mark.parametrize(
    ("step", "name", "wanted"),
    [
        ({"step": "impute", "columns": ["x"], "by": "constant", "value": -1}, "x", (-1.0, 10.0)),
        ({"step": "impute", "columns": ["x"], "by": "mean", "indicator": True}, "x.missing",
         (0.0, 1.0)),
        ({"step": "clip", "columns": ["x"], "low": 3, "high": 30}, "x", (3.0, 10.0)),
        ({"step": "min_max", "columns": ["x"], "low": -1, "of": "rows"}, "x", (-1.0, 1.0)),
        ({"step": "log", "columns": ["x"]}, "x", (0.0, math.log(11))),
        ({"step": "ordinal", "columns": ["job"]}, "job", (0.0, 1.0)),
        ({"step": "one_hot", "columns": ["job"], "least": 5}, "job.other", (0.0, 1.0)),
        ({"step": "interact", "columns": ["x", "z"]}, "x*z", (-50.0, 50.0)),
        (DATES, "note.weekday", (0.0, 6.0)),
        (DATES, "note.year", (1900.0, 2100.0)),
        (SCALED, "x", None),
        ({"step": "yeo_johnson", "columns": ["x"]}, "x", None),
    ],
)  # fmt: skip
def test_bounds_after_a_step(step: dict[str, Any], name: str, wanted: Any) -> None:
    last = table(step) if "note" in step["columns"] else table(step, DROP)
    assert last[name] == Numbers(wanted)


def test_types_after_a_step() -> None:
    last = table({"step": "quantile_bins", "columns": ["x"], "bins": 3},
                 {"step": "hash", "columns": ["note"], "buckets": 2},
                 {"step": "woe", "columns": ["job"]},
                 {"step": "width_bins", "columns": ["z"], "bins": 2})  # fmt: skip
    assert last == {"x": Categories(("1", "2", "3")), "z": Categories(("1", "2")),
                    "job": Numbers(), "note": Categories(("0", "1"))}  # fmt: skip


def test_a_fit_narrows_the_table_and_never_fails() -> None:
    spec = unchecked([SCALED, {"step": "clip", "columns": ["x"], "low": 90, "high": 91},
                      {"step": "clip", "columns": ["x"], "low": 99}, DROP], COLUMNS)  # fmt: skip
    held = after(spec.steps[0], spec.table, {"columns": {"x": {"mean": 5.0, "std": 2.5}}})
    assert held["x"] == Numbers((-2.0, 2.0))
    assert after(spec.steps[1], held, {"columns": {}})["x"] == Numbers((90.0, 91.0))
    lasting: Any = after(spec.steps[2], held, {"columns": {}})["x"]
    assert lasting.bounds[0] <= 99 <= lasting.bounds[1]
    assert not bounds_problem(lasting.bounds)
    gone = after(spec.steps[0], {"z": spec.table["z"]}, {"columns": {}})
    assert present(spec.steps[0], gone) == ()


@pytest.mark.parametrize("std", [1e-300, 1e-90, 1.0, 1e300])
@pytest.mark.parametrize("mean", [0.0, 5.0, 1e99])
def test_bounds_that_follow_from_a_fit_can_always_be_scaled_to(mean: float, std: float) -> None:
    spec = unchecked([SCALED, DROP], COLUMNS)
    held: Any = after(spec.steps[0], spec.table, {"columns": {"x": {"mean": mean, "std": std}}})
    assert not bounds_problem(held["x"].bounds)
    assert max(map(abs, held["x"].bounds)) <= MAX_BOUND


@pytest.mark.parametrize("power", [-4.0, -1e-17, 0.0, 1e-17, 1e-9, 1.0, 2.0, 2.0 + 1e-12, 6.0])
def test_the_power_of_yeo_and_johnson_is_smooth_where_it_is_nearly_none(power: float) -> None:
    """(1e6 + 1)^λ − 1 has no digits left there: bounds of no width, and a division by 0."""
    exact = {0.0: math.log(1e6 + 1), 1.0: 1e6}
    near = min(exact, key=lambda one: abs(one - power))
    if abs(near - power) < 1e-8:
        assert yeo_johnson(1e6, power) == pytest.approx(exact[near], rel=1e-6)
    assert yeo_johnson(-1e6, 2 - power) == pytest.approx(-yeo_johnson(1e6, power), rel=1e-12)
    assert yeo_johnson(-1, power) < 0 == yeo_johnson(0, power) < yeo_johnson(1e3, power)
