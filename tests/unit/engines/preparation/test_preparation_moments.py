from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from secureflow.domain.specs.training import FeatureSpec, Label, NumericFeature
from secureflow.engines.preparation import (
    declared_moments,
    moment_sums,
    moments_from_sums,
    moments_length,
)
from secureflow.kit.errors import SecureFlowError

AGE = NumericFeature("age", (0.0, 100.0))
PAY = NumericFeature("pay", (-1e6, 3e6), scale="bounds")
GAIN = NumericFeature("gain", (0.0, 1e5))
FEATURES = FeatureSpec(Label("y", "1"), (AGE, PAY, GAIN))


def columns(rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows).clip(0, 100)
    age[::7] = np.nan
    return {
        "age": age,
        "pay": rng.normal(0, 1e5, rows),
        "gain": np.where(rng.random(rows) < 0.9, 0.0, rng.random(rows) * 1e5),
        "y": np.array(["1"] * rows, dtype=object),
    }


def test_sums_over_parties_give_the_moments_of_all_rows() -> None:
    silos = [columns(n, n) for n in (101, 997, 13)]
    sums = np.sum([moment_sums(FEATURES, silo) for silo in silos], axis=0)
    assert sums.shape == (moments_length(FEATURES),) == (7,)
    assert sums[0] == 101 + 997 + 13
    moments = moments_from_sums(FEATURES, sums)
    for at, name in ((0, "age"), (2, "gain")):
        values = np.concatenate([silo[name] for silo in silos])
        assert moments.mean[at] == pytest.approx(np.nanmean(values), rel=1e-12)
        assert moments.std[at] == pytest.approx(np.nanstd(values), rel=1e-9)
    assert (moments.mean[1], moments.std[1]) == (1e6, 2e6)  # declared, not measured


@given(arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_infinity=False, width=64)))
def test_no_row_moves_a_sum_by_more_than_one(values: np.ndarray) -> None:
    spec = FeatureSpec(Label("y", "1"), (AGE,))
    sums = moment_sums(spec, {"age": values, "y": np.ones(len(values))})
    assert np.all(np.abs(sums) <= len(values))
    assert sums[3] == np.count_nonzero(~np.isnan(values))


def test_a_feature_without_values_keeps_the_declared_scale() -> None:
    empty = {"age": np.full(5, np.nan), "pay": np.zeros(5), "gain": np.zeros(5), "y": np.ones(5)}
    moments = moments_from_sums(FEATURES, moment_sums(FEATURES, empty))
    assert (moments.mean[0], moments.std[0]) == (50.0, 50.0)
    assert moments.mean[2] == pytest.approx(0.0, abs=1e-9)
    assert moments.std[2] == 1.0  # constant: scaled to zero, not divided by zero
    assert declared_moments(FEATURES).std == (50.0, 2e6, 5e4)


@pytest.mark.parametrize(
    "sums",
    [
        np.zeros(6),
        np.array([10, np.nan, 1, 10, 0, 0, 10]),
        np.array([10, 11.0, 1, 10, 0, 0, 10]),  # |Σz| > present
        np.array([10, 0.0, 11, 10, 0, 0, 10]),  # Σz² > present
        np.array([10, 0.0, -1, 10, 0, 0, 10]),
        np.array([10, 8.0, 2, 10, 0, 0, 10]),  # mean .8 needs Σz² ≥ 6.4
        np.array([10, 0.0, 1, 12, 0, 0, 10]),  # more values than rows
    ],
)
def test_sums_that_no_data_has_are_refused(sums: np.ndarray) -> None:
    with pytest.raises(SecureFlowError) as caught:
        moments_from_sums(FEATURES, sums)
    assert caught.value.code == "invalid_moments"
