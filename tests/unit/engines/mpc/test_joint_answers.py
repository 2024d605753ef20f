"""Answers of joint sums against NumPy and pandas on all rows: exact, or within their noise."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.answers import NO_SPREAD, TOO_FEW_ROWS, answers
from secureflow.engines.mpc.places import length_of, places
from secureflow.engines.mpc.tally import noised, party_sums
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.engines.mpc.world import CENTS, pooled, rows_of, specified

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
PRIVATE = {"delta": 1e-6, "noise_multiplier": 1.0}
COUNT = 400
"""Rows of each party."""


def told(spec: MpcSpec, parties: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
    each = parties or [rows_of(number, COUNT) for number in range(3)]
    totals = np.zeros(length_of(spec), np.int64)
    for number, columns in enumerate(each):
        own = {name: columns[name] for name in spec.column_names}
        totals += noised(spec, party_sums(spec, own), bytes([number]) * 32)
    return {one["name"]: one for one in answers(spec, totals, len(each))}


def frame() -> pd.DataFrame:
    return pd.DataFrame(pooled(3, COUNT))


def asked(*queries: dict[str, Any], **changes: Any) -> MpcSpec:
    named = [{"name": f"q{number}", **one} for number, one in enumerate(queries)]
    return specified(ROSTER, named, **changes)


def test_counts_sums_and_means_are_those_of_pandas() -> None:
    spec = asked(
        {"measure": "count"},
        {"measure": "count", "columns": ["age"], "by": "sex"},
        {"measure": "sum", "columns": ["spent"], "by": "sex"},
        {"measure": "mean", "columns": ["spent"], "by": "sex"},
        {"measure": "variance", "columns": ["spent"], "by": "sex"},
    )
    found, rows = told(spec), frame()
    assert found["q0"]["rows"][0]["value"] == len(rows)
    groups = rows[rows.sex.notna()].groupby("sex")
    for at, group in enumerate(["f", "m"]):
        own = groups.get_group(group)
        assert found["q1"]["rows"][at]["value"] == own.age.count()
        cents = int((own.spent.dropna() * 100).round().astype(int).sum())
        assert found["q2"]["rows"][at]["exact"] == f"{cents / 100:.2f}"
        mean = Fraction(cents, 100 * int(own.spent.count()))
        assert found["q3"]["rows"][at]["value"] == float(mean)
        assert found["q4"]["rows"][at]["value"] == pytest.approx(own.spent.var(ddof=0), rel=1e-12)
    nobody = [found[name]["rows"][2] for name in ("q1", "q2", "q3", "q4")]
    assert [one["value"] for one in nobody] == [0, 0.0, None, None]
    assert nobody[2]["reason"] == TOO_FEW_ROWS
    assert found["q2"]["left_out"] == int((rows.sex.isna() | rows.spent.isna()).sum())


def test_covariances_and_correlations_are_those_of_complete_rows() -> None:
    both = ["age", "spent"]
    spec = asked(
        {"measure": "covariance", "columns": both}, {"measure": "correlation", "columns": both},
        {"measure": "correlation", "columns": both, "by": "sex"},
    )  # fmt: skip
    found, rows = told(spec), frame()
    whole = rows[both].dropna()
    cells = {one["cell"]: one["value"] for one in found["q0"]["rows"]}
    truth = np.cov(whole.age, whole.spent, ddof=0)
    assert cells["age × age"] == pytest.approx(truth[0, 0], rel=1e-12)
    assert cells["age × spent"] == pytest.approx(truth[0, 1], rel=1e-9)
    cells = {one["cell"]: one["value"] for one in found["q1"]["rows"]}
    assert cells["age × spent"] == pytest.approx(whole.corr().iloc[0, 1], abs=1e-12)
    assert cells["spent × spent"] == 1.0
    assert found["q0"]["left_out"] == len(rows) - len(whole)
    men = rows[rows.sex == "m"][both].dropna().corr().iloc[0, 1]
    (own,) = [
        one for one in found["q2"]["rows"]
        if one["group"] == "m" and one["cell"] == "age × spent"
    ]  # fmt: skip
    assert own["value"] == pytest.approx(men, abs=1e-12)


GREAT = [
    {"column": one, "type": "number", "bounds": [-(2.0**50), 2.0**50]} for one in ("age", "spent")
]


def test_squares_hold_as_far_as_magnitudes_do() -> None:
    """A single value of 2^50 steps is the most that a party may add to a sum."""
    query = {"name": "v", "measure": "variance", "columns": ["age"]}
    spec = specified(ROSTER, [query], decimals=[], columns=GREAT[:1])
    each = [{"age": np.array(one)} for one in ([2.0**50, 0.0], [2.0**49, -(2.0**49)], [-1.0])]
    (row,) = told(spec, each)["v"]["rows"]
    x = [int(one) for part in each for one in part["age"]]
    n = len(x)
    assert row["value"] == float(Fraction(n * sum(a * a for a in x) - sum(x) ** 2, n * n))


@pytest.mark.parametrize(
    ("age", "spent", "said"),
    [
        ([1.0, 2.0, 3.0], [2.0**50, 1.0, 0.0], "A sum over column 'spent' is greater than 2^50"),
        ([1.0, 1.0, 0.0], [2.0**50, -(2.0**50), 0.0], "The squares of column 'spent' add up"),
        ([2.0**49, -(2.0**49)] * 2, [2.0**50, -(2.0**50)] * 2, "of columns 'age' and 'spent' add"),
    ],
)
def test_the_column_that_is_too_large_is_named(
    age: list[float], spent: list[float], said: str
) -> None:
    query = {"name": "c", "measure": "covariance", "columns": ["age", "spent"]}
    spec = specified(ROSTER, [query], decimals=[], columns=GREAT)
    with pytest.raises(SecureFlowError) as caught:
        party_sums(spec, {"age": np.array(age), "spent": np.array(spent)})
    assert caught.value.code == "ring_overflow"
    assert said in caught.value.message
    assert chinese(caught.value.message)


def test_a_covariance_of_great_numbers_is_exact_where_floats_cancel() -> None:
    base = 900_000_000_000
    columns = [
        {"column": "age", "type": "number", "bounds": [0, 1e12]},
        {"column": "spent", "type": "number", "bounds": [0, 1e12]},
    ]
    query = {"name": "c", "measure": "covariance", "columns": ["age", "spent"]}
    spec = specified(ROSTER, [query], decimals=[], columns=columns)
    steps = np.arange(5.0)
    each = [{"age": base + steps + 7 * at, "spent": base - 3 * steps} for at in range(3)]
    rows = told(spec, each)["c"]["rows"]
    x = [int(one) for part in each for one in part["age"]]
    y = [int(one) for part in each for one in part["spent"]]
    n = len(x)
    truth = Fraction(n * sum(a * b for a, b in zip(x, y, strict=True)) - sum(x) * sum(y), n * n)
    assert rows[1]["value"] == float(truth)


def test_histograms_are_numpys_and_keys_are_pandas() -> None:
    spec = asked(
        {"measure": "histogram", "columns": ["age"], "bins": 7},
        {"measure": "histogram", "columns": ["sex"], "by": None},
        {"measure": "count", "keys": {"column": "age", "first": 20, "count": 30}},
        decimals=[],
    )
    found, rows = told(spec), frame()
    truth = np.histogram(rows.age.dropna(), bins=7, range=(0, 100))[0]
    assert [one["value"] for one in found["q0"]["rows"]] == truth.tolist()
    assert [one["value"] for one in found["q1"]["rows"]] == [
        int((rows.sex == one).sum()) for one in ("f", "m", "x")
    ]
    within = rows.age.between(20, 49)
    assert found["q2"]["rows"][0]["value"] == int(within.sum())
    assert found["q2"]["left_out"] == int((~within).sum())


def test_noised_answers_are_near_the_truth_and_say_how_near() -> None:
    both = ["age", "spent"]
    columns = [
        {"column": "age", "type": "number", "bounds": [0, 100]},
        {"column": "spent", "type": "number", "bounds": [0, 1000]},
    ]
    spec = specified(
        ROSTER,
        [
            {"name": "rows", "measure": "count", "columns": ["age"]},
            {"name": "sum", "measure": "sum", "columns": ["spent"]},
            {"name": "mean", "measure": "mean", "columns": ["age"]},
            {"name": "var", "measure": "variance", "columns": ["age"]},
            {"name": "cov", "measure": "covariance", "columns": both},
            {"name": "cor", "measure": "correlation", "columns": both},
            {"name": "hist", "measure": "histogram", "columns": ["age"], "bins": 5},
        ],
        decimals=[], columns=columns, privacy=PRIVATE,
    )  # fmt: skip
    each = [{**rows_of(number, 20_000)} for number in range(3)]
    for one in each:
        one["spent"] = one["age"] * 5 + np.abs(one["spent"]).clip(0, 400)
    found = told(spec, each)
    rows = pd.DataFrame({name: np.concatenate([one[name] for one in each]) for name in both})
    rows.spent = rows.spent.clip(0, 1000)
    whole = rows.dropna()
    truth = {
        "rows": [rows.age.count()], "sum": [rows.spent.sum()], "mean": [rows.age.mean()],
        "var": [rows.age.var(ddof=0)],
        "cov": np.cov(whole.age, whole.spent, ddof=0)[[0, 0, 1], [0, 1, 1]],
        "cor": [1.0, whole.corr().iloc[0, 1], 1.0],
        "hist": np.histogram(rows.age.dropna(), bins=5, range=(0, 100))[0],
    }  # fmt: skip
    for name, values in truth.items():
        for row, value in zip(found[name]["rows"], values, strict=True):
            assert abs(row["value"] - value) <= 6 * row["standard_error"] + 1e-9, (name, row)
            assert row["low"] <= row["value"] <= row["high"]


def test_the_error_of_what_is_divided_is_that_of_many_draws() -> None:
    """Linear, as it is told: a tenth off at most, over many noises of the same rows."""
    both = ["age", "spent"]
    columns = [
        {"column": "age", "type": "number", "bounds": [0, 100]},
        {"column": "spent", "type": "number", "bounds": [0, 1000]},
    ]
    query = {"name": "c", "measure": "correlation", "columns": both}
    spec = specified(ROSTER, [query], decimals=[], columns=columns, privacy=PRIVATE)
    own = rows_of(0, 4000)
    own["spent"] = own["age"] * 4 + np.abs(own["spent"]).clip(0, 500)
    exact = party_sums(spec, {name: own[name] for name in spec.column_names})
    drawn, errors = [], []
    for seed in range(300):
        totals = sum(noised(spec, exact, bytes([party]) + seed.to_bytes(31, "big"))
                     for party in range(3))  # fmt: skip
        row = answers(spec, np.asarray(totals), 3)[0]["rows"][1]
        drawn.append(row["value"])
        errors.append(row["standard_error"])
    assert np.std(drawn) == pytest.approx(np.median(errors), rel=0.2)


def test_no_row_moves_noised_sums_further_than_the_noise_is_made_for() -> None:
    spec = asked(
        {"measure": "covariance", "columns": ["age", "spent"]},
        {"measure": "mean", "columns": ["age"], "by": "sex"},
        {"measure": "sum", "columns": ["spent"]},
        {"measure": "histogram", "columns": ["age"]},
        decimals=[], privacy=PRIVATE,
    )  # fmt: skip
    extremes = (np.nan, -np.inf, np.inf, 0.0, 100.0, 1e300, -1000.0, 33.3)
    for age in extremes:
        for spent in extremes:
            columns = {
                "age": np.array([age]), "spent": np.array([spent]),
                "sex": np.array(["f"], object),
            }  # fmt: skip
            sums = party_sums(spec, columns)
            for place in places(spec):
                moved = float(np.linalg.norm(sums[place.slice] / place.unit))
                assert place.sigma / place.unit >= moved * 1.0 - 1e-12, (place.query, age, spent)


def test_a_column_without_spread_has_no_correlation() -> None:
    spec = asked({"measure": "correlation", "columns": ["age", "spent"]}, decimals=[])
    same = {"age": np.full(9, 40.0), "spent": np.arange(9.0)}
    rows = told(spec, [same, same, same])["q0"]["rows"]
    assert [one["reason"] for one in rows] == [NO_SPREAD, NO_SPREAD, ""]


@pytest.mark.parametrize(
    ("values", "decimals", "code", "says"),
    [
        ([1.5], [], "malformed_cell", "holds fractions"),
        ([2e13], CENTS, "ring_overflow", "column 'spent'"),
        ([9e12] * 200, CENTS, "ring_overflow", "column 'spent'"),
        ([1e19, 1e19], [], "ring_overflow", "column 'spent'"),  # as int64 they add up to nothing
    ],
)
def test_what_would_not_be_exact_is_refused_by_column(
    values: list[float], decimals: list[dict[str, Any]], code: str, says: str
) -> None:
    spec = asked({"measure": "sum", "columns": ["spent"]}, decimals=decimals)
    with pytest.raises(SecureFlowError, match=says) as caught:
        party_sums(spec, {"spent": np.array(values)})
    assert (caught.value.code, caught.value.details) == (code, {"column": "spent"})
    assert caught.value.hint


def test_keys_are_whole_numbers() -> None:
    spec = asked({"measure": "count", "keys": {"column": "age", "count": 9}}, decimals=[])
    with pytest.raises(SecureFlowError, match="keys are whole numbers"):
        party_sums(spec, {"age": np.array([1.0, 2.5])})
    sums = party_sums(spec, {"age": np.array([-1.0, 0.0, 8.0, 9.0, 1e300, np.nan])})
    assert sums.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1, 4]
