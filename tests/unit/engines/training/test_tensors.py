from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unit.engines.training.family_world import LEARNERS, spec

from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.engines.sealing import FixedPointAccumulator, update_manifest
from secureflow.engines.sealing.manifest import manifest_length, tensor_views
from secureflow.engines.sealing.opener import OpenedUpdate
from secureflow.engines.sealing.wiretypes import ROUNDING, rounded_to, widened
from secureflow.engines.training.models import model_family
from secureflow.engines.training.tensors import flat, named, safetensors_parts
from secureflow.kit.errors import SecureFlowError

LAYOUT = (
    TensorSpec("steps", (), "int64"),
    TensorSpec("a.weight", (2, 3)),
    TensorSpec("a.half", (2,), "float16"),
    TensorSpec("b.brain", (3,), "bfloat16"),
    TensorSpec("seen", (2,), "bool"),
    TensorSpec("small", (1,), "uint8"),
)
ARRAYS: dict[str, np.ndarray] = {
    "steps": np.array(1 << 20, np.int64),
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.half": np.array([0.1, -2.0], np.float16),
    "b.brain": np.array([1.0, -0.5, 2.0**100], np.float32),
    "seen": np.array([True, False]),
    "small": np.array([255], np.uint8),
}


def test_tensors_are_flattened_in_the_order_of_their_names_and_come_back() -> None:
    vector = flat(LAYOUT, ARRAYS)
    assert vector[2:8].tolist() == [0, 1, 2, 3, 4, 5]  # a.half, a.weight, b.brain, seen, …
    assert vector.dtype == np.float32
    assert flat(LAYOUT[::-1], dict(reversed(ARRAYS.items()))).tobytes() == vector.tobytes()
    back = named(LAYOUT, vector)
    for name, array in ARRAYS.items():
        assert np.array_equal(back[name], array), name
    assert back["steps"].dtype == np.int64
    assert back["a.half"].dtype == np.float16
    assert back["seen"].dtype == np.bool_
    assert layout_digest(LAYOUT) == layout_digest(LAYOUT[::-1])
    assert layout_digest(LAYOUT) != layout_digest(LAYOUT[1:])


def test_counters_are_averaged_and_rounded_half_to_even() -> None:
    counter = (TensorSpec("n", (3,), "int64"),)
    parties = [
        flat(counter, {"n": np.array([10, 10, 3])}),
        flat(counter, {"n": np.array([10, 13, 4])}),
    ]
    mean = ((parties[0] + parties[1]) / 2).astype(np.float32)
    assert named(counter, mean)["n"].tolist() == [10, 12, 4]
    tiny = (TensorSpec("n", (2,), "uint8"),)
    assert named(tiny, np.array([-3.0, 300.0], np.float32))["n"].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps": None}, "'steps' is missing"),
        ({"more": np.zeros(1)}, "'more' is not one of the model's"),
        ({"a.weight": np.zeros((3, 2))}, "has the shape"),
        ({"a.weight": np.full((2, 3), np.nan)}, "not finite"),
        ({"a.weight": np.full((2, 3), 1e300)}, "not finite"),
        ({"steps": np.array((1 << 24) + 1)}, "above 2^24"),
    ],
)
def test_other_tensors_than_the_models_are_refused(changes: dict[str, Any], reason: str) -> None:
    given = {name: one for name, one in (ARRAYS | changes).items() if one is not None}
    with pytest.raises(SecureFlowError) as caught:
        flat(LAYOUT, given)
    assert caught.value.code == "tensors_wrong"
    assert reason in caught.value.message


@pytest.mark.parametrize(("family", "target"), LEARNERS)
def test_the_tensors_of_every_family_are_its_parameters(family: str, target: str) -> None:
    job = spec(family, target)
    names = [one.name for one in job.tensors]
    assert names == sorted(names)
    vector = np.random.default_rng(1).normal(size=job.model_parameters).astype(np.float32)
    arrays = named(job.tensors, vector)
    assert flat(job.tensors, arrays).tobytes() == vector.tobytes()
    if family == "mlp":  # by hand, from the named tensors
        X = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
        hidden = np.maximum(X @ arrays["layers.0.coef"].T + arrays["layers.0.intercept"], 0)
        wanted = hidden @ arrays["layers.1.coef"].T + arrays["layers.1.intercept"]
        assert np.allclose(model_family(job).outputs(vector, X), wanted, atol=1e-6)


# --- the wire -------------------------------------------------------------------------------------

FINITE = hnp.arrays(
    np.float32, 50, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


@settings(max_examples=50, deadline=None)
@given(FINITE)
def test_rounding_to_the_wire_is_to_the_nearest_and_widening_exact(values: np.ndarray) -> None:
    for wire in ("float16", "bfloat16"):
        sent = rounded_to(wire, values)  # type: ignore[arg-type]
        back = widened(wire, sent)
        assert np.isfinite(back).all()
        assert np.array_equal(widened(wire, rounded_to(wire, back)), back)  # type: ignore[arg-type]
        normal = (np.abs(values) > 1e-4) & (np.abs(values) < 6e4)
        error = np.abs(back[normal].astype(np.float64) - values[normal])
        assert (error <= ROUNDING[wire] * np.abs(values[normal].astype(np.float64))).all()


def test_bfloat16_is_what_the_hardware_does() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, -3.0e38, 3.4e38, 1e-40], np.float32)
    assert widened("bfloat16", rounded_to("bfloat16", values)).tolist() == pytest.approx(
        [1.0, 1.0, 1.015625, -2.99e38, 3.39e38, 0.0], rel=0.005, abs=1e-40
    )


