from __future__ import annotations

import itertools
import math
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secureflow.engines.sealing import (
    BufferPool,
    FixedPointAccumulator,
    sums_digest,
    tensor_digest,
)
from secureflow.engines.sealing.fold import BLOCK, fold_exponent
from secureflow.engines.training.strategies import FedAvg
from secureflow.kit.errors import SecureFlowError


def accumulator(d: int, k: int = 2, **changes: Any) -> FixedPointAccumulator:
    caps: dict[str, Any] = {
        "max_weight": 1e6,
        "total_weight_cap": 8e6,
        "clip_norm": 1000.0,
        "max_abs": 1000.0,
    }
    return FixedPointAccumulator(d, k, **{**caps, **changes})


def updates(d: int, parties: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(d)
    return [
        (rng.standard_normal(d).astype(np.float32), np.array([float(100 + 7 * i), rng.random()]))
        for i in range(parties)
    ]


def move(total: FixedPointAccumulator, model: NDArray[np.float32]) -> None:
    """Let FedAvg move a model on by the mean."""
    spec: Any = SimpleNamespace(privacy=None, parameters=len(model), model_and_bound=len(model))
    FedAvg().next_state(spec, model, total.mean(), model)


def code(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


def test_mean_is_the_weighted_mean() -> None:
    d = BLOCK + 77
    model = np.linspace(-1, 1, d, dtype=np.float32)
    total = accumulator(d)
    given_updates = updates(d, 5)
    for parameters, sums in given_updates:
        total.fold(parameters, sums)
    weights = [sums[0] for _, sums in given_updates]
    wanted = model + np.average([p.astype(np.float64) for p, _ in given_updates], 0, weights)
    move(total, model)
    np.testing.assert_allclose(model, wanted, rtol=2e-7, atol=1e-7)
    assert total.count == 5
    assert total.weight == sum(weights)


def test_order_of_arrival_changes_no_bit() -> None:
    d = 1000
    digests = set()
    for order in itertools.permutations(updates(d, 4)):
        total, model = accumulator(d), np.ones(d, np.float32)
        for parameters, sums in order:
            total.fold(parameters, sums)
        move(total, model)
        digests.add((tensor_digest(model), sums_digest(total.sums())))
    assert len(digests) == 1


def test_float_summation_would_depend_on_order() -> None:
    """The reason for fixed point: the same updates in float32 do depend on it."""
    given_updates = [p for p, _ in updates(1000, 4)]
    results = {
        tensor_digest(np.add.reduce(np.array(order), axis=0))
        for order in itertools.permutations(given_updates)
    }
    assert len(results) > 1


def test_reset_forgets_everything() -> None:
    total, model = accumulator(10), np.ones(10, np.float32)
    total.fold(*updates(10, 1)[0])
    total.reset()
    assert (total.count, total.weight) == (0, 0.0)
    assert total.sums().tolist() == [0.0, 0.0]
    with pytest.raises(SecureFlowError) as error:
        move(total, model)
    assert code(error) == "nothing_folded"
    parameters = np.full(10, 0.5, np.float32)
    total.fold(parameters, np.array([3.0, 1.0]))
    move(total, model)
    assert model.tolist() == [1.5] * 10


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, BLOCK + 3])
def test_non_finite_parameter_leaves_no_trace(value: float, place: int) -> None:
    d = BLOCK + 4
    total = accumulator(d)
    total.fold(*updates(d, 1)[0])
    before = total.fixed.copy()
    bad = np.zeros(d, np.float32)
    bad[place] = value
    with pytest.raises(SecureFlowError) as error:
        total.fold(bad, np.array([1.0, 0.0]))
    assert code(error) == "update_not_finite"
    assert (total.fixed == before).all()
    assert total.count == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
@pytest.mark.parametrize("place", [0, 1])
def test_non_finite_sum(value: float, place: int) -> None:
    sums = np.array([1.0, 1.0])
    sums[place] = value
    with pytest.raises(SecureFlowError) as error:
        accumulator(3).fold(np.zeros(3, np.float32), sums)
    assert code(error) == "update_not_finite"


@pytest.mark.parametrize("weight", [0.0, -1.0, -0.0, 1e6 + 1])
def test_weight_bounds(weight: float) -> None:
    with pytest.raises(SecureFlowError) as error:
        accumulator(3).fold(np.zeros(3, np.float32), np.array([weight, 0.0]))
    assert code(error) == "weight_out_of_bounds"


