"""Sums that no integer type holds exactly: one party's large numbers must stop nobody else.

A double of 2^53 or more has a canonical spelling without a point. Where that was read back as an
integer, one party's sum (or an honest sum of squares) made a release that no link could carry: the
enclave's link broke on it, for every job, each time that it was delivered again.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.engines.sealing import RoundRelease, verify_release
from secureflow.kit.canonical import parse_json
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope, decode, encode
from secureflow.wire.v1 import link_pb2

SPEC = "ab" * 32
LARGE = st.floats(min_value=2.0**53, max_value=1e290).map(np.trunc).map(float)


@given(st.lists(LARGE | LARGE.map(lambda x: -x), min_size=1, max_size=4))
def test_a_release_of_any_sums_reaches_the_agents(sums: list[float]) -> None:
    key = SigningKey.generate()
    release = RoundRelease("job_1", SPEC, 0, "moments", ("a", "b", "c"), "cd" * 32, tuple(sums))
    carried = decode(encode(Envelope("job_1/1/enclave", "reply", {"body": release.sign(key)})))
    verified = verify_release(carried.body["body"], job="job_1", spec=SPEC, release_key=key.public)
    assert list(verified.sums) == sums


@pytest.mark.parametrize("text", ["9007199254740993", "1e999", "-1e999", "1" + "0" * 400])
def test_what_no_double_spells_so_is_refused(text: str) -> None:
    body = f'{{"a":{text}}}'.encode()
    with pytest.raises(SecureFlowError) as error:
        decode(link_pb2.Envelope(id="a", kind="reply", body=body).SerializeToString())
    assert error.value.code == "malformed_envelope"


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" + "0" * 400, "9" * 5000])
def test_no_foreign_number_is_infinite(text: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_json(f"[{text}]")
    assert error.value.code == "malformed_json"


def test_an_integer_stays_one_as_long_as_every_language_holds_it() -> None:
    found = parse_json("[9007199254740991, -9007199254740991, 9007199254740992, 1.0]")
    assert [type(value) for value in found] == [int, int, float, float]
    assert all(math.isfinite(value) for value in found)