@pytest.mark.parametrize("wire", ["float16", "bfloat16"])
def test_a_fold_of_the_wire_is_the_fold_of_its_widened_values(wire: Any) -> None:
    rng, size = np.random.default_rng(3), 200_001
    delta, sums = rng.normal(size=size).astype(np.float32), np.array([5.0, 1.0])
    sent = rounded_to(wire, delta)
    manifest = update_manifest(size, 2, wire)
    data = sent.tobytes() + sums.tobytes()
    assert manifest_length(manifest) == len(data) == 2 * size + 16
    opened = OpenedUpdate(None, "", tensor_views(manifest, memoryview(data)))  # type: ignore[arg-type]
    caps = {"max_weight": 10.0, "total_weight_cap": 30.0, "clip_norm": 1e4, "max_abs": 1e4}
    narrow, wide = FixedPointAccumulator(size, 2, **caps), FixedPointAccumulator(size, 2, **caps)
    narrow.fold(opened.parameters, opened.sums)
    wide.fold(widened(wire, sent), sums)
    assert (narrow.fixed == wide.fixed).all()
    assert not (narrow.fixed == 0).all()


@pytest.mark.parametrize("wire", ["float16", "bfloat16"])
def test_a_value_of_the_wire_that_is_not_finite_is_refused(wire: str) -> None:
    bits = {"float16": 0x7C00, "bfloat16": 0x7F80}[wire]
    raw = np.array([0, bits, 0], np.uint16)
    sent = raw if wire == "bfloat16" else raw.view(np.float16)
    caps = {"max_weight": 10.0, "total_weight_cap": 30.0, "clip_norm": 1e4, "max_abs": 1e4}
    opened = OpenedUpdate(None, "", {"parameters": sent, "sums": np.ones(1)})  # type: ignore[arg-type]
    with pytest.raises(SecureFlowError) as caught:
        FixedPointAccumulator(3, 1, **caps).fold(opened.parameters, opened.sums)
    assert caught.value.code == "update_not_finite"


# --- foreign files --------------------------------------------------------------------------------


def written(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: Any = (2,), start: int = 0, end: int = 8) -> dict[str, Any]:
    shape = list(shape) if isinstance(shape, tuple) else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_file_of_the_library_is_read_with_every_dtype() -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = {name: one for name, one in ARRAYS.items() if name != "b.brain"}
    specs, found = safetensors_parts(bytes(numpy.save(arrays)))
    assert specs == tuple(
        sorted((one for one in LAYOUT if one.name != "b.brain"), key=lambda o: o.name)
    )
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
    brain = rounded_to("bfloat16", ARRAYS["b.brain"]).tobytes()
    _, found = safetensors_parts(written({"b": entry("BF16", (3,), 0, 6)}, brain))
    assert np.array_equal(found["b"], ARRAYS["b.brain"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        (1 << 62).to_bytes(8, "little") + b"{}",
        written(b"{"),
        written([]),
        written({}),
        written({"a": 1}, bytes(8)),
        written({"a": entry("F8")}, bytes(8)),
        written({"a": entry(3)}, bytes(8)),  # type: ignore[arg-type]
        written({"a": entry(shape="2")}, bytes(8)),
        written({"a": entry(shape=[True, 2])}, bytes(8)),
        written({"a": entry(shape=[-2])}, bytes(8)),
        written({"a": entry(shape=[1 << 40])}, bytes(8)),
        written({"a": entry(shape=[1 << 20] * 3)}, bytes(8)),
        written({"a": entry(end=12)}, bytes(12)),
        written({"a": entry(start=-8, end=0)}, bytes(8)),
        written({"a": entry(start=8, end=16)}, bytes(8)),
        written({"a": entry()}, bytes(12)),
        written({"a": entry(), "b": entry()}, bytes(8)),
        written({"a": entry(), "b": entry(start=12, end=20)}, bytes(20)),
        written({"../x": entry()}, bytes(8)),
        written({"a" * 300: entry()}, bytes(8)),
    ],
)
def test_a_lying_file_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(SecureFlowError) as caught:
        safetensors_parts(data)
    assert caught.value.code == "tensors_wrong"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_end_in_tensors_or_a_typed_error(noise: bytes, at: int) -> None:
    whole = written({"a": entry(), "b": entry("I64", (1,), 8, 16)}, bytes(16))
    for data in (noise, whole[:at] + noise + whole[at + len(noise) :], whole[:at]):
        try:
            specs, arrays = safetensors_parts(data)
        except SecureFlowError as error:
            assert error.code == "tensors_wrong"  # noqa: PT017 - either outcome is fine
        else:
            assert {one.name for one in specs} == set(arrays)
