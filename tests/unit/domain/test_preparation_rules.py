"""Contradictions of a preparation's spec, its facts, and how a wrong one is named."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.preparation.steps.world import (
    PRIVATE,
    category,
    number,
    refusal,
    spec_of,
    text,
    unchecked,
)

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.passes import MAX_SLOTS, MAX_TOTALS, schedule
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.domain.specs.steps import CATALOGUE, MAX_BINS
from secureflow.engines.preparation.fitting import sigma_of
from secureflow.engines.privacy.gaussian import MAX_SIGMA
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import catalogue

X, JOB = number("x", 0, 10), category("job", "a", "b")
SCALE = {"step": "standardise", "columns": ["x"]}
WOE = {"step": "woe", "columns": ["job"]}
KEY = "a" * 44
LINE = {"party": "a", "key": KEY, "dataset": "d"}


@pytest.mark.parametrize(
    ("columns", "changes", "field", "reason"),
    [
        ([X], {"roster": [LINE]}, "roster", ""),
        ([X], {"roster": [LINE, LINE]}, "roster", ""),
        ([X, X], {}, "columns.x", "listed twice"),
        ([X, JOB, number("y", 0, 1)], {"steps": [WOE]}, "columns.y", "it is the label"),
        ([X, text("note")], {}, "columns.note", "no step uses it"),
        ([{"column": "x", "type": "category"}], {}, "columns.x", "list their categories"),
        ([{**X, "categories": ["a"]}], {}, "columns.x", "list their categories"),
        ([category("x", "a", "a")], {}, "columns.x", "a category is listed twice"),
        ([{"column": "x", "type": "number"}], {}, "columns.x", "numbers, and only they"),
        ([X, {**JOB, "bounds": [0, 1]}], {}, "columns.job", "numbers, and only they"),
        ([number("x", 1, 1)], {}, "columns.x", "not below"),
        ([number("x", 1, 1 + 1e-12)], {}, "columns.x", "so close"),
        ([number("x", 0, 1e101)], {}, "columns.x", "beyond"),
        ([X], {"steps": [{"step": "drop", "columns": ["x"]}]}, "steps", "no column is left"),
        ([X], {"steps": [{"step": "select", "columns": ["x"], "by": "iv", "threshold": 0}]},
         "steps.0.columns", "no step `woe` before it made one of them"),
        ([JOB], {"steps": [WOE], "label": None}, "label", "need a label of two classes"),
        ([X], {"label": {"column": "y", "positive": "1"}}, "label", "no step uses it"),
        ([X], {"contributions": 2}, "contributions", "without privacy every row counts"),
        ([X], {"privacy": {**PRIVATE, "unit": "party"}}, "privacy.unit", "not a whole party"),
        ([X], {"privacy": PRIVATE, "contributions": 2}, "contributions", "a record is one row"),
        ([X], {"privacy": PRIVATE,
               "steps": [SCALE, {"step": "min_max", "columns": ["x"], "of": "rows"}]},
         "steps.1.of", "each one row's"),
        ([X], {"privacy": {"delta": 1e-6}}, "privacy.noise_multiplier", "neither given nor"),
        ([X], {"privacy": {**PRIVATE, "unit": "person", "noise_multiplier": 200.0},
               "contributions": 6}, "privacy.noise_multiplier", "above 166.667 (at 6 rows"),
    ],
)  # fmt: skip
def test_contradictions_are_named_by_their_field(
    columns: list[Any], changes: dict[str, Any], field: str, reason: str
) -> None:
    where, message = refusal(unchecked(**{"steps": [SCALE], "columns": columns, **changes}))
    assert where == field
    assert reason in message


def test_a_step_that_names_nearly_a_column_is_told_which() -> None:
    spec = unchecked(columns=[X, JOB], steps=[{"step": "drop", "columns": ["jbo"]}])
    with pytest.raises(SecureFlowError) as caught:
        check_preparation(spec)
    assert (caught.value.details["field"], caught.value.hint) == (
        "steps.0.columns", "job may be meant."
    )  # fmt: skip


def test_a_round_adds_up_no_more_numbers_than_the_most() -> None:
    columns = [number(f"x{at}", 0, 1) for at in range(500)]
    names = [one["column"] for one in columns]
    bins = {"step": "quantile_bins", "columns": names[:64], "bins": 2}
    assert schedule(spec_of([bins], columns[:64], privacy=PRIVATE)).longest == MAX_SLOTS
    where, message = refusal(unchecked([bins], columns[:64]))  # the rows are counted, too
    assert where == "steps"
    assert f"adds up {MAX_SLOTS + 1} numbers" in message
    step = {"step": "select", "columns": names, "by": "correlation", "threshold": 0.9}
    assert refusal(unchecked([step], columns))[0] == "steps"


def test_the_files_of_all_rounds_stay_small() -> None:
    """Each holds all totals before it: 256 rounds of 65,000 numbers fill 17 GB at the centre."""
    names = ["x", "z"]
    columns = [number(name, 0, 1) for name in names]
    again = [{"step": "quantile_bins", "columns": names, "bins": MAX_BINS},
             {"step": "ordinal", "columns": names}]  # fmt: skip
    most = MAX_TOTALS // schedule(spec_of(again, columns)).longest // 4
    spec_of(again * most, columns)
    where, message = refusal(unchecked(again * (most + 1), columns))
    assert where == "steps"
    assert f"{4 * (most + 1)} rounds of" in message


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"step": "scale", "columns": ["x"]}, "steps.0.step"),
        ({"columns": ["x"]}, "steps.0"),
        ("standardise", "steps.0"),
        ({**SCALE, "v": 2}, "steps.0.v"),
        ({**SCALE, "more": 1}, "steps.0.more"),
        ({"step": "standardise"}, "steps.0.columns"),
        ({"step": "standardise", "columns": []}, "steps.0.columns"),
        ({"step": "interact", "columns": ["x"]}, "steps.0.columns"),
        ({"step": "quantile_bins", "columns": ["x"], "bins": 1}, "steps.0.bins"),
        ({"step": "width_bins", "columns": ["x"], "bins": MAX_BINS + 1}, "steps.0.bins"),
        ({"step": "impute", "columns": ["x"], "by": "best"}, "steps.0.by"),
        ({"step": "impute", "columns": ["x"]}, "steps.0.by"),
        *(({"step": "impute", "columns": ["x"], "by": "constant", "value": value}, "steps.0.value")
          for value in (10**400, float("nan"), True, "a\u202e", [1])),
        ({"step": "clip", "columns": ["x"], "low": 1e101}, "steps.0.low"),
        ({"step": "clip", "columns": ["x"], "low": float("nan")}, "steps.0.low"),
        ({"step": "min_max", "columns": ["x"], "of": "all"}, "steps.0.of"),
        ({**WOE, "smoothing": 0}, "steps.0.smoothing"),
        ({"step": "one_hot", "columns": ["job"], "least": -1}, "steps.0.least"),
        ({"step": "hash", "columns": ["job"], "buckets": 1}, "steps.0.buckets"),
        ({"step": "log", "columns": ["x"], "shift": "a"}, "steps.0.shift"),
        ({"step": "date_parts", "columns": ["x"], "formats": []}, "steps.0.formats"),
        ({"step": "date_parts", "columns": ["x"], "formats": ["%Y"], "parts": ["week"]},
         "steps.0.parts.0"),
        ({"step": "date_parts", "columns": ["x"], "formats": ["%Y"], "years": [0, 9]},
         "steps.0.years.0"),
        ({"step": "select", "columns": ["x"], "by": "iv"}, "steps.0.threshold"),
        ({"step": "select", "columns": ["x"], "by": "iv", "threshold": -1}, "steps.0.threshold"),
    ],
)  # fmt: skip
def test_a_wrong_step_is_named_by_its_field(step: Any, field: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        unchecked_any([step])
    assert caught.value.code == "invalid_spec"
    fields: Any = caught.value.details["fields"]
    assert fields[0]["field"] == field


def unchecked_any(steps: list[Any]) -> PreparationSpec:
    spec = dump(unchecked([SCALE], [X, JOB]))
    return parse(PreparationSpec, {**spec, "steps": steps})


def test_facts_for_policies() -> None:
    steps = [{"step": "quantile_bins", "columns": ["x"]}, WOE, {"step": "woe", "columns": ["x"]}]
    spec = spec_of(steps, [X, JOB], privacy={**PRIVATE, "unit": "person"}, contributions=3)
    assert spec.facts() == {"steps": ("quantile_bins", "woe"), "rounds": 2, "contributions": 3}
    assert spec.column_names == ("x", "job", "y")
    assert spec.bounds == (("x", (0.0, 10.0)),)
    assert (spec.tells_rows, spec.all_private, spec.reads_rows) == (False, True, True)
    plain = spec_of([SCALE], [X])
    assert (plain.tells_rows, plain.all_private, plain.planned_rounds) == (True, False, 1)


def test_steps_share_rounds_unless_one_reads_what_the_other_writes() -> None:
    columns = [X, number("z", 0, 1)]
    apart = [SCALE, {"step": "quantile_bins", "columns": ["z"]}]
    assert spec_of(apart, columns).planned_rounds == 4
    assert schedule(spec_of(apart, columns)).ends == (1, 4)
    chained = [SCALE, {"step": "quantile_bins", "columns": ["x"]}]
    assert schedule(spec_of(chained, columns)).ends == (1, 5)
    assert schedule(spec_of(chained, columns, privacy=PRIVATE)).ends == (1, 2)
    local = [{"step": "clip", "columns": ["x"], "low": 1}, {"step": "log", "columns": ["x"]}]
    assert schedule(spec_of(local, columns)).ends == (0, 0)
    assert spec_of(local, columns).planned_rounds == 1  # the rows are counted


def test_totals_of_several_rounds_are_over_all_parties_or_noised() -> None:
    """Of two totals of the same rows, one without a party, the difference is that party's."""
    roster = [{"party": one, "key": one * 44, "dataset": "d"} for one in "abcd"]
    bins = [{"step": "quantile_bins", "columns": ["x"]}]
    for steps, changes in (
        ([SCALE], {}),
        (bins, {"privacy": PRIVATE}),
        (bins, {"min_contributors": 4}),
    ):
        check_preparation(unchecked(steps, [X], roster=roster, **changes))
    spec = unchecked(bins, [X], roster=roster)
    assert spec.min_contributors == 3
    field, message = refusal(spec)
    assert field == "min_contributors"
    assert "two rounds" in message


