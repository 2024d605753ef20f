"""A hostile relay or peer: it can end a channel, by name, and nothing else.

Whoever carries the bytes cross-connects, replays, truncates, reorders, drops, changes or invents
them; a peer shows another certificate. In every case both ends end with a typed error that names
both, nobody reads what the other did not write, and nothing hangs.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.channels import KEYS, Carrier, Pair, scope

from secureflow.adapters.link import peerlink
from secureflow.adapters.link.peertls import PeerTls, new_channel_key
from secureflow.agent.peers.channels import Nowhere, PeerChannels
from secureflow.application.ports.peers import ChannelLimits, PeerChannel
from secureflow.engines.peers.faults import ChannelFaultError
from secureflow.engines.peers.framing import FrameKind, FrameReader, write_frame
from secureflow.engines.peers.multiplex import PieceKind
from secureflow.engines.peers.statements import make_statement
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

SHORT = ChannelLimits(cut_seconds=2.0)
_HEADER = 13

Change = Callable[[str, bytes], list[bytes]]


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def pair(carrier: Carrier) -> Pair:
    return Pair(carrier.of("bank-a"), carrier.of("bank-b"))


def _is_data(data: bytes) -> bool:
    return data[:1] == bytes([FrameKind.DATA])


class _Nth:
    """Changes one frame of data of one sender."""

    def __init__(self, change: Callable[[bytes], list[bytes]], sender: str = "bank-a") -> None:
        self._change = change
        self._sender = sender
        self.armed = False
        self.done = False

    def __call__(self, sender: str, data: bytes) -> list[bytes]:
        if self.armed and not self.done and sender == self._sender and _is_data(data):
            self.done = True
            return self._change(data)
        return [data]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _renumbered(data: bytes, by: int) -> bytes:
    number = int.from_bytes(data[5:_HEADER], "big") + by
    return data[:5] + number.to_bytes(8, "big") + data[_HEADER:]


def _shorter(data: bytes) -> bytes:
    return write_frame(FrameKind.DATA, int.from_bytes(data[5:_HEADER], "big"), data[_HEADER:-5])


ATTACKS: dict[str, Callable[[bytes], list[bytes]]] = {
    "a bit is flipped": lambda data: [_flipped(data)],
    "a frame is repeated": lambda data: [data, data],
    "a frame is repeated under the next number": lambda data: [data, _renumbered(data, 1)],
    "a frame is truncated": lambda data: [_shorter(data)],
    "a frame is cut off in its header": lambda data: [data[:7], b"\xff" * 40],
    "a frame is invented": lambda data: [write_frame(FrameKind.DATA, 999, b"x"), data],
    "garbage comes": lambda _: [os.urandom(500)],
    "what was not sent is acknowledged": lambda data: [write_frame(FrameKind.ACK, 1 << 40), data],
    "another hello comes": lambda data: [write_frame(FrameKind.HELLO, 0, bytes(32)), data],
}


async def _both_fail(a: PeerChannel, b: PeerChannel, sent: bytes) -> None:
    """Both ends are used until they fail; neither reads anything but what was sent."""

    async def use(end: PeerChannel, other: str) -> None:
        with pytest.raises(SecureFlowError) as caught:  # noqa: PT012  until it fails
            while True:
                message = await end.receive()
                assert message == sent, "it read what the other end did not write"
        error = caught.value
        assert error.code == "peer_broken"
        assert {error.details["from"], error.details["to"]} == {"bank-a", "bank-b"}
        assert other in error.message

    await asyncio.gather(use(a, "bank-b"), use(b, "bank-a"))


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_a_changed_stream_ends_at_both_ends(
    attack: str, carrier: Carrier, pair: Pair
) -> None:
    carrier.change = changing = _Nth(ATTACKS[attack])
    a, b = await pair.open(limits=SHORT)
    changing.armed = True
    await a.send(b"transfer 100")
    await _both_fail(a, b, b"transfer 100")
    assert changing.done
    await pair.stop()


async def test_two_frames_that_change_places_end_it(carrier: Carrier, pair: Pair) -> None:
    held: list[bytes] = []

    def swap(data: bytes) -> list[bytes]:
        held.append(data)
        return []

    a, b = await pair.open(limits=SHORT)

    def change(sender: str, data: bytes) -> list[bytes]:
        if sender != "bank-a" or not _is_data(data):
            return [data]
        if not held:
            return swap(data)
        return [data, held[0]]

    carrier.change = change
    large = b"x" * 200_000
    await a.send(large)
    sending = asyncio.create_task(a.send(large))
    await _both_fail(a, b, large)
    await asyncio.gather(sending, return_exceptions=True)
    assert len(held) == 1
    await pair.stop()


async def test_a_frame_that_is_dropped_ends_it(carrier: Carrier, pair: Pair) -> None:
    a, b = await pair.open(limits=SHORT)
    carrier.change = dropping = _Nth(lambda _: [])
    dropping.armed = True
    await a.send(b"one")
    await a.send(b"two")
    await _both_fail(a, b, b"one")
    await pair.stop()


async def test_silence_ends_it(
    carrier: Carrier, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peerlink, "SILENCE", 0.3)
    a, b = await pair.open(limits=SHORT)
    carrier.change = lambda _, data: []
    await a.send(b"into the dark")
    await _both_fail(a, b, b"")
    await pair.stop()


async def test_a_carrier_cannot_keep_up_the_appearance_of_a_peer(
    carrier: Carrier, pair: Pair
) -> None:
    """Acknowledgements are outside of TLS: they keep a link, but show no peer."""
    a, b = await pair.open(limits=SHORT)

    def change(_: str, data: bytes) -> list[bytes]:
        frames = FrameReader().feed(data)
        kept = [frame for frame in frames if frame.kind is not FrameKind.DATA]
        return [write_frame(frame.kind, frame.number, bytes(frame.payload)) for frame in kept]

    carrier.change = change
    await _both_fail(a, b, b"")
    assert carrier.links == 1
    await pair.stop()


async def test_a_link_that_is_silent_is_given_up_for_another(
    carrier: Carrier, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peerlink, "SILENCE", 0.3)
    a, b = await pair.open(limits=ChannelLimits(cut_seconds=60.0))
    carrier.change = lambda _, data: [] if carrier.links == 1 else [data]
    await a.send(b"in the end")
    assert await b.receive() == b"in the end"
    assert carrier.links > 1
    await pair.stop()


async def test_a_stream_of_another_session_of_the_channel_cannot_be_played_back(
    carrier: Carrier, pair: Pair
) -> None:
    recorded: list[bytes] = []

    def record(sender: str, data: bytes) -> list[bytes]:
        recorded.extend([data] if sender == "bank-a" else [])
        return [data]

    carrier.change = record
    a, b = await pair.open()
    await a.send(b"transfer 100")
    assert await b.receive() == b"transfer 100"
    await asyncio.gather(a.close(), b.close())
    await pair.stop()

    again = Pair(carrier.of("bank-a"), carrier.of("bank-b"))
    playing = iter(list(recorded))
    carrier.change = lambda sender, data: [next(playing, b"")] if sender == "bank-a" else [data]
    with pytest.raises(SecureFlowError) as caught:
        await again.open(scope(attempt=2), limits=SHORT, deadline=3.0)
    assert caught.value.code in {"peer_broken", "peer_absent"}
    await again.stop()


async def test_channels_that_are_connected_crosswise_do_not_open(carrier: Carrier) -> None:
    """The relay joins bank-a's end of one job with bank-b's end of another."""
    pairs = [Pair(carrier.of("bank-a"), carrier.of("bank-b")) for _ in range(2)]
    join = carrier.join

    def crosswise(party: str, place: Any) -> Any:
        other = {"job_1": "job_2", "job_2": "job_1"}[place.job]
        return join(party, replace(place, job=other) if party == "bank-a" else place)

    carrier.join = crosswise  # type: ignore[method-assign]
    results = await asyncio.gather(
        *(
            pair.open(scope(job=f"job_{number}"), limits=SHORT)
            for number, pair in enumerate(pairs, 1)
        ),
        return_exceptions=True,
    )
    assert [getattr(one, "code", one) for one in results] == ["peer_broken"] * 2
    await asyncio.gather(*(pair.stop() for pair in pairs))


async def _opened(pair: Pair, statements: list[Any], of: list[Any]) -> list[Any]:
    """What both ends' `open` end with, given what each is told of the other."""
    a, b = pair.parties
    return await asyncio.gather(
        pair.ends[0].open(of[0], {b: statements[1]}, deadline=1.0, limits=SHORT),
        pair.ends[1].open(of[1], {a: statements[0]}, deadline=1.0, limits=SHORT),
        return_exceptions=True,
    )


