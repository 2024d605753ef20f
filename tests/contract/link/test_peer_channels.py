"""Channels between two agents through the centre's relay, over real gRPC and TLS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from peers.channels import Pair, scope
from peers.links import Centre, Cutter, until

from secureflow.adapters.link import peerchannel
from secureflow.adapters.link import relay as relay_module
from secureflow.adapters.link.peerchannel import ContentMeter
from secureflow.adapters.link.peerlink import Place, RelayDialler
from secureflow.adapters.link.relay import PeerPlace, RelayBounds
from secureflow.application.ports.peers import MAX_MESSAGE, ChannelLimits, PeerChannel
from secureflow.engines.peers.multiplex import FIRST_WINDOW, WINDOW
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese


def _relayed(centre: Centre, first: str = "", second: str = "") -> Pair:
    """Agents of two banks that dial the centre, or what stands before it."""
    addresses = (first or centre.address, second or centre.address)
    banks = ("bank-a", "bank-b")
    return Pair(
        *(
            RelayDialler(address, centre.pki.agent(bank))
            for bank, address in zip(banks, addresses, strict=True)
        )
    )


@pytest.fixture
async def pair(centre: Centre) -> AsyncIterator[Pair]:
    made = _relayed(centre)
    yield made
    await made.stop()


async def _cut_off(*ends: PeerChannel) -> None:
    """Wait until their links are cut, and let no peer be away for long from then on."""
    for end in ends:
        await until(lambda: end.cuts)  # type: ignore[attr-defined]  # noqa: B023
        end._limits = ChannelLimits(cut_seconds=0.5)  # type: ignore[attr-defined]


async def _failure(awaitable: object) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


async def test_messages_arrive_whole_and_in_order(pair: Pair) -> None:
    a, b = await pair.open()
    large = os.urandom(3 << 20)
    sending = asyncio.gather(*(a.send(one) for one in (b"one", b"", large, b"last")))
    assert [await b.receive() for _ in range(4)] == [b"one", b"", large, b"last"]
    await sending
    await b.send(b"back")
    assert await a.receive() == b"back"
    assert a.sent == b.received == 4 * 4 + 3 + len(large) + 4
    assert b.sent == a.received == 4 + 4


async def test_the_centre_is_told_only_for_which_channel_a_stream_is(
    pair: Pair, centre: Centre
) -> None:
    await pair.open()
    assert sorted(centre.joined, key=lambda one: one[0]) == [
        ("bank-a", PeerPlace("job_1", 1, "bank-b")),
        ("bank-b", PeerPlace("job_1", 1, "bank-a")),
    ]


async def test_byte_streams_are_carried_beside_messages(pair: Pair) -> None:
    a, b = await pair.open()
    streams = [await a.open() for _ in range(3)]
    others = [await b.accept() for _ in range(3)]
    for number, stream in enumerate(streams):
        await stream.write(bytes([number]) * 5)
        stream.close_write()
    await a.send(b"beside")
    assert await b.receive() == b"beside"
    for number, other in enumerate(others):
        assert await other.read(100) == bytes([number]) * 5
        assert await other.read(100) == b""
        await other.write(b"answer")
        other.close_write()
    assert [await stream.read(100) for stream in streams] == [b"answer"] * 3
    back = await b.open()
    await back.write(b"x")
    assert await (await a.accept()).read(1) == b"x"


async def test_an_aborted_stream_fails_at_the_other_end(pair: Pair) -> None:
    a, b = await pair.open()
    stream = await a.open()
    await stream.write(b"x")
    other = await b.accept()
    stream.abort()
    with pytest.raises(ConnectionResetError):  # noqa: PT012  what was sent may be read first
        while True:
            await other.read(1)
    with pytest.raises(ConnectionResetError):
        await stream.write(b"y")
    await a.send(b"the channel goes on")
    assert await b.receive() == b"the channel goes on"


async def test_a_clean_close_is_known_at_both_ends(pair: Pair, centre: Centre) -> None:
    a, b = await pair.open()
    await a.send(b"last")
    await a.close()
    assert await b.receive() == b"last"
    assert await b.receive() is None
    assert (await _failure(b.send(b"too late"))).code == "peer_closed"
    await b.close()
    await until(lambda: centre.server._relay.streams == 0)


async def test_both_ends_may_close_at_once(pair: Pair, centre: Centre) -> None:
    a, b = await pair.open()
    await asyncio.gather(a.close(), b.close())
    assert [await a.receive(), await b.receive()] == [None, None]
    await until(lambda: centre.server._relay.streams == 0)


async def test_a_close_that_the_peer_does_not_learn_of_is_an_error(
    centre: Centre, cutter: Cutter
) -> None:
    pair = _relayed(centre, second=cutter.address)
    a, _ = await pair.open()
    cutter.refuse(True)
    cutter.cut()
    await _cut_off(a)
    error = await _failure(a.close())
    assert (error.code, error.details["phase"]) == ("peer_broken", "closing")
    await pair.stop()


async def test_a_cut_link_is_resumed_without_anyone_noticing(
    centre: Centre, cutter: Cutter
) -> None:
    pair = _relayed(centre, first=cutter.address)
    a, b = await pair.open()
    sent = [os.urandom(300_000) for _ in range(40)]

    async def send() -> None:
        for number, message in enumerate(sent):
            if number % 10 == 5:
                cutter.cut()
            await a.send(message)

    sending = asyncio.create_task(send())
    assert [await b.receive() for _ in sent] == sent
    await sending
    assert a.cuts >= 3  # type: ignore[attr-defined]
    await pair.stop()


async def test_a_restarted_centre_is_a_cut(pair: Pair, centre: Centre) -> None:
    a, b = await pair.open()
    await a.send(b"before")
    await centre.restart()
    await a.send(b"after")
    assert [await b.receive(), await b.receive()] == [b"before", b"after"]


async def test_a_reader_that_does_not_read_stops_the_sender(pair: Pair, centre: Centre) -> None:
    a, b = await pair.open()
    stream = await a.open()
    other = await b.accept()
    filling = asyncio.create_task(stream.write(bytes(2 * WINDOW)))
    await until(lambda: b.received >= FIRST_WINDOW)
    await a.send(b"others pass")
    assert await b.receive() == b"others pass"
    assert not filling.done()
    assert a.sent < FIRST_WINDOW + 100
    read = 0
    while read < 2 * WINDOW:
        read += len(await other.read(1 << 20))
    await filling


async def test_a_peer_that_never_comes_is_named(pair: Pair) -> None:
    ends = pair.ends
    of = scope()
    ends[0].offer(of, ["bank-b"])
    theirs = ends[1].offer(of, ["bank-a"])
    error = await _failure(
        ends[0].open(of, {"bank-b": theirs["bank-a"]}, deadline=0.3, limits=ChannelLimits())
    )
    assert error.code == "peer_absent"
    assert (error.details["from"], error.details["to"]) == ("bank-a", "bank-b")
    assert error.details["phase"] == "joining"


async def test_an_idle_channel_stays(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shows that a peer is there comes out of TLS; a link in between is not enough."""
    monkeypatch.setattr(peerchannel, "HEARTBEAT", 0.1)
    a, b = await pair.open()
    for end in (a, b):
        heard = end._session.heard + 5  # type: ignore[attr-defined]
        await until(lambda: end._session.heard >= heard)  # type: ignore[attr-defined]  # noqa: B023
    await a.send(b"still there")
    assert await b.receive() == b"still there"