def test_total_weight_cap() -> None:
    total = accumulator(3, total_weight_cap=1.5e6)
    zero = np.zeros(3, np.float32)
    total.fold(zero, np.array([1e6, 0.0]))
    with pytest.raises(SecureFlowError) as error:
        total.fold(zero, np.array([1e6, 0.0]))
    assert code(error) == "weight_out_of_bounds"


def test_norm_cap() -> None:
    d = BLOCK + 5
    total = accumulator(d, clip_norm=10.0)
    direction = np.ones(d, np.float32) / np.sqrt(np.float32(d))
    total.fold(direction * np.float32(9.9999), np.array([1.0, 0.0]))
    with pytest.raises(SecureFlowError) as error:
        total.fold(direction * np.float32(10.1), np.array([1.0, 0.0]))
    assert code(error) == "norm_exceeded"


def test_value_cap_without_a_norm_cap() -> None:
    d = BLOCK + 5
    total = accumulator(d, clip_norm=None, max_abs=5.0)
    big = np.full(d, 4.9, np.float32)
    total.fold(big, np.array([1.0, 0.0]))
    for value in (5.1, -5.1, 3e38):
        bad = np.zeros(d, np.float32)
        bad[-1] = value
        with pytest.raises(SecureFlowError) as error:
            total.fold(bad, np.array([1.0, 0.0]))
        assert code(error) == "value_out_of_bounds"


@pytest.mark.parametrize(
    ("parameters", "sums"),
    [
        (np.zeros(4, np.float32), np.ones(2)),
        (np.zeros((3, 1), np.float32), np.ones(2)),
        (np.zeros(3, np.float32), np.ones(3)),
        (np.zeros(3, np.float64), np.ones(2)),
        (np.zeros(3, np.float32), np.ones(2, np.float32)),
    ],
)
def test_shapes_and_dtypes(parameters: np.ndarray, sums: np.ndarray) -> None:
    with pytest.raises(SecureFlowError) as error:
        accumulator(3).fold(parameters, sums)
    assert code(error) == "update_shape_wrong"


def test_a_model_that_overflows() -> None:
    total = accumulator(3, clip_norm=None, max_abs=1e38, max_weight=1e-20, total_weight_cap=4e-20)
    total.fold(np.full(3, 9e37, np.float32), np.array([1e-20, 0.0]))
    move(total, large := np.full(3, 1e38, np.float32))
    assert np.isfinite(large).all()  # its squares overflow, it does not
    with pytest.raises(SecureFlowError) as error:
        move(total, np.full(3, 3e38, np.float32))
    assert code(error) == "model_not_finite"


@pytest.mark.parametrize(
    "caps",
    [
        {"max_weight": 0.0},
        {"total_weight_cap": math.inf},
        {"max_abs": -1.0},
        {"clip_norm": 0.0},
        {"max_abs": 1e300, "total_weight_cap": 1e300},
        {"max_abs": 1e200},
    ],
)
def test_impossible_caps(caps: dict[str, float]) -> None:
    with pytest.raises(SecureFlowError) as error:
        accumulator(3, **caps)
    assert code(error) == "fold_impossible"


@pytest.mark.parametrize(("d", "k"), [(-1, 2), (3, 0)])
def test_an_accumulator_needs_a_weight(d: int, k: int) -> None:
    with pytest.raises(SecureFlowError) as error:
        accumulator(d, k)
    assert code(error) == "fold_impossible"


