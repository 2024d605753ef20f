"""Which bounds are sane, and the one rule by which a job's are compared with the owner's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.domain.bounds import MAX_WIDENING, bounds_problem, compare, difference, refusal


@pytest.mark.parametrize(
    "bounds",
    [
        (0.0, 5e-324),
        (0.0, math.inf),
        (math.nan, 1.0),
        (-1.7e308, 1.7e308),
        (1.0, 1.0),
        (2.0, 1.0),
        (1e16, 1e16 + 2),
        (0.0, 1e-101),
        (-1e101, 0.0),
    ],
)
def test_bounds_that_nothing_can_be_scaled_to(bounds: tuple[float, float]) -> None:
    assert bounds_problem(bounds)


@pytest.mark.parametrize("bounds", [(0, 1), (-1e100, 1e100), (0, 1e-99), (1.6e18, 1.7e18)])
def test_sane_bounds(bounds: tuple[float, float]) -> None:
    assert not bounds_problem(bounds)


@given(st.floats(), st.floats())
def test_what_is_sane_scales_every_value_into_the_unit_ball(low: float, high: float) -> None:
    if bounds_problem((low, high)):
        return
    middle, half = (low + high) / 2, (high - low) / 2
    assert half > 0
    for value in (low, middle, high):
        assert abs((value - middle) / half) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("own", "asked", "verdict", "code"),
    [
        ((0, 10), (0, 10), "same", ""),
        ((0, 10), (-1, 10), "wider", ""),
        ((0, 10), (0, 10 * MAX_WIDENING), "wider", ""),
        ((0, 10), (0, 10.1 * MAX_WIDENING), "too_wide", "bounds_too_wide"),
        ((0, 10), (0, 9.999), "narrower", "bounds_too_narrow"),
        ((0, 10), (1, 1e9), "narrower", "bounds_too_narrow"),
        (None, (0, 1), "undeclared", "bounds_undeclared"),
    ],
)
def test_a_jobs_bounds_against_the_owners(
    own: tuple[float, float] | None, asked: tuple[float, float], verdict: str, code: str
) -> None:
    assert compare(own, asked) == verdict
    assert refusal(own, asked)[0] == code
    assert bool(difference("age", own, asked)) == (verdict != "same")


def test_every_digit_is_told() -> None:
    """Bounds that differ in the last digit must not read alike."""
    assert difference("age", (0, 0.3), (0, 0.1 + 0.2)) == "age: [0, 0.3] → [0, 0.30000000000000004]"
    assert difference("age", None, (1e300, 2e300)) == "age: – → [1e+300, 2e+300]"