async def test_a_peer_that_is_away_for_too_long_breaks_the_channel(
    centre: Centre, cutter: Cutter
) -> None:
    pair = _relayed(centre, second=cutter.address)
    a, b = await pair.open()
    cutter.refuse(True)
    cutter.cut()
    await _cut_off(a, b)
    for here, there, end in (("bank-a", "bank-b", a), ("bank-b", "bank-a", b)):
        error = await _failure(end.receive())
        assert error.code == "peer_broken"
        assert here in error.message
        assert there in error.message
        assert error.details["phase"] == "running"
    await pair.stop()


async def test_a_job_that_is_forgotten_ends_at_the_peer_too(pair: Pair) -> None:
    _, b = await pair.open()
    await pair.ends[0].forget("job_1")
    error = await _failure(b.receive())
    assert error.code == "peer_broken"
    assert "gave it up" in error.message


async def test_the_keys_of_a_forgotten_attempt_are_gone(pair: Pair) -> None:
    of = scope()
    offered = pair.ends[0].offer(of, ["bank-b"])
    assert pair.ends[0].offer(of, ["bank-b"]) == offered
    theirs = pair.ends[1].offer(of, ["bank-a"])
    await pair.ends[0].forget("job_1")
    opening = pair.ends[0].open(
        of, {"bank-b": theirs["bank-a"]}, deadline=5, limits=ChannelLimits()
    )
    assert (await _failure(opening)).code == "attempt_lost"


