"""Connections in one channel: their windows, their ends, and what a peer may not send."""

from __future__ import annotations

import contextlib
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.peers import multiplex
from secureflow.engines.peers.faults import ChannelFaultError
from secureflow.engines.peers.multiplex import (
    ALL_WINDOWS,
    CONTROLS,
    FIRST_WINDOW,
    MAX_OPENED,
    MESSAGES,
    MOST_OPENED,
    OUTBOX,
    WINDOW,
    Multiplexer,
)


def _pair() -> tuple[Multiplexer, Multiplexer]:
    ends = Multiplexer(client=True), Multiplexer(client=False)
    _exchange(*ends)
    assert all(end.ready for end in ends)
    return ends


def _exchange(one: Multiplexer, other: Multiplexer) -> None:
    """Pass everything on until neither says anything."""
    while one.has_output or other.has_output:
        other.feed(one.pull(1 << 20))
        one.feed(other.pull(1 << 20))


def _write(end: Multiplexer, number: int, data: bytes) -> int:
    return end.write(number, memoryview(data))


def test_bytes_of_a_connection_arrive_and_end() -> None:
    one, other = _pair()
    number = one.open()
    assert number == 1
    assert _write(one, number, b"hello") == 5
    one.end(number)
    _exchange(one, other)
    assert other.accept() == number
    assert other.accept() is None
    assert other.read(number, 2) == b"he"
    assert other.read(number, 100) == b"llo"
    assert other.read(number, 100) == b""
    assert one.read(number, 1) is None
    other.end(number)
    _exchange(one, other)
    assert one.read(number, 1) == b""
    assert len(one._connections) == len(other._connections) == 1


def test_a_connection_that_nobody_reads_holds_one_window() -> None:
    one, other = _pair()
    number = one.open()
    assert number is not None
    taken = 0
    for _ in range(50):
        taken += _write(one, number, bytes(FIRST_WINDOW))
        _exchange(one, other)
    assert taken == FIRST_WINDOW == one.sent == other.received
    assert _write(one, MESSAGES, b"others pass") == 11


def test_a_window_that_is_read_grows_to_its_most() -> None:
    one, other = _pair()
    read = 0
    for _ in range(200):
        _write(one, MESSAGES, bytes(1 << 19))
        _exchange(one, other)
        read += len(other.read(MESSAGES, 1 << 19) or b"")
        _exchange(one, other)
    assert read > WINDOW
    assert other._connections[MESSAGES].window == WINDOW


def test_all_windows_of_a_channel_together_are_bounded() -> None:
    one, other = _pair()
    numbers = [one.open() for _ in range(MAX_OPENED)]
    assert one.open() is None
    for _ in range(40):
        for number in numbers:
            assert number is not None
            _write(one, number, bytes(1 << 18))
            _exchange(one, other)
            other.read(number, 1 << 20)
    assert sum(one.window for one in other._connections.values()) == other._windows <= ALL_WINDOWS


def test_what_waits_for_tls_is_bounded() -> None:
    one, _ = _pair()
    taken = sum(
        _write(one, number, bytes(FIRST_WINDOW)) for number in (one.open() or 0 for _ in range(9))
    )
    assert taken <= OUTBOX
    small = Multiplexer(client=True)
    count = 0
    while _write(small, MESSAGES, b"x"):
        count += 1
    assert count * 64 <= OUTBOX + 64


def test_many_small_pieces_are_put_together_where_they_wait() -> None:
    one, other = _pair()
    for _ in range(1000):
        _write(one, MESSAGES, b"x")
    _exchange(one, other)
    assert len(other._connections[MESSAGES].chunks) == 1
    assert other.read(MESSAGES, 5000) == b"x" * 1000


def test_small_reads_of_what_was_put_together_copy_nothing_but_themselves() -> None:
    one, other = _pair()
    for _ in range(100):
        _write(one, MESSAGES, bytes(100))
    _exchange(one, other)
    (chunk,) = other._connections[MESSAGES].chunks
    for _ in range(50):
        assert other.read(MESSAGES, 4) == bytes(4)
        assert other._connections[MESSAGES].chunks[0] is chunk
    assert len(chunk) == 9800


def test_after_a_close_the_rest_is_read_and_nothing_more_is_sent() -> None:
    one, other = _pair()
    _write(one, MESSAGES, b"last")
    one.close()
    _exchange(one, other)
    assert other.closed_there
    assert other.read(MESSAGES, 10) == b"last"
    assert other.read(MESSAGES, 10) == b""
    assert _write(other, MESSAGES, bytes(100)) == 100
    assert not other.has_output
    assert one.seen_there
    other.close()
    _exchange(one, other)
    assert one.closed_there


