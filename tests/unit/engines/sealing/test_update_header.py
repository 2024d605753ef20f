from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.nasty import NASTY

from secureflow.engines.sealing import Binding, UpdateHeader, parse_header, update_manifest
from secureflow.kit.canonical import b64encode
from secureflow.kit.errors import SecureFlowError

BINDING = Binding(
    "job_1", 2, "train", "bank-a", "a" * 64, "b" * 64, "c" * 64, update_manifest(40, 3)
)
HEADER = UpdateHeader(BINDING, b64encode(bytes(1168))).encode()


def code(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


def test_header_round_trip() -> None:
    assert parse_header(HEADER).binding == BINDING
    assert parse_header(HEADER).encode() == HEADER


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job", "job_2"),
        ("round", 3),
        ("stage", "final"),
        ("party", "bank-b"),
        ("spec", "0" * 64),
        ("model", "0" * 64),
        ("evidence", "0" * 64),
        ("manifest", update_manifest(41, 3)),
    ],
)
def test_info_binds_every_field(field: str, value: Any) -> None:
    assert Binding(**{**vars(BINDING), field: value}).info != BINDING.info


SEEDS = st.integers(0, 2**64)  # hypothesis draws a seed only: drawing whole values is far slower


def nasty_tensor(rng: Random) -> dict[str, Any]:
    shape = [rng.choice([-1, 0, 1, 3, 1 << 40, 1 << 62]) for _ in range(rng.randint(0, 9))]
    return {
        "name": rng.choice([*NASTY, "parameters"]),
        "dtype": rng.choice([*NASTY, "f32", "f64", "u64", "pickle"]),
        "shape": rng.choice([*NASTY, shape, shape, shape]),
    }


def nasty_changes(names: list[str], seed: int) -> dict[str, Any]:
    rng = Random(seed)
    changed = rng.sample(names, rng.randint(1, 3))
    value = {name: rng.choice([*NASTY, rng.getrandbits(40), f"{seed:x}"]) for name in changed}
    if "manifest" in value and rng.random() < 0.8:
        value["manifest"] = [nasty_tensor(rng) for _ in range(rng.randint(1, 3))]
    return value


@given(SEEDS)
@settings(max_examples=600, deadline=None)
def test_fuzzed_header_values_are_typed_errors(seed: int) -> None:
    fuzz(seed)


@pytest.mark.soak
@given(SEEDS)
@settings(max_examples=100_000, deadline=None)
def test_soak_fuzzed_header_values(seed: int) -> None:
    fuzz(seed)


def fuzz(seed: int) -> None:
    value = {**json.loads(HEADER), **nasty_changes(sorted(json.loads(HEADER)), seed)}
    if value == json.loads(HEADER):
        return
    try:
        header = parse_header(json.dumps(value).encode())
    except SecureFlowError:
        return
    assert header != parse_header(HEADER)


@given(st.binary(max_size=2000))
@settings(max_examples=1000, deadline=None)
def test_random_bytes_are_no_header(data: bytes) -> None:
    with pytest.raises(SecureFlowError):
        parse_header(data)


def test_oversized_header_is_not_parsed() -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_header(HEADER + b" " * (64 * 1024))
    assert code(error) == "malformed_json"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job", ""),
        ("job", 1),
        ("party", "a b"),
        ("stage", "x" * 129),
        ("spec", "A" * 64),
        ("model", "a" * 63),
        ("evidence", None),
        ("encapsulated", "not base64!"),
        ("encapsulated", "A" * 5000),
        ("round", -1),
        ("round", 2**31),
        ("round", True),
        ("round", "1"),
        ("extra", 1),
    ],
)
def test_malformed_fields(field: str, value: Any) -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_header(json.dumps({**json.loads(HEADER), field: value}).encode())
    assert code(error) == "header_malformed"


@pytest.mark.parametrize("text", ["[]", "1", "null", "{}", '"text"'])
def test_what_is_no_header_at_all(text: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_header(text.encode())
    assert code(error) == "header_malformed"


@pytest.mark.parametrize(
    "manifest",
    [
        {"name": "a"},
        "text",
        [1],
        [{"name": 1, "dtype": "f32", "shape": [1]}],
        [{"name": "a", "dtype": ["f32"], "shape": [1]}],
        [{"name": "a", "dtype": "f32", "shape": "1"}],
        [{"name": "a", "dtype": "f32", "shape": [1]}] * 2,
        [{"name": f"a{i}", "dtype": "f32", "shape": [1 << 38]} for i in range(2)],
        [{"name": "a", "dtype": "f32", "shape": [1 << 39]}] * 2,
        [{"name": "a", "dtype": "f32", "shape": [1 << 20, 1 << 20, 1 << 20]}],
        [{"name": "a", "dtype": "f32", "shape": [-1]}],
        [{"name": "a", "dtype": "f32", "shape": [True]}],
        [{"name": "a", "dtype": "f8", "shape": [1]}],
        [{"name": "../a\0", "dtype": "f32", "shape": [1]}],
        [{"name": "a", "dtype": "f32", "shape": [1], "data": 1}],
        [{"name": "a", "dtype": "f32", "shape": [1] * 9}],
        [{"name": f"a{i}", "dtype": "f32", "shape": [1]} for i in range(257)],
        [],
    ],
)
def test_lying_manifests(manifest: list[Any]) -> None:
    value = {**json.loads(HEADER), "manifest": manifest}
    with pytest.raises(SecureFlowError) as error:
        parse_header(json.dumps(value).encode())
    assert code(error) == "manifest_malformed"


@pytest.mark.parametrize(
    ("field", "value"),
    [("length", 185), ("chunk", 65536), ("v", 2), ("v", True), ("length", 184.0)],
)
def test_lying_lengths(field: str, value: Any) -> None:
    assert json.loads(HEADER)["length"] == 184
    changed = {**json.loads(HEADER), field: value}
    with pytest.raises(SecureFlowError) as error:
        parse_header(json.dumps(changed).encode())
    assert code(error) == "header_malformed"
