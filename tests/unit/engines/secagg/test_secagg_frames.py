"""Foreign bytes: every frame is refused or parsed, and nothing is allocated before the bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peers.secagg import MODEL, Table

from secureflow.engines.secagg import messages
from secureflow.engines.secagg.framing import _PREFIX, FrameKind, decode_frame, encode_frame
from secureflow.kit.errors import SecureFlowError


def _frames() -> tuple[Table, list[bytes]]:
    """One genuine frame of each kind."""
    table = Table(4)
    table.set_up()
    first = table.names[0]
    frames = [table.clients[first].setup(), table.aggregator.meet()]
    frames += [table.clients[first].advance(0), table.aggregator.begin(0, MODEL)[first]]
    for name, frame in table.aggregator.requests().items():
        table.clients[name].begin(frame, MODEL)
    frames.append(bytes(table.masked(first)))
    table.upload(table.names[:3])
    table.aggregator.close()
    frames.append(table.aggregator.requests()[first])
    frames.append(table.clients[first].answer(frames[-1]))
    table.ask()
    frames.append(table.aggregator.requests()[first])
    frames.append(table.clients[first].answer(frames[-1]))
    return table, frames


TABLE, FRAMES = _frames()


def test_there_is_one_frame_of_each_kind() -> None:
    assert [decode_frame(f, 1 << 20).kind for f in FRAMES] == list(FrameKind)


def _harmless(data: bytes) -> None:
    """Both sides either take the bytes or refuse them with our error; the round stays the same."""
    before = TABLE.aggregator.export_state()
    client = TABLE.clients[TABLE.names[0]]
    calls: tuple[Callable[[], object], ...] = (
        lambda: messages.unpack(TABLE.plan, data),
        lambda: client.meet(data),
        lambda: client.begin(data, MODEL),
        lambda: client.answer(data),
        lambda: TABLE.aggregator.receive(TABLE.names[0], data),
    )
    for call in calls:
        try:
            call()
        except SecureFlowError:
            continue
    if data not in FRAMES:
        assert TABLE.aggregator.export_state() == before


_MUTATIONS = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), min_size=1, max_size=6)


def _mutated(frame: bytes, mutations: list[tuple[int, int]], cut: int) -> bytes:
    data = bytearray(frame)
    for at, flip in mutations:
        data[at % len(data)] ^= flip
    return bytes(data[: len(data) - cut % len(data)] if cut else data)


_FUZZ = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@pytest.mark.slow
@given(st.binary(max_size=200))
@settings(max_examples=150, **_FUZZ)
def test_random_bytes(data: bytes) -> None:
    _harmless(data)


@pytest.mark.slow
@given(st.sampled_from(FRAMES), _MUTATIONS, st.sampled_from([0, 0, 1, 17]))
@settings(max_examples=150, **_FUZZ)
def test_mutated_frames(frame: bytes, mutations: list[tuple[int, int]], cut: int) -> None:
    _harmless(_mutated(frame, mutations, cut))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 40) | st.text(max_size=70),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "round",
                    "keys",
                    "setups",
                    "context",
                    "survivors",
                    "dead",
                    "votes",
                    "key",
                    "party",
                    "signature",
                    "round_key",
                    "recipients",
                    "ballot",
                    "job",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


_HEADERS = (
    st.sampled_from(list(FrameKind)),
    st.dictionaries(st.text(max_size=9), _JSON, max_size=4) | _JSON,
    st.binary(max_size=300),
)


@pytest.mark.slow
@given(*_HEADERS)
@settings(max_examples=150, **_FUZZ)
def test_structured_headers(kind: FrameKind, header: object, body: bytes) -> None:
    _harmless(encode_frame(kind, header if isinstance(header, dict) else {"v": header}, body))


@pytest.mark.soak
@pytest.mark.timeout(0)
@given(st.sampled_from(FRAMES), _MUTATIONS, st.sampled_from([0, 0, 1, 17]))
@settings(max_examples=1_000_000, **_FUZZ)
def test_mutated_frames_at_length(frame: bytes, mutations: list[tuple[int, int]], cut: int) -> None:
    _harmless(_mutated(frame, mutations, cut))


@pytest.mark.soak
@pytest.mark.timeout(0)
@given(*_HEADERS)
@settings(max_examples=200_000, **_FUZZ)
def test_structured_headers_at_length(kind: FrameKind, header: object, body: bytes) -> None:
    _harmless(encode_frame(kind, header if isinstance(header, dict) else {"v": header}, body))


@pytest.mark.parametrize("header_bytes", [0, 1 << 20, (1 << 24) - 1])
@pytest.mark.parametrize("body_bytes", [0, 1 << 40, (1 << 64) - 1])
def test_announced_sizes_allocate_nothing(header_bytes: int, body_bytes: int) -> None:
    data = _PREFIX.pack(b"SFA1", FrameKind.UPLOAD << 24 | header_bytes, body_bytes)
    tracemalloc.start()
    with pytest.raises(SecureFlowError):
        messages.unpack(TABLE.plan, data)
    assert tracemalloc.get_traced_memory()[1] < 1 << 16
    tracemalloc.stop()


def test_a_vector_of_another_length_is_refused() -> None:
    table = Table(3)
    table.set_up()
    table.begin()
    upload = bytes(table.masked(table.names[0]))
    message, body = messages.unpack(table.plan, upload)
    for cut in (1, 4, len(body)):
        with pytest.raises(SecureFlowError) as refused:
            table.aggregator.receive(table.names[0], messages.pack(message, bytes(body[:-cut])))
        assert refused.value.code == "malformed_frame"
    assert not table.aggregator.uploaded