def test_who_has_closed_lets_the_other_end_finish() -> None:
    one, other = _pair()
    one.close()
    said = one.pull(1 << 20)
    assert (said[0], len(said)) == (7, 9)  # on its way: the other end does not know it yet
    sent = 0
    for _ in range(20):
        sent += _write(other, MESSAGES, bytes(FIRST_WINDOW // 4))
        one.feed(other.pull(1 << 20))
        other.feed(one.pull(1 << 20))
    assert sent == 5 * FIRST_WINDOW
    assert one.read(MESSAGES, 10) == b""


def test_a_connection_that_was_aborted_takes_and_gives_nothing() -> None:
    one, other = _pair()
    number = one.open()
    assert number is not None
    _write(one, number, b"x")
    _exchange(one, other)
    assert other.accept() == number
    one.abort(number)
    _write(other, number, b"crossing")
    _exchange(one, other)
    assert other.aborted(number)
    assert other.read(number, 1) == b""
    assert _write(other, number, b"dropped") == 7
    other.abort(number)
    assert len(one._connections) == len(other._connections) == 1


def test_connections_that_were_aborted_before_they_were_accepted_leave_nothing() -> None:
    one, other = _pair()
    for _ in range(500):
        number = one.open()
        assert number is not None
        one.abort(number)
        _exchange(one, other)
    assert other.accept() is None
    assert len(other._connections) == 1
    assert other._windows == FIRST_WINDOW


def test_a_peer_that_gives_up_says_so_before_anything_that_waits() -> None:
    one, other = _pair()
    _write(one, MESSAGES, bytes(1000))
    one.fail()
    _exchange(one, other)
    assert other.failed_there
    assert other.received == 0


@pytest.mark.parametrize(
    ("why", "pieces"),
    [
        ("unknown kind", [(11, 0, 0)]),
        ("not sent", [(9, 0, 0)]),
        ("another version", [(1, 0, 1)]),
        ("wrong number", [(2, 2, 0)]),
        ("wrong number", [(2, 3, 0), (2, 1, 0)]),
        ("too many", [(2, 2 * n + 1, 0) for n in range(200)]),
        ("does not exist", [(3, 5, 1)]),
        ("does not exist", [(4, 2, 1)]),
        ("too long", [(3, 0, 65537)]),
        ("more on a connection", [(2, 1, 0), (5, 1, 0), (3, 1, 1)]),
        ("more credit", [(4, 0, 1 << 31)]),
        ("connection of messages", [(6, 0, 0)]),
        ("after it had closed", [(7, 0, 0), (2, 1, 0)]),
    ],
)
def test_a_peer_that_breaks_the_rules_is_noticed(
    why: str, pieces: list[tuple[int, int, int]]
) -> None:
    _, other = _pair()
    said = b"".join(
        bytes([kind]) + number.to_bytes(4, "big") + value.to_bytes(4, "big")
        for kind, number, value in pieces
    )
    with pytest.raises(ChannelFaultError, match=why):
        other.feed(said)


def test_a_peer_that_ignores_a_window_is_noticed() -> None:
    _, other = _pair()
    piece = b"\x03" + bytes(4) + (65536).to_bytes(4, "big") + bytes(65536)
    with pytest.raises(ChannelFaultError, match="more on a connection"):
        other.feed(piece * 5)


def test_a_peer_that_takes_no_answers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the answers are to; so many connections nobody opens."""
    monkeypatch.setattr(multiplex, "MOST_OPENED", 4 * CONTROLS)
    _, other = _pair()

    def open_and_take_nothing() -> None:
        for number in range(1, 4 * CONTROLS, 2):
            other.feed(b"\x02" + number.to_bytes(4, "big") + bytes(4))
            assert other.accept() == number
            other.abort(number)

    with pytest.raises(ChannelFaultError, match="takes nothing"):
        open_and_take_nothing()
    assert len(other._outbox) <= CONTROLS + 1


def test_an_engine_that_opens_and_drops_waits_for_the_peer() -> None:
    one, other = _pair()
    opened = 0
    while (number := one.open()) is not None:
        opened += 1
        one.abort(number)
    assert opened <= CONTROLS
    _exchange(one, other)
    assert one.open() is not None


def test_the_first_piece_is_the_version() -> None:
    with pytest.raises(ChannelFaultError, match="did not begin"):
        Multiplexer(client=True).feed(b"\x07" + bytes(8))


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 3), st.binary(max_size=3000)), max_size=60
    ),
    st.integers(1, 5000),
)
@settings(max_examples=60, deadline=None)
def test_every_connection_is_a_stream_of_its_own(
    writes: list[tuple[int, int, bytes]], piece: int
) -> None:
    """Whatever is written on several connections arrives on each, in order, in any pieces."""
    ends = _pair()
    numbers = [ends[0].open() or 0 for _ in range(4)]
    _exchange(*ends)
    sent = [[b"" for _ in numbers] for _ in ends]
    got = [[b"" for _ in numbers] for _ in ends]
    todo = deque(writes)
    while todo or any(end.has_output for end in ends):
        if todo:
            at, which, data = todo.popleft()
            taken = _write(ends[at], numbers[which], data)
            sent[at][which] += data[:taken]
        for at, end in enumerate(ends):
            plain = end.pull(piece)
            for start in range(0, len(plain), piece):
                ends[1 - at].feed(plain[start : start + piece])
            for which, number in enumerate(numbers):
                got[at][which] += end.read(number, piece) or b""
    for at, end in enumerate(ends):
        for which, number in enumerate(numbers):
            while data := end.read(number, 1 << 20):
                got[at][which] += data
    assert got[1] == sent[0]
    assert got[0] == sent[1]


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_no_bytes_crash_it(data: bytes) -> None:
    _, other = _pair()
    with contextlib.suppress(ChannelFaultError):
        other.feed(data)
    assert sum(one.size for one in other._connections.values()) <= len(data)


def test_an_end_opens_so_many_connections_in_all() -> None:
    """Each is dropped at once: never many at the same time."""
    one, other = _pair()
    for _ in range(MOST_OPENED):
        number = one.open()
        assert number is not None
        one.abort(number)
        _exchange(one, other)
    one.open()
    with pytest.raises(ChannelFaultError, match="too many connections"):
        _exchange(one, other)


def test_everything_that_is_carried_counts_at_both_ends() -> None:
    one, other = _pair()
    before = one.carried, other.carried
    number = one.open()
    assert number is not None
    _write(one, number, bytes(1000))
    one.abort(number)
    _exchange(one, other)
    assert (one.carried - before[0], other.carried - before[1]) == (1027, 1027)
    one.ping()
    _exchange(one, other)
    assert (one.carried - before[0], other.carried - before[1]) == (1036, 1036)