async def test_an_attempt_is_offered_in_one_scope(pair: Pair) -> None:
    pair.ends[0].offer(scope(), ["bank-b"])
    with pytest.raises(SecureFlowError) as caught:
        pair.ends[0].offer(scope(program="1" * 64), ["bank-b"])
    assert caught.value.code == "peer_statement_wrong"


async def test_limits_end_a_channel_at_both_ends(pair: Pair) -> None:
    a, b = await pair.open(limits=ChannelLimits(bytes=10_000))
    await a.send(bytes(4000))
    await b.receive()
    error = await _failure(asyncio.gather(a.send(bytes(8000)), b.receive(), b.receive()))
    assert error.code in {"peer_limit", "peer_broken"}
    assert (await _failure(a.send(b"x"))).code == "peer_limit"
    await _failure(b.receive())


async def test_a_limit_of_bytes_holds_over_the_attempts_of_a_job(pair: Pair) -> None:
    limits = ChannelLimits(bytes=10_000)
    for attempt, fits in ((1, True), (2, False)):
        a, b = await pair.open(scope(attempt=attempt), limits=limits)
        sent = asyncio.gather(a.send(bytes(6000)), b.receive())
        if fits:
            await sent
        else:
            assert (await _failure(sent)).code in {"peer_limit", "peer_broken"}
            error = await _failure(a.send(b"x"))
            assert error.code == "peer_limit"
            assert "limits.peer_megabytes" in error.hint
            assert chinese(error.hint)
        await asyncio.gather(*(end.forget_attempts("job_1") for end in pair.ends))
    await asyncio.gather(*(end.forget("job_1") for end in pair.ends))
    a, b = await pair.open(scope(attempt=3), limits=limits)  # of another job of the same name
    await asyncio.gather(a.send(bytes(6000)), b.receive())


async def test_a_limit_names_the_peer_with_whom_most_was_exchanged(pair: Pair) -> None:
    """And not the one with whom the last byte was."""
    pair.ends[0]._meters["job_1"] = meter = ContentMeter()
    meter.exceeds("bank-c", 9000, 10_000)
    a, b = await pair.open(limits=ChannelLimits(bytes=10_000))
    assert (await _failure(asyncio.gather(a.send(bytes(3000)), b.receive()))).code
    error = await _failure(a.send(b"x"))
    assert (error.code, error.details["party"]) == ("peer_limit", "bank-c")


async def test_what_says_nothing_counts_as_well(pair: Pair) -> None:
    """Connections that are opened and dropped are no content, and are carried."""
    a, _ = await pair.open(limits=ChannelLimits(bytes=10_000))

    async def open_and_drop() -> None:
        for _ in range(10_000):
            (await a.open()).abort()
            await asyncio.sleep(0)

    assert (await _failure(open_and_drop())).code in {"peer_limit", "peer_broken"}


