from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.nasty import NASTY

from secureflow.engines.sealing import (
    RecipientKey,
    RoundRelease,
    decrypt_stream,
    encrypt_stream,
    model_key_info,
    new_content_key,
    seal_key,
    sums_digest,
    verify_release,
)
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

KEY = SigningKey.generate()
RELEASE = RoundRelease("job_1", "a" * 64, 4, "train", ("x", "y", "z"), "b" * 64, (30.0, -0.0, 0.1))


def check(value: Any, **changes: str) -> RoundRelease:
    known = {"job": "job_1", "spec": "a" * 64, "release_key": KEY.public}
    return verify_release(value, **{**known, **changes})


def test_release_travels_as_json() -> None:
    value = json.loads(json.dumps({**RELEASE.sign(KEY), "artifact": "c" * 64}))
    assert check(value) == RELEASE


@pytest.mark.parametrize(
    "changes",
    [
        {"round": 5},
        {"stage": "evaluate"},
        {"survivors": ["x", "y"]},
        {"model": "c" * 64},
        {"sums": [30.0, 0.0, 0.2]},
        {"sums_digest": "0" * 64},
        {"signature": SigningKey.generate().sign("release", RELEASE.body())},
        {"signature": KEY.sign("vote", RELEASE.body())},
    ],
)
def test_edited_release_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as error:
        check({**RELEASE.sign(KEY), **changes})
    assert error.value.code == "unreleased_model"


@pytest.mark.parametrize(
    "changes",
    [{"job": "job_2"}, {"spec": "c" * 64}, {"release_key": SigningKey.generate().public}],
)
def test_release_of_another_job_or_enclave_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SecureFlowError) as error:
        check(RELEASE.sign(KEY), **changes)
    assert error.value.code == "unreleased_model"


@given(st.integers(0, 2**64))
@settings(max_examples=1000, deadline=None)
def test_fuzzed_release_is_a_typed_error(seed: int) -> None:
    rng = Random(seed)
    good = RELEASE.sign(KEY)
    names = rng.sample(sorted(good), rng.randint(1, 3))
    with pytest.raises(SecureFlowError) as error:
        check({**good, **{name: rng.choice(NASTY) for name in names}})
    assert error.value.code in {"release_malformed", "unreleased_model"}


def test_sums_digest_survives_json() -> None:
    assert sums_digest([-0.0]) == sums_digest([0.0])
    assert sums_digest([math.pi]) == sums_digest(json.loads(json.dumps([math.pi])))
    assert sums_digest([1.0]) != sums_digest([1.0, 0.0])


def test_model_key_is_for_one_use() -> None:
    mine, other = RecipientKey.generate(), RecipientKey.generate()
    use: dict[str, Any] = {
        "job": "job_1",
        "round_number": 1,
        "stage": "train",
        "model": "a" * 64,
        "party": "x",
    }
    key = new_content_key()
    text = seal_key(key, mine.public, model_key_info(**use))
    assert mine.open_key(text, model_key_info(**use)) == key
    for changes in ({"job": "j"}, {"round_number": 2}, {"model": "b" * 64}, {"party": "y"}):
        with pytest.raises(SecureFlowError):
            mine.open_key(text, model_key_info(**{**use, **changes}))
    with pytest.raises(SecureFlowError):
        other.open_key(text, model_key_info(**use))


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 20) + 1])
def test_stream_round_trip_and_cuts(length: int) -> None:
    key, data = new_content_key(), bytes(range(256)) * (length // 256 + 1)
    chunks = list(encrypt_stream(key, memoryview(data)[:length]))
    buffer = bytearray(length)
    decrypt_stream(key, chunks, memoryview(buffer))
    assert buffer == data[:length]
    for wrong in (chunks[:-1], [*chunks, chunks[-1]]):
        with pytest.raises(SecureFlowError) as error:
            decrypt_stream(key, wrong, memoryview(buffer))
        assert error.value.code in {"stream_short", "chunk_unexpected"}
