"""A stream over links that are cut: nothing lost, nothing twice, nothing out of order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.peers.faults import ChannelFaultError
from secureflow.engines.peers.framing import (
    MAX_FRAME,
    MAX_PAYLOAD,
    FrameKind,
    FrameReader,
    write_frame,
)
from secureflow.engines.peers.resuming import ACK_FRAMES, ResumableStream, channel_tag

TAG = channel_tag(b"one", b"other")


def _pair(window: int = 1 << 20) -> tuple[ResumableStream, ResumableStream]:
    return ResumableStream(TAG, window), ResumableStream(TAG, window)


def _meet(one: ResumableStream, other: ResumableStream) -> None:
    first, second = one.begin(), other.begin()
    assert one.take(second) == other.take(first) == []


def test_the_tag_is_the_same_at_both_ends_and_of_one_channel() -> None:
    assert channel_tag(b"other", b"one") == TAG != channel_tag(b"one", b"third")


def test_nothing_is_written_before_the_other_end_is_met() -> None:
    one, other = _pair()
    one.put(b"x")
    assert one.outgoing() == []
    _meet(one, other)
    assert [bytes(p) for frame in one.outgoing() for p in other.take(frame)] == [b"x"]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 1), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("carry"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("cut"), st.just(0), st.just(0)),
    ),
    max_size=80,
)


@given(_STEPS, st.integers(40, 400))
@settings(max_examples=150, deadline=None)
def test_whatever_is_cut_arrives_once_and_in_order(
    steps: list[tuple[str, int, object]], window: int
) -> None:
    """`carry` passes some frames of an end on; a `cut` loses what is on its way."""
    ends = _pair(window)
    put: list[list[bytes]] = [[], []]
    got: list[list[bytes]] = [[], []]
    way: list[list[bytes]] = [[], []]
    _meet(*ends)

    def carry(end: int, most: int) -> None:
        way[end] += ends[end].outgoing()
        passed, way[end] = way[end][:most], way[end][most:]
        for frame in passed:
            got[1 - end] += [bytes(one) for one in ends[1 - end].take(frame)]

    for what, end, value in steps:
        if what == "put" and ends[end].room:
            assert isinstance(value, bytes)
            ends[end].put(value)
            put[end].append(value)
        elif what == "carry":
            assert isinstance(value, int)
            carry(end, value)
        elif what == "cut":
            way = [[], []]
            _meet(*ends)
    _meet(*ends)
    way = [[], []]
    for _ in range(3):
        carry(0, 1000)
        carry(1, 1000)
    assert got[1] == put[0]
    assert got[0] == put[1]


def test_a_full_window_stops_the_sender_until_the_other_end_has_it() -> None:
    one, other = _pair(window=100)
    _meet(one, other)
    one.put(b"x" * 200)
    assert not one.room
    for frame in one.outgoing():
        other.take(frame)
    one.take(other.heartbeat())
    assert one.room
    assert one.delivered


def test_many_small_frames_are_acknowledged() -> None:
    one, other = _pair()
    _meet(one, other)
    for _ in range(ACK_FRAMES):
        one.put(b"x")
    for frame in one.outgoing():
        other.take(frame)
    assert not one.delivered
    for frame in other.outgoing():
        one.take(frame)
    assert one.delivered


def _data(number: int) -> bytes:
    return write_frame(FrameKind.DATA, number, b"payload")


@pytest.mark.parametrize(
    ("why", "frames"),
    [
        ("lost, repeated", [_data(1)]),
        ("lost, repeated", [_data(0), _data(0)]),
        ("lost, repeated", [_data(0), _data(2), _data(1)]),
        ("not under way", [write_frame(FrameKind.ACK, 1)]),
        ("not under way", [write_frame(FrameKind.ACK, (1 << 64) - 1)]),
        ("began twice", [write_frame(FrameKind.HELLO, 0, TAG)]),
        ("not a frame", [b"GET / HTTP/1.1\r\n\r\n"]),
        ("longer than", [write_frame(FrameKind.ACK, 0, b"x")]),
        ("longer than", [b"\x02" + (MAX_PAYLOAD + 1).to_bytes(4, "big") + bytes(8)]),
    ],
)
def test_a_carrier_that_changes_anything_is_noticed(why: str, frames: list[bytes]) -> None:
    one, other = _pair()
    _meet(one, other)
    with pytest.raises(ChannelFaultError, match=why):
        one.take(b"".join(frames))


@pytest.mark.parametrize(
    ("why", "hello"),
    [
        ("another channel", write_frame(FrameKind.HELLO, 0, channel_tag(b"a", b"b"))),
        ("not under way", write_frame(FrameKind.HELLO, 1, TAG)),
        ("did not begin", _data(0)),
        ("did not begin", write_frame(FrameKind.ACK, 0)),
    ],
)
def test_a_link_begins_with_the_hello_of_this_channel(why: str, hello: bytes) -> None:
    one, _ = _pair()
    one.put(b"never written")
    one.begin()
    with pytest.raises(ChannelFaultError, match=why):
        one.take(hello)


def test_what_the_other_end_had_cannot_be_asked_for_again() -> None:
    one, other = _pair()
    _meet(one, other)
    one.put(b"x")
    for frame in one.outgoing():
        other.take(frame)
    one.take(other.heartbeat())
    one.begin()
    with pytest.raises(ChannelFaultError, match="not under way"):
        one.take(write_frame(FrameKind.HELLO, 0, TAG))


@given(st.lists(st.binary(max_size=50), max_size=10), st.lists(st.integers(1, 30), max_size=60))
def test_frames_are_read_in_pieces_of_any_size(payloads: list[bytes], sizes: list[int]) -> None:
    data = b"".join(write_frame(FrameKind.DATA, n, one) for n, one in enumerate(payloads))
    reader, got, at = FrameReader(), [], 0
    for size in [*sizes, len(data)]:
        got += [(frame.number, bytes(frame.payload)) for frame in reader.feed(data[at : at + size])]
        at += size
    assert got == list(enumerate(payloads))


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_no_bytes_crash_the_reader_or_make_it_keep_more_than_a_frame(data: bytes) -> None:
    reader = FrameReader()
    try:
        for at in range(0, len(data), 7):
            reader.feed(data[at : at + 7])
    except ChannelFaultError:
        return
    assert len(reader._held) < MAX_FRAME