async def test_another_program_at_one_party_is_refused(pair: Pair) -> None:
    of = [scope(), scope(program="1" * 64)]
    offers = pair.ends[0].offer(of[0], ["bank-b"]), pair.ends[1].offer(of[1], ["bank-a"])
    results = await _opened(pair, [offers[0]["bank-b"], offers[1]["bank-a"]], of)
    assert [one.code for one in results] == ["peer_statement_wrong"] * 2
    assert {one.details["wrong"] for one in results} == {"program"}


async def test_a_statement_for_another_job_of_the_same_party_is_refused(pair: Pair) -> None:
    of = [scope(), scope()]
    pair.ends[0].offer(of[0], ["bank-b"])
    theirs = pair.ends[1].offer(of[1], ["bank-a"])
    other = pair.ends[0].offer(scope(job="job_2"), ["bank-b"])
    results = await _opened(pair, [other["bank-b"], theirs["bank-a"]], of)
    assert results[1].code == "peer_statement_wrong"
    assert results[1].details["wrong"] == "job"
    assert results[0].code == "peer_absent"


async def test_a_certificate_for_another_job_of_the_same_party_is_refused(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature would be good, and the name in the certificate; its digest is another one."""
    of = [scope(), scope()]
    offers = pair.ends[0].offer(of[0], ["bank-b"]), pair.ends[1].offer(of[1], ["bank-a"])
    other = pair.ends[0].offer(scope(job="job_2"), ["bank-b"])["bank-b"]
    attempts = pair.ends[0]._attempts
    attempts["job_1", 1].keys["bank-b"] = attempts["job_2", 1].keys["bank-b"]
    results = await _opened(pair, [offers[0]["bank-b"], offers[1]["bank-a"]], of)
    assert all(one.code in {"peer_broken", "peer_absent"} for one in results)
    swapped = offers[0]["bank-b"] | {"certificate": other["certificate"]}
    fresh = PeerChannels("bank-b", KEYS["bank-b"], Nowhere())
    fresh.offer(scope(), ["bank-a"])
    with pytest.raises(SecureFlowError) as caught:
        await fresh.open(scope(), {"bank-a": swapped}, deadline=1, limits=SHORT)
    assert caught.value.details["wrong"] == "certificate"


async def test_two_statements_about_one_channel_are_an_accusation(pair: Pair) -> None:
    of = scope()
    pair.ends[1].offer(of, ["bank-a"])
    first, second = (
        make_statement(of, "bank-a", "bank-b", new_channel_key().certificate, KEYS["bank-a"])
        for _ in range(2)
    )
    attempt = pair.ends[1]._attempts["job_1", 1]
    pair.ends[1]._checked(attempt, "bank-a", first)
    with pytest.raises(SecureFlowError) as caught:
        await pair.ends[1].open(of, {"bank-a": second}, deadline=1, limits=SHORT)
    assert caught.value.code == "peer_statements_contradict"
    assert caught.value.details["signer"] == "bank-a"
    assert caught.value.details["statements"] == [first, second]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\x63" + bytes(8), "unknown kind"),
        (b"\x02" + bytes(8), "wrong number"),
        (b"\x03" + (77).to_bytes(4, "big") + bytes(4), "does not exist"),
        (b"\x03" + bytes(4) + (1 << 20).to_bytes(4, "big"), "too long"),
        (b"\x04" + bytes(4) + b"\xff" * 4, "more credit"),
        (b"\x01" + bytes(4) + (9).to_bytes(4, "big"), "another version"),
    ],
)
async def test_a_peer_that_breaks_the_rules_inside_tls_is_cut_off(
    said: bytes, reason: str, pair: Pair
) -> None:
    a, b = await pair.open(limits=SHORT)
    outbox = a._session.connections._outbox  # type: ignore[attr-defined]
    outbox.extend([said, b""] if said[0] == 3 else [said])
    a._link.wake()  # type: ignore[attr-defined]
    with pytest.raises(SecureFlowError, match=reason) as caught:
        await b.receive()
    assert caught.value.code == "peer_broken"
    with pytest.raises(SecureFlowError):
        await a.receive()
    await pair.stop()


async def test_many_small_messages_leave_others_their_turn(pair: Pair) -> None:
    a, b = await pair.open()
    for _ in range(400):
        await b.send(b"x")
    while a._session.connections._connections[0].size < 400 * 5:  # type: ignore[attr-defined]
        await a._pulse.wait()  # type: ignore[attr-defined]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    for _ in range(400):
        assert await a.receive() == b"x"
    beside.cancel()
    assert turns >= 10
    await pair.stop()


async def test_a_peer_that_never_answers_a_close_is_not_waited_for(pair: Pair) -> None:
    a, b = await pair.open(limits=SHORT)
    theirs = b._session.connections  # type: ignore[attr-defined]
    say = theirs._say

    def unsaid(kind: PieceKind, *rest: int) -> None:
        if kind is not PieceKind.SEEN:
            say(kind, *rest)

    theirs._say = unsaid
    async with asyncio.timeout(10 * SHORT.cut_seconds):
        with pytest.raises(SecureFlowError, match="did not answer") as caught:
            await a.close()
    assert caught.value.code == "peer_broken"
    assert chinese(caught.value.message)
    await pair.stop()


async def test_a_message_that_claims_to_be_huge_is_not_waited_for(pair: Pair) -> None:
    a, b = await pair.open(limits=SHORT)
    await a.write(0, b"\xff\xff\xff\xff" + bytes(10))  # type: ignore[attr-defined]
    with pytest.raises(SecureFlowError, match="too long"):
        await b.receive()
    await pair.stop()


def _handshake(one: PeerTls, other: PeerTls) -> None:
    for _ in range(3):
        for here, there in ((one, other), (other, one)):
            here.shake()
            for _plain in there.feed(here.pull()):
                pass


def test_the_certificate_itself_decides_not_only_the_handshake() -> None:
    """OpenSSL takes several trusted certificates out of one file; the pinned one is one."""
    own, peer, second = (new_channel_key() for _ in range(3))
    both = second.certificate + peer.certificate
    client = PeerTls(own, both, client=True)
    server = PeerTls(second, own.certificate, client=False)
    with pytest.raises(ChannelFaultError, match="another certificate"):
        _handshake(client, server)
    assert not client.done


def test_a_key_is_never_in_a_file_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    own, peer = new_channel_key(), new_channel_key()
    made: list[str] = []
    make = tempfile.mkstemp

    def noted(*arguments: Any) -> tuple[int, str]:
        descriptor, path = make(*arguments)
        made.append(path)
        assert Path(path).stat().st_mode & 0o777 == 0o600
        return descriptor, path

    monkeypatch.setattr(tempfile, "mkstemp", noted)
    PeerTls(own, peer.certificate, client=True)
    assert made == []  # a file in memory
    monkeypatch.delattr(os, "memfd_create")
    PeerTls(own, peer.certificate, client=True)
    assert len(made) == 1
    assert not Path(made[0]).exists()
    assert "private" not in repr(own).replace("ChannelKey(certificate=", "")