@given(
    st.floats(1e-6, 1e12, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
    st.integers(1, 64),
)
@settings(max_examples=300, deadline=None)
def test_the_largest_allowed_updates_never_overflow(
    weight: float, max_abs: float, parties: int
) -> None:
    cap = weight * parties * (1 + 1e-9)
    try:
        total = FixedPointAccumulator(
            2, 1, max_weight=weight, total_weight_cap=cap, clip_norm=None, max_abs=max_abs
        )
    except SecureFlowError:
        product = cap * max_abs
        assert not 2.0**-900 < product < 2.0**120
        return
    value = np.float32(max_abs)
    parameters = np.array([value, -value], np.float32)
    exact = Fraction(0)
    for _ in range(parties):
        total.fold(parameters, np.array([weight]))
        exact += Fraction(float(value)) * Fraction(weight)
    scale = Fraction(2) ** total.exponent
    for found, sign in zip(total.fixed.tolist(), (1, -1), strict=True):
        assert abs(found) <= 2**62
        assert abs(Fraction(found) - sign * exact * scale) <= parties * 2**9 + 1


def test_exponent_is_tight() -> None:
    for product in (1.0, 1.5, 1e6 * 1e3, 3e-9):
        exponent = fold_exponent(product, 1.0)
        assert product * 2.0**exponent <= 2.0**61 < product * 2.0 ** (exponent + 2)


def test_sums_are_exact() -> None:
    total = accumulator(1, 3)
    for small in (1e16, 1.0, -1e16):
        total.fold(np.zeros(1, np.float32), np.array([1.0, small, 0.1]))
    assert total.sums().tolist() == [3.0, 1.0, math.fsum([0.1] * 3)]


def test_unaligned_views_fold_like_aligned_ones() -> None:
    parameters, sums = updates(3, 1)[0]
    raw = parameters.tobytes() + sums.tobytes()
    total, other = accumulator(3), accumulator(3)
    total.fold(np.frombuffer(raw[:12], "<f4"), np.frombuffer(memoryview(raw)[12:], "<f8"))
    other.fold(parameters, sums)
    assert (total.fixed == other.fixed).all()
    assert total.sums().tolist() == other.sums().tolist()


def test_pool_hands_out_each_buffer_once() -> None:
    pool = BufferPool(2, 64)
    one, two = pool.take(), pool.take()
    assert one is not None
    assert two is not None
    one[:] = b"x" * 64
    assert bytes(two) == bytes(64)
    assert pool.take() is None
    pool.give(one)
    assert pool.take() is one


def test_pool_takes_back_only_its_own() -> None:
    pool = BufferPool(1, 64)
    buffer = pool.take()
    assert buffer is not None
    for foreign in (memoryview(bytearray(64)), buffer[:64]):
        with pytest.raises(SecureFlowError) as error:
            pool.give(foreign)
        assert code(error) == "buffer_foreign"
    pool.give(buffer)
    with pytest.raises(SecureFlowError) as error:
        pool.give(buffer)
    assert code(error) == "buffer_foreign"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 8), st.sampled_from([1e-3, 0.37, 1.0, 999.9]))
def test_the_stated_error_holds_for_fractional_weights(
    seed: int, parties: int, most: float
) -> None:
    """Weights capped to `max_weight` are fractions, whose products float64 rounds."""
    rng, d = np.random.default_rng(seed), 40
    total = accumulator(d, max_weight=most, total_weight_cap=most * parties)
    weighted, weights, largest = [Fraction(0)] * d, Fraction(0), 0.0
    for _ in range(parties):
        weight = float(rng.uniform(most / 2, most))
        parameters = (rng.standard_normal(d) * 10.0 ** rng.integers(-6, 2)).astype(np.float32)
        total.fold(parameters, np.array([weight, 0.0]))
        weights += Fraction(weight)
        weighted = [a + Fraction(weight) * Fraction(float(x)) for a, x in
                    zip(weighted, parameters, strict=True)]  # fmt: skip
        largest = max(largest, float(np.abs(parameters).max()))
    factor = math.ldexp(1.0 / total.weight, -total.exponent)
    means = [Fraction(float(np.float64(fixed) * factor)) for fixed in total.fixed]
    rounded = Fraction(parties) / 2 ** (total.exponent + 1) / weights
    bound = rounded + 6 * Fraction(largest) / 2**53
    errors = [abs(mean - sum_ / weights) for mean, sum_ in zip(means, weighted, strict=True)]
    assert max(errors) < bound


def test_fractional_weights_exceed_the_bound_for_whole_ones() -> None:
    """Why the second term is there: a product of 24 and 53 bits is no float64."""
    weight, value = 1.0 - 2.0**-53, np.float32(1.0 - 2.0**-24)
    total = accumulator(1, max_weight=1.0, total_weight_cap=1.0, clip_norm=1.0, max_abs=1.0)
    total.fold(np.array([value]), np.array([weight, 0.0]))
    mean = Fraction(float(np.float64(total.fixed[0]) * math.ldexp(1 / weight, -total.exponent)))
    error = abs(mean - Fraction(float(value)))
    rounded = Fraction(1) / 2 ** (total.exponent + 1) / Fraction(weight)
    assert rounded < error < rounded + 6 * Fraction(float(value)) / 2**53
