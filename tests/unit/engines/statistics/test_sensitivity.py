"""What one unit can change is what the layout says, whatever its rows hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.statistics import (
    EVERY,
    LAPLACE,
    LOCAL,
    LOCALLY,
    PERSON,
    SEXES,
    own_bounds,
    people,
    statistics_spec,
)

from secureflow.engines.preparation.units import kept_rows
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.engines.statistics.layout import UNIT, layout, slots
from secureflow.engines.statistics.rows import _steps, exact_sums
from secureflow.kit.errors import SecureFlowError

KEY = b"k" * 32
NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=64)
ROW = st.tuples(
    st.sampled_from(["ana", "bo", "cy", None]),
    NUMBER | st.sampled_from([0.0, 100.0, -50.0, 200.0, 50.0]),
    NUMBER | st.sampled_from([0.0, 100.0, -50.0, 200.0, 75.0]),
    st.sampled_from([*SEXES, "unknown", None]),
)


def _columns(rows: list[tuple[Any, ...]]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    cells = list(zip(*rows, strict=True)) or [(), (), (), ()]
    columns = {
        "age": np.array(cells[1], np.float64),
        "cost": np.array(cells[2], np.float64),
        "sex": np.array(cells[3], object),
    }
    return columns, np.array(cells[0], object)


@pytest.mark.parametrize("contributions", [1, 3])
@pytest.mark.parametrize("privacy", [PERSON, {**LAPLACE, "unit": "person"}])
@given(st.lists(ROW, max_size=40))
@settings(max_examples=60, deadline=None)
def test_removing_a_unit_moves_the_sums_by_no_more_than_the_layout_says(
    privacy: dict[str, Any], contributions: int, rows: list[tuple[Any, ...]]
) -> None:
    spec = statistics_spec(EVERY, privacy, contributions=contributions)
    own = own_bounds(rows_per_unit=5)
    with_ana = exact_sums(spec, own, *_columns(rows), KEY)
    without = exact_sums(spec, own, *_columns([row for row in rows if row[0] != "ana"]), KEY)
    moved = (with_ana - without).astype(object)
    for place in layout(spec):
        change = moved[place.slice]
        assert sum(abs(change)) <= place.l1
        assert sum(change**2) <= place.contributions**2 * place.m * UNIT**2
        assert place.l2**2 == pytest.approx(place.contributions**2 * place.m * UNIT**2)


@pytest.mark.parametrize(
    ("query", "cells"),
    [
        ("rows", {}),
        ("cost", {"cost": 200.0}),
        ("mean-age", {"age": 100.0}),
        ("spread", {"cost": -50.0}),
        ("ages", {"age": 100.0}),
        ("median", {"age": 0.0}),
        ("mean-by-sex", {"age": 0.0, "sex": "x"}),
    ],
)
def test_the_bound_is_reached(query: str, cells: dict[str, Any]) -> None:
    """A wider bound than needed would cost accuracy for nothing."""
    spec = statistics_spec([q for q in EVERY if q["name"] == query], PERSON, contributions=2)
    rows = {"age": 50.0, "cost": 0.0, "sex": "f", **cells}
    columns = {name: np.array([value] * 3, object) for name, value in rows.items()}
    units = np.array(["ana"] * 3, object)
    sums = exact_sums(spec, own_bounds(rows_per_unit=2), columns, units, KEY)
    (place,) = layout(spec)
    assert abs(sums).sum() == place.l1
    assert float(np.sqrt((sums.astype(float) ** 2).sum())) == pytest.approx(place.l2)


@given(st.lists(ROW.filter(lambda row: row[3] in SEXES), min_size=1, max_size=1), ROW)
@settings(max_examples=100, deadline=None)
def test_replacing_a_value_moves_what_is_noised_of_it_by_no_more_than_its_width(
    rows: list[tuple[Any, ...]], other: tuple[Any, ...]
) -> None:
    numbers = [q for q in LOCAL if q["measure"] in {"sum", "mean", "variance"}]
    spec = statistics_spec(numbers, LOCALLY)
    if np.isnan([*rows[0][1:3], *other[1:3]]).any():
        return
    one = exact_sums(spec, own_bounds(), _columns(rows)[0], None, KEY)
    two = exact_sums(spec, own_bounds(), _columns([other])[0], None, KEY)
    for place in layout(spec):
        *values, count = (one - two)[place.slice]
        assert count == 0
        assert np.abs(values).sum() <= place.value_width


@pytest.mark.parametrize("measure", ["sum", "mean", "variance"])
def test_the_width_of_a_value_is_no_wider_than_it_need_be(measure: str) -> None:
    """All pairs of 129 values: the farthest pair moves by the width, but for its rounding."""
    query = {"name": "q", "measure": measure, "column": "age"}
    spec = statistics_spec([query], LOCALLY)
    (place,) = layout(spec)
    ages = np.linspace(0, 100, 129)
    found = np.array([
        exact_sums(spec, own_bounds(), {"age": np.array([age])}, None, KEY)[:-1] for age in ages
    ])  # fmt: skip
    widest = int(np.abs(found[:, None] - found[None]).sum(axis=2).max())
    assert widest <= place.value_width <= widest + 4


def test_values_are_held_to_the_owners_bounds_and_never_beyond_the_specs() -> None:
    queries = [{"name": "m", "measure": "mean", "column": "age"}]
    spec = statistics_spec(queries)
    for own, low, high in (
        ({"age": (20.0, 60.0)}, 20.0, 60.0),
        ({"age": (-1000.0, 1000.0)}, 0.0, 100.0),
        ({}, 0.0, 100.0),
    ):
        columns = {"age": np.array([-np.inf, np.inf, np.nan])}
        total, count = exact_sums(spec, OwnBounds(bounds=own), columns, None, KEY) / UNIT
        assert count == 2
        assert total == pytest.approx((low - 50) / 50 + (high - 50) / 50, abs=1e-5)


@pytest.mark.parametrize(
    ("own", "held"),
    [
        ((20.0, 60.0), (20.0, 60.0)),
        ((-9.0, 900.0), (0.0, 100.0)),
        ((150.0, 160.0), (100.0, 100.0)),
        ((-9.0, -1.0), (0.0, 0.0)),
    ],
)
def test_the_range_of_an_owner_lies_within_the_specs(
    own: tuple[float, float], held: tuple[float, float]
) -> None:
    spec = statistics_spec()
    assert OwnBounds(bounds={"age": own}).range_of(spec.column("age")) == held


def test_no_value_is_more_than_a_unit_whatever_it_was_clamped_to() -> None:
    values = np.array([1.0 + 1e-5, -1.0 - 1e-5, 1e300, 0.5])
    assert _steps(values).tolist() == [UNIT, -UNIT, UNIT, UNIT // 2]


def test_persons_are_not_hidden_without_knowing_whose_a_row_is() -> None:
    with pytest.raises(SecureFlowError) as refused:
        exact_sums(statistics_spec(privacy=PERSON), own_bounds(), people(3), None, KEY)
    assert refused.value.code == "missing_column"


def test_a_category_that_the_owner_does_not_declare_counts_as_missing() -> None:
    spec = statistics_spec([{"name": "s", "measure": "histogram", "column": "sex"}])
    columns = {"sex": np.array(["f", "m", "x", "y", None, 3, ["f"]], object)}
    own = own_bounds(categories={"sex": ("f", "m", "y")})
    assert (exact_sums(spec, own, columns, None, KEY) == [UNIT, UNIT, 0]).all()


def test_the_spec_caps_the_owners_rows_of_a_unit() -> None:
    spec = statistics_spec([{"name": "n", "measure": "count"}], PERSON, contributions=2)
    columns = {"age": np.zeros(6)}
    units = np.array(["ana"] * 6, object)
    for own, counted in ((1, 1), (2, 2), (5, 2)):
        assert exact_sums(spec, OwnBounds(rows_per_unit=own), columns, units, KEY) == counted * UNIT


def test_a_row_without_a_unit_does_not_count() -> None:
    units = np.array(["ana", None, float("nan"), "bo"], object)
    assert kept_rows(units, 9, KEY).tolist() == [True, False, False, True]
    assert kept_rows(np.array([1.0, np.nan, 2.0]), 9, KEY).tolist() == [True, False, True]


def test_which_rows_count_depends_on_the_key_and_not_on_other_units() -> None:
    own = np.array(["ana"] * 10, object)
    alone = kept_rows(own, 3, KEY)
    assert alone.sum() == 3
    mixed = np.array(["ana", "bo"] * 10, object)
    assert (kept_rows(mixed, 3, KEY)[::2] == alone).all()
    chosen = {tuple(kept_rows(own, 3, bytes([n]) * 32)) for n in range(20)}
    assert len(chosen) > 10


def test_the_first_rows_of_the_file_are_not_preferred() -> None:
    """Over many keys each of 6 rows is kept about half the time: within 6 σ."""
    units = np.array(["ana"] * 6, object)
    kept = sum(kept_rows(units, 3, number.to_bytes(4, "big")).astype(int) for number in range(2000))
    assert (abs(kept - 1000) < 6 * np.sqrt(500)).all()


def test_what_no_conforming_source_gives_is_refused_without_its_value() -> None:
    spec = statistics_spec()
    secret = {**people(4), "age": np.array(["secret", 1, 2, 3], object)}
    for columns, code in (
        ({**people(4), "age": np.zeros(3)}, "malformed_cell"),
        (secret, "malformed_cell"),
        ({"age": np.zeros(4)}, "missing_column"),
    ):
        with pytest.raises(SecureFlowError) as refused:
            exact_sums(spec, own_bounds(), columns, None, KEY)
        assert refused.value.code == code
        assert "secret" not in str(refused.value.as_json())


def test_rows_cannot_be_counted_without_any_column() -> None:
    spec = statistics_spec([{"name": "n", "measure": "count"}])
    with pytest.raises(SecureFlowError) as refused:
        exact_sums(spec, own_bounds(), {}, None, KEY)
    assert refused.value.code == "missing_column"
    assert exact_sums(spec, own_bounds(), {"any": np.zeros(7)}, None, KEY) == 7 * UNIT


def test_no_rows_at_all_are_zeros() -> None:
    spec = statistics_spec()
    assert not exact_sums(spec, own_bounds(), people(0), None, KEY).any()
    assert len(exact_sums(spec, own_bounds(), people(0), None, KEY)) == slots(spec)
