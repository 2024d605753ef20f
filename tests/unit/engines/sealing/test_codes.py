"""Compressed changes: what they decode to, and what an enclave refuses of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.sealing import FixedPointAccumulator, tensor_views
from secureflow.engines.sealing.codes import (
    GROUP,
    CodedBlocks,
    SparseBlocks,
    int8_coded,
    int8_manifest,
    largest,
    sparse_manifest,
)
from secureflow.engines.sealing.manifest import manifest_length
from secureflow.kit.errors import SecureFlowError

VALUE = st.floats(-(2.0**30), 2.0**30, width=32)


def accumulator(d: int) -> FixedPointAccumulator:
    caps: dict[str, Any] = {"max_weight": 1e6, "total_weight_cap": 8e6, "clip_norm": 10.0}
    return FixedPointAccumulator(d, 2, max_abs=10.0, **caps)


@given(st.lists(VALUE, min_size=1, max_size=40), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_a_code_is_within_half_a_step_of_its_value(values: list[float], times: int) -> None:
    vector = np.tile(np.array(values, np.float32), times * GROUP // len(values) + 1)
    scales, codes = int8_coded(vector)
    decoded = CodedBlocks(scales, codes)
    step = np.repeat(scales, GROUP)[: len(vector)]
    assert (np.abs(decoded[:] - vector) <= step * np.float32(0.5001) + 1e-37).all()
    np.testing.assert_array_equal(decoded[5:1030], decoded[:][5:1030])


def test_the_largest_values_are_read_at_their_places() -> None:
    vector = np.array([0.5, -3.0, 0.0, 2.0, -0.1, 9.0], np.float32)
    places, values = largest(vector, 3)
    assert places.tolist() == [1, 3, 5]
    blocks = SparseBlocks(6, places, values)
    assert blocks[:].tolist() == [0.0, -3.0, 0.0, 2.0, 0.0, 9.0]
    assert blocks[2:4].tolist() == [0.0, 2.0]
    assert blocks[4:100].tolist() == [0.0, 9.0]


@pytest.mark.parametrize("places", [[1, 1], [3, 1], [1, 6], [5, 2**32 - 1]])
def test_places_that_come_twice_or_are_not_in_the_model_are_refused(places: list[int]) -> None:
    with pytest.raises(SecureFlowError) as refused:
        SparseBlocks(6, np.array(places, np.uint32), np.ones(2, np.float32))
    assert refused.value.code == "update_places_wrong"


@pytest.mark.parametrize(
    ("value", "code"),
    [(np.nan, "update_not_finite"), (np.inf, "update_not_finite"), (11.0, "norm_exceeded")],
)
def test_what_they_decode_to_is_held_to_the_caps(value: float, code: str) -> None:
    d, sums = GROUP + 5, np.array([1.0, 0.0])
    scales, codes = np.zeros(2, np.float32), np.zeros(d, np.int8)
    scales[1], codes[-1] = value, 1
    sparse = SparseBlocks(d, np.array([7], np.uint32), np.array([value], np.float32))
    for change in (CodedBlocks(scales, codes), sparse):
        total = accumulator(d)
        with pytest.raises(SecureFlowError) as refused:
            total.fold(change, sums)
        assert refused.value.code == code
        assert not total.fixed.any()


def test_they_add_up_to_what_they_decode_to() -> None:
    d = 3 * GROUP + 1
    vector = np.random.default_rng(3).normal(scale=0.05, size=d).astype(np.float32)
    coded = CodedBlocks(*int8_coded(vector))
    sparse = SparseBlocks(d, *largest(vector, 50))
    for change in (coded, sparse):
        one, other = accumulator(d), accumulator(d)
        one.fold(change, np.array([3.0, 1.0]))
        other.fold(np.asarray(change[:]), np.array([3.0, 1.0]))
        assert one.fixed.tobytes() == other.fixed.tobytes()


def test_a_manifest_tells_the_bytes_before_any_arrives() -> None:
    d = GROUP + 1
    assert manifest_length(int8_manifest(d, 2)) == d + 4 * 2 + 16
    assert manifest_length(sparse_manifest(9, 2)) == 9 * 8 + 16
    vector = np.arange(d, dtype=np.float32)
    scales, codes = int8_coded(vector)
    data = scales.tobytes() + codes.tobytes() + np.zeros(2).tobytes()
    views = tensor_views(int8_manifest(d, 2), memoryview(data))
    assert views["codes"].tolist() == codes.tolist()
    assert views["scales"].tolist() == scales.tolist()