def test_the_rounds_of_a_few_specs_are_kept() -> None:
    """A centre would hold every spec that it ever checked."""
    assert schedule.cache_info().maxsize is not None


def test_every_step_is_described() -> None:
    assert len({one.step for one in CATALOGUE}) == len(CATALOGUE)
    for one in CATALOGUE:
        assert catalogue()[one.title]
        assert one.__doc__
        assert one.v == 1


def test_a_spec_is_the_same_after_json() -> None:
    steps = [{"step": "impute", "columns": ["job"], "by": "constant", "value": "b"},
             {"step": "impute", "columns": ["x"], "by": "constant", "value": 3}, WOE]  # fmt: skip
    spec = spec_of(steps, [X, category("job", "a", "b", "3")])
    assert parse(PreparationSpec, dump(spec)) == spec
    assert spec.steps[0].value == "b"  # type: ignore[union-attr]
    assert spec.steps[1].value == 3.0  # type: ignore[union-attr]


def test_noise_is_no_larger_than_can_be_drawn() -> None:
    """An agent that cannot draw it fails after its owner's budget was charged."""
    columns = [{"column": f"x{at}", "type": "number", "bounds": [0, 1]} for at in range(360)]
    names = [one["column"] for one in columns]
    steps = [{"step": "select", "columns": names, "by": "correlation", "threshold": 0.5}]
    for multiplier, right in ((200.0, True), (300.0, False)):
        noise = {"delta": 1e-6, "noise_multiplier": multiplier}
        spec = unchecked(steps, columns, privacy=noise)
        (query,) = schedule(spec).rounds[0]
        assert (sigma_of(spec, query) <= MAX_SIGMA) is right
        if right:
            check_preparation(spec)
        else:
            assert refusal(spec)[0] == "privacy.noise_multiplier"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"step": "standardize", "columns": ["x"]}, "standardise may be meant"),
        ({"step": "zzz", "columns": ["x"]}, "there is no step 'zzz'. The steps are impute, clip"),
        ({"stp": "clip", "columns": ["x"]}, "it does not say which step it is"),
    ],
)
def test_a_step_that_there_is_none_of_is_told_with_those_that_there_are(
    step: dict[str, Any], told: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        unchecked_any([step])
    assert told in caught.value.message
    assert "steps.0" in caught.value.message