async def test_a_channel_is_open_for_a_limited_time(pair: Pair) -> None:
    """It ends where it is used, or before it was open, where that took so long."""

    async def used() -> None:
        a, b = await pair.open(limits=ChannelLimits(seconds=0.5))
        await _failure(b.receive())
        await a.receive()

    assert (await _failure(used())).code in {"peer_limit", "peer_broken"}


async def test_a_message_that_is_too_long_is_refused_here(pair: Pair) -> None:
    a, b = await pair.open()
    assert (await _failure(a.send(bytes(MAX_MESSAGE + 1)))).code == "too_large"
    await a.send(b"still open")
    assert await b.receive() == b"still open"


async def test_who_is_in_no_running_job_gets_no_stream(pair: Pair, centre: Centre) -> None:
    centre.refuse_join = SecureFlowError("forbidden", "There is no such channel now.")
    for attempt, deadline in enumerate((0.5, 5.0, 50.0), 1):  # until the centre has answered
        error = await _failure(pair.open(scope(attempt=attempt), deadline=deadline))
        assert error.code == "peer_absent"
        if "no such channel" in error.message:
            break
    assert "no such channel" in error.message
    await until(lambda: centre.server._relay.streams == 0)


async def test_a_revoked_party_loses_its_streams(pair: Pair, centre: Centre) -> None:
    a, b = await pair.open()
    centre.refuse_join = SecureFlowError("forbidden", "It is revoked.")
    spiffe = f"spiffe://{centre.pki.authority.trust_domain}/org/bank-a/agent/a1"
    centre.server.expel("bank-a", spiffe, SecureFlowError("certificate_revoked", "It is."))
    await _cut_off(a, b)
    for end in (a, b):
        assert (await _failure(end.receive())).code == "peer_broken"


async def test_a_job_that_has_ended_loses_its_streams(
    pair: Pair, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centre.server._relay, "_bounds", RelayBounds(again_seconds=0.1))
    a, b = await pair.open()
    centre.refuse_join = SecureFlowError("forbidden", "The job has ended.")
    await _cut_off(a, b)
    for end in (a, b):
        assert (await _failure(end.receive())).code == "peer_broken"
    await until(lambda: centre.server._relay.streams == 0)


async def test_nobody_waits_for_a_peer_that_has_lost_the_attempt(
    pair: Pair, centre: Centre
) -> None:
    """Its agent was restarted, so it has no keys by which it could say so itself."""
    _, b = await pair.open()
    waiting = asyncio.create_task(_failure(b.receive()))
    centre.server.left(scope().job, scope().attempt, "bank-a")
    error = await waiting
    assert error.code == "peer_broken"
    assert "was restarted" in error.message
    assert chinese(error.message)


async def test_streams_are_bounded(
    pair: Pair, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centre.server._relay, "_bounds", RelayBounds(of_party=1))
    a, _ = await pair.open()
    error = await _failure(pair.open(scope(job="job_2"), deadline=0.5))
    assert error.code == "peer_absent"
    await a.send(b"the first goes on")


async def test_a_stream_that_waits_in_vain_is_ended(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, ending: AsyncExitStack
) -> None:
    monkeypatch.setattr(centre.server._relay, "_bounds", RelayBounds(wait_seconds=0.1))
    dialler = RelayDialler(centre.address, centre.pki.agent("bank-a"))
    with pytest.raises(SecureFlowError) as caught:
        async with dialler.to(Place("job_1", 1, "bank-b"), bytes(32))() as pipe:
            await pipe.read()
    assert caught.value.code == "peer_away"


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"x" * 5000, b'{"attempt":0,"job":"j","peer":"b"}',
     b'{"attempt":true,"job":"j","peer":"b"}', b'{"attempt":1,"job":"j","peer":"bank-a"}'],
)  # fmt: skip
def test_a_malformed_place_is_refused(data: bytes) -> None:
    with pytest.raises(SecureFlowError) as caught:
        relay_module.parse_place(data, "bank-a")
    assert caught.value.code in {"malformed_json", "malformed_request"}
