"""The envelope codec: strict in what it takes, exact in what it gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.application.running.replies import checked_reply
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_ENVELOPE,
    PARTY_DEPTH,
    Envelope,
    decode,
    encode,
)
from secureflow.wire.v1 import link_pb2

_INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not x.is_integer() or abs(x) >= 2**53  # a small whole one is spelt as an integer
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_BODIES = st.dictionaries(_TEXT, _JSON, max_size=5)


def _raw(body: bytes, identifier: str = "job_1/1/bank-a", kind: str = "request") -> bytes:
    return link_pb2.Envelope(id=identifier, kind=kind, body=body).SerializeToString()


def _refused(data: bytes, code: str = "malformed_envelope") -> None:
    with pytest.raises(SecureFlowError) as caught:
        decode(data)
    assert caught.value.code == code


@pytest.mark.slow
@given(_BODIES)
@settings(max_examples=500, deadline=None)
def test_round_trip(body: dict[str, object]) -> None:
    envelope = Envelope("job_1/7/bank-a", "request", body)
    assert decode(encode(envelope)) == envelope


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1.0}',
        b'{"a":9007199254740993}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\u0041"}',
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_a_body_in_another_spelling_is_refused(body: bytes) -> None:
    _refused(_raw(body))


@pytest.mark.parametrize("kind", ["", "Request", "a b", "x" * 65, "naïve"])
def test_a_kind_of_another_shape_is_refused(kind: str) -> None:
    _refused(_raw(b"{}", kind=kind))


@pytest.mark.parametrize("identifier", ["a b", "x" * 257, "a\n"])
def test_an_id_of_another_shape_is_refused(identifier: str) -> None:
    _refused(_raw(b"{}", identifier=identifier))


def test_unknown_fields_are_refused() -> None:
    _refused(_raw(b"{}") + b"\x22\x03abc")


def test_size_is_bounded_before_parsing() -> None:
    _refused(b"\x00" * (MAX_ENVELOPE + 1), "envelope_too_large")
    with pytest.raises(SecureFlowError, match="more than"):
        encode(Envelope("", "request", {"a": "x" * MAX_BODY}))
    largest = canonical_bytes({"a": "x" * (MAX_BODY - len('{"a":""}'))})
    assert len(largest) == MAX_BODY
    assert len(decode(_raw(largest)).body["a"]) == MAX_BODY - 8


def _survives(data: bytes) -> None:
    try:
        envelope = decode(data)
    except SecureFlowError as error:
        assert error.code in {"malformed_envelope", "envelope_too_large"}  # noqa: PT017
    else:
        assert decode(encode(envelope)) == envelope


def _mutated(flips: list[tuple[int, int]], cut: int) -> bytes:
    data = bytearray(encode(Envelope("job_1/1/p", "reply", {"a": [1, "é", None], "b": {"c": 0.5}})))
    for position, value in flips:
        data[position % len(data)] = value
    return bytes(data[: cut % (len(data) + 1)])


_FLIPS = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=4)


@pytest.mark.slow
@given(st.binary(max_size=200) | st.builds(_mutated, _FLIPS, st.integers(0, 255)))
@settings(max_examples=400, deadline=None)
def test_fuzz(data: bytes) -> None:
    _survives(data)


@pytest.mark.soak
@given(st.binary(max_size=400) | st.builds(_mutated, _FLIPS, st.integers(0, 255)))
@settings(max_examples=500_000, deadline=None)
def test_fuzz_long(data: bytes) -> None:
    _survives(data)


def _nested(levels: int, *, mixed: bool) -> dict[str, Any]:
    """Return a body of so many levels: objects, or objects and arrays in turn."""
    value: Any = {}
    for level in range(levels - 1):
        value = [value] if mixed and (levels - level) % 2 else {"a": value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("mixed", [False, True])
def test_a_body_has_few_levels(mixed: bool) -> None:
    deepest, deeper = _nested(MAX_DEPTH, mixed=mixed), _nested(MAX_DEPTH + 1, mixed=mixed)
    assert decode(encode(Envelope("", "reply", deepest))).body == deepest
    _refused(_raw(canonical_bytes(deeper)))
    with pytest.raises(SecureFlowError, match="more than 64 levels"):
        encode(Envelope("", "reply", deeper))


def test_what_a_party_sent_can_be_passed_on_inside_other_bodies() -> None:
    sent = _nested(PARTY_DEPTH, mixed=True)
    data = encode(Envelope("", "reply", sent))
    assert decode(data, PARTY_DEPTH).body == sent
    assert decode(encode(Envelope("", "request", {"body": {"of": {"bank-a": [sent]}}})))
    with pytest.raises(SecureFlowError, match="more than 48 levels"):
        decode(encode(Envelope("", "reply", _nested(PARTY_DEPTH + 1, mixed=False))), PARTY_DEPTH)


@pytest.mark.parametrize("levels", range(40, 1000, 60))
def test_whatever_is_decoded_can_be_checked_far_down_the_stack(levels: int) -> None:
    """The centre's runner stands deeper than the link: there it met Python's own limit."""
    body = b'{"verdict":{"tier":"x","x":%s0%s}}' % (b'{"a":' * levels, b"}" * levels)

    def check(frames: int) -> None:
        if frames:
            check(frames - 1)
        else:
            checked_reply("admit", "bank-a", read.body)

    try:
        read = decode(_raw(body), PARTY_DEPTH)
    except SecureFlowError as error:
        assert error.code == "malformed_envelope"  # noqa: PT017
    else:
        check(200)
